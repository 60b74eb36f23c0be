"""How text is laid out for a width: tables that leave out columns, and sentences in lines; no name is ever cut."""

import math
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from bottleneck_features.figure_text import INTERVAL, aligned, right_aligned

PIPE_WIDTH = 80  # columns of what goes to a file or another program, as of a plain terminal
WIDEST_TEXT = 100  # of sentences: longer lines are hard to read
GAP = 2  # columns between those of a table
# Shares of the width: up to which a column stays whole, and how narrow a wider one may be
FIGURES, NAMES, OTHERS = (math.inf, 0.0), (5 / 8, 2 / 5), (1 / 5, 1 / 5)
SHORTEST = 12  # columns that a name has in any case
_TOGETHER = re.compile(
    rf"{INTERVAL.pattern}|\d %|\b[a-zA-Z] = [\d.e+-]+|\[[\d.+-]+, [\d.+-]+\]"
)  # figures that no end of a line tears apart
_HELD = "\x1f"  # in the place of their spaces


def width() -> int:
    """Return how many columns there are: those of the terminal, or `PIPE_WIDTH` where stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_WIDTH


def prose(text: str, columns: int, first: str = "", rest: str = "") -> list[str]:
    """Return sentences in lines, broken at spaces only: a path, a name or a number stays whole.

    Args:
        text: some lines of sentences.
        columns: of the terminal.
        first: how the first line begins.
        rest: how the others begin.
    """
    lines: list[str] = []
    for number, line in enumerate(_TOGETHER.sub(lambda found: found[0].replace(" ", _HELD), text).splitlines()):
        lines += textwrap.wrap(
            line, min(columns, WIDEST_TEXT), initial_indent=rest if number else first, subsequent_indent=rest,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    return [line.replace(_HELD, " ") for line in lines]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], total: int, needed: int = 2) -> Table:
    """Return a table that fits, unless the needed figures alone are wider.

    Columns stand in the order of their importance: one that does not fit any more is left out. Names that are too long for
    their column go on in the next line; figures stay whole, and stand to the right.

    Args:
        columns: their names.
        rows: of text.
        total: how many columns of the terminal there are.
        needed: how many columns, from the first, are never left out.
    """
    every = [aligned(cells) for cells in zip(*rows, strict=True)] or [[] for _ in columns]
    figures = [bool(number) and right_aligned(cells) for number, cells in enumerate(every)]
    least = [
        _least((name, *every[column]), FIGURES if figures[column] else OTHERS if column else NAMES, total)
        for column, name in enumerate(columns)
    ]
    room = total - sum(least[1:needed]) - GAP * (needed - 1)
    least[0] = min(least[0], max(room, SHORTEST))
    kept = _fitting(least, total, needed)
    narrowest = sum(least[column] for column in kept) + GAP * (len(kept) - 1)
    found = Table(
        box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold",
        width=narrowest if narrowest > total else None,
    )  # fmt: skip
    for column in kept:
        right = figures[column] and not any("[" in cell for cell in every[column])
        found.add_column(
            Text(columns[column]),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=figures[column],
        )
    for cells in zip(*(every[column] for column in kept), strict=True):
        found.add_row(*map(Text, cells))
    return found


def _least(cells: Sequence[str], shares: tuple[float, float], total: int) -> int:
    """Return how narrow a column may be: narrower than its longest word only where that takes half of the width."""
    whole, narrow = (share * total for share in shares)
    widest = max(map(cell_len, cells))
    longest_word = max(cell_len(word) for cell in cells for word in cell.split() or ("",))
    return widest if widest <= whole else min(widest, max(min(longest_word, total // 2), int(narrow)))


def _fitting(widths: Sequence[int], total: int, needed: int) -> list[int]:
    kept, room = list(range(needed)), total - sum(widths[:needed]) - GAP * (needed - 1)
    for column in range(needed, len(widths)):
        if GAP + widths[column] <= room:
            kept.append(column)
            room -= GAP + widths[column]
    return kept
