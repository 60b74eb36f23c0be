"""Small HTML cards, by which notebooks show results, caches and experiments."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from bottleneck_features.figure_text import INTERVAL, aligned, right_aligned
from bottleneck_features.plain import visible

LONGEST_CELL, LONGEST_SENTENCE = 300, 2000  # characters; the end of a longer text is left out
# The ink and the paper are the notebook's own, light or dark: only their strength is set here.
_LINE = "border:1px solid;border-color:color-mix(in srgb,currentColor 25%,transparent)"
_CARD = f"display:inline-block;max-width:100%;box-sizing:border-box;padding:.7em 1em;border-radius:6px;{_LINE}"
_ANSWER = "font-size:1.2em;line-height:1.35"
_FAINT = "opacity:.75"
_CELL = "padding:.15em 1.2em .15em 0;vertical-align:top;unicode-bidi:plaintext"
_TEXT = f"{_CELL};text-align:left;white-space:pre-wrap;overflow-wrap:anywhere;min-width:9em"
_FIGURE = f"{_CELL};white-space:pre;text-align:"
_TABLE = "border-collapse:collapse;margin:.5em 0 0 0;font-size:.92em;font-variant-numeric:tabular-nums"
_BREAKS = re.compile(r"[@+_/](?=\w)")  # after which a long name may go on in the next line
_DIGIT = "\u2007"  # a space as wide as a digit


@dataclass(frozen=True)
class Table:
    """A small table of a card.

    Attributes:
        columns: names of the columns.
        rows: a value per column, shown as text; figures stand to the right, with commas between thousands.
        title: above it, or what is clicked to unfold it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""


def card(
    title: str,
    *,
    answer: str = "",
    notes: Iterable[str] = (),
    rows: Iterable[tuple[str, object]] = (),
    tables: Iterable[Table] = (),
    folded: Iterable[Table] = (),
) -> str:
    """Return a card: HTML that brings all it needs, without scripts, and that looks right on light and dark pages.

    All texts are escaped, and shown as `visible` does: they may come from anyone.

    Args:
        title: what the card is of.
        answer: what was found, which comes first and is the largest, its figures bold.
        notes: sentences a reader must know, such as warnings.
        rows: names and their values.
        tables: shown under the rows.
        folded: tables of which only the title is seen before it is clicked.
    """
    listed = list(rows)
    parts = [
        *([_answer(answer)] if answer else []),
        Markup('<div style="{}">{}</div>').format(_FAINT if answer else "font-weight:600", _text(title)),
        *(
            Markup('<div style="margin-top:.3em">{}</div>').format(_text(line, LONGEST_SENTENCE))
            for line in notes
            if line
        ),
        *([_rows(listed)] if listed else []),
        *(_titled(table) for table in tables),
        *(_folded(table) for table in folded),
    ]
    return str(Markup('<div style="{}">{}</div>').format(_CARD, Markup("").join(parts)))


def _answer(text: str) -> Markup:
    bold = INTERVAL.sub(r'<b style="white-space:nowrap">\g<0></b>', str(_text(text, LONGEST_SENTENCE)))
    return Markup('<div style="{}">{}</div>').format(_ANSWER, Markup(bold))


def _rows(rows: Iterable[tuple[str, object]]) -> Markup:
    cells = (
        Markup('<tr><th scope="row" style="{}">{}</th><td style="{}">{}</td></tr>').format(
            f"{_TEXT};font-weight:normal;{_FAINT}", _text(name), _TEXT, _name(str(value))
        )
        for name, value in rows
    )
    return Markup('<table style="{}"><tbody>{}</tbody></table>').format(_TABLE, Markup("").join(cells))


def _titled(table: Table) -> Markup:
    title = Markup('<div style="margin-top:.7em;{}">{}</div>').format(_FAINT, _text(table.title))
    return (title if table.title else Markup("")) + _table(table)


def _folded(table: Table) -> Markup:
    return Markup(
        '<details style="margin-top:.5em"><summary style="cursor:pointer;{}">{}</summary>{}</details>'
    ).format(_FAINT, _text(table.title), _table(table))


def _table(table: Table) -> Markup:
    columns = [[_plain(value) for value in cells] for cells in zip(*table.rows, strict=True)]
    styles = [_style(cells) if number else _TEXT for number, cells in enumerate(columns)] or [_TEXT] * len(
        table.columns
    )
    head = Markup("").join(
        Markup('<th scope="col" style="{}">{}</th>').format(f"{style};font-weight:600", _text(name))
        for name, style in zip(table.columns, styles, strict=True)
    )
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                Markup('<td style="{}">{}</td>').format(style, _name(cell))
                for cell, style in zip(row, styles, strict=True)
            )
        )
        for row in zip(*(aligned(cells, _DIGIT) for cells in columns), strict=True)
    )
    return Markup(
        '<div style="overflow-x:auto" tabindex="0" role="region" aria-label="{}"><table style="{}"><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(_text(table.title or table.columns[0]), _TABLE, head, body)


def _name(text: str) -> Markup:
    return Markup(_BREAKS.sub(r"\g<0><wbr>", str(_text(text))))


def _style(cells: Sequence[str]) -> str:
    if not right_aligned(cells):
        return _TEXT
    return f"{_FIGURE}{'left' if any('[' in cell for cell in cells) else 'right'}"


def _plain(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _text(value: object, longest: int = LONGEST_CELL) -> Markup:
    text = visible(_plain(value))
    return escape(text if len(text) <= longest else f"{text[: longest - 1]}…")
