"""How text is laid out for a width: tables that leave out columns, and sentences in lines; no name is ever cut."""

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence

from rich.cells import cell_len

PIPE_WIDTH = 80  # columns of what goes to a file or another program, as of a plain terminal
WIDEST_TEXT = 100  # of sentences: longer lines are hard to read
GAP = 2  # columns between those of a table
_TOGETHER = re.compile(
    r"\d %|\b[a-zA-Z] = [\d.e+-]+|\[[\d.+-]+, [\d.+-]+\]"
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


def table_lines(
    columns: Sequence[str], rows: Sequence[Sequence[str]], total: int, needed: int = 2
) -> tuple[str, list[str]]:
    """Return the head and the lines of a table.

    Columns stand in the order of their importance: one that does not fit any more is left out. A first cell for which there
    is no room even then has a line of its own, as long options have in a help text.

    Args:
        columns: their names.
        rows: of text.
        total: how many columns of the terminal there are.
        needed: how many columns, from the first, are never left out.
    """
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    room = total - sum(widths[1:needed]) - GAP * (needed - 1)
    if widths[0] > room:
        names = (cell_len(row[0]) for row in (columns, *rows))
        widths[0] = max((name for name in names if name <= min(room, total // 2)), default=0)
    kept = _fitting(widths, total, needed)

    def line(cells: Sequence[str]) -> str:
        if cell_len(cells[0]) > widths[0]:
            return f"{cells[0]}\n{line(('', *cells[1:]))}"
        return (" " * GAP).join(_padded(cells[column], widths[column]) for column in kept).rstrip()

    head, *body = [line(cells) for cells in (columns, *rows)]
    return head, [one for text in body for one in text.split("\n")]


def _fitting(widths: Sequence[int], total: int, needed: int) -> list[int]:
    kept, room = list(range(needed)), total - sum(widths[:needed]) - GAP * (needed - 1)
    for column in range(needed, len(widths)):
        if GAP + widths[column] <= room:
            kept.append(column)
            room -= GAP + widths[column]
    return kept


def _padded(cell: str, columns: int) -> str:
    return cell + " " * (columns - cell_len(cell))
