"""Small HTML cards, by which notebooks show results, caches and experiments."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from bottleneck_features.plain import visible

LONGEST_CELL, LONGEST_SENTENCE = 300, 2000  # characters; the end of a longer text is left out
# The ink and the paper are the notebook's own, light or dark: only their strength is set here.
_LINE = "border:1px solid;border-color:color-mix(in srgb,currentColor 25%,transparent)"
_CARD = f"display:inline-block;max-width:100%;box-sizing:border-box;overflow-x:auto;padding:.7em 1em;border-radius:6px;{_LINE}"
_FAINT = "opacity:.7"
_CELL = "padding:.15em 1.2em .15em 0;text-align:left;vertical-align:top;white-space:pre-wrap;overflow-wrap:break-word"
_NUMBER = "padding:.15em 1.2em .15em 0;text-align:right;vertical-align:top;white-space:nowrap"
_TABLE = "border-collapse:collapse;margin:.5em 0 0 0;font-size:.92em;font-variant-numeric:tabular-nums"


@dataclass(frozen=True)
class Table:
    """A small table of a card.

    Attributes:
        columns: names of the columns.
        rows: a value per column, shown as text; numbers stand to the right, with commas between thousands.
        title: above it, or what is clicked to unfold it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""


def card(
    title: str,
    *,
    verdict: str = "",
    notes: Iterable[str] = (),
    rows: Iterable[tuple[str, object]] = (),
    tables: Iterable[Table] = (),
    folded: Iterable[Table] = (),
) -> str:
    """Return a card: HTML that brings all it needs, without scripts, and that looks right on light and dark pages.

    All texts are escaped, and shown as `visible` does: they may come from anyone.

    Args:
        title: what the card is of.
        verdict: the sentence that matters most.
        notes: sentences a reader must know, such as warnings.
        rows: names and their values.
        tables: shown under the rows.
        folded: tables of which only the title is seen before it is clicked.
    """
    listed = list(rows)
    parts = [
        Markup('<div style="font-weight:600">{}</div>').format(_text(title)),
        *(
            Markup('<div style="margin-top:.3em">{}</div>').format(_text(line, LONGEST_SENTENCE))
            for line in (verdict, *notes)
            if line
        ),
        *([_rows(listed)] if listed else []),
        *(_titled(table) for table in tables),
        *(_folded(table) for table in folded),
    ]
    return str(Markup('<div style="{}">{}</div>').format(_CARD, Markup("").join(parts)))


def _sentence(text: str) -> Markup:
    return Markup('<div style="margin-top:.3em">{}</div>').format(_text(text, LONGEST_SENTENCE))


def _rows(rows: Iterable[tuple[str, object]]) -> Markup:
    cells = (
        Markup('<tr><th scope="row" style="{}">{}</th><td style="{}">{}</td></tr>').format(
            f"{_CELL};font-weight:normal;{_FAINT}", _text(name), _CELL, _text(value)
        )
        for name, value in rows
    )
    return Markup('<table style="{}"><tbody>{}</tbody></table>').format(_TABLE, Markup("").join(cells))


def _titled(table: Table) -> Markup:
    title = Markup('<div style="margin-top:.7em">{}</div>').format(_text(table.title)) if table.title else Markup("")
    return title + _table(table)


def _folded(table: Table) -> Markup:
    return Markup(
        '<details style="margin-top:.5em"><summary style="cursor:pointer;{}">{}</summary>{}</details>'
    ).format(_FAINT, _text(table.title), _table(table))


def _table(table: Table) -> Markup:
    cells = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    styles = [_NUMBER if own and all(map(_is_number, own)) else _CELL for own in cells]
    head = Markup("").join(
        Markup('<th scope="col" style="{}">{}</th>').format(f"{style};font-weight:600", _text(name))
        for name, style in zip(table.columns, styles, strict=True)
    )
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                Markup('<td style="{}">{}</td>').format(style, _text(value))
                for value, style in zip(row, styles, strict=True)
            )
        )
        for row in table.rows
    )
    return Markup('<table style="{}"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>').format(_TABLE, head, body)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object, longest: int = LONGEST_CELL) -> Markup:
    text = visible(f"{value:,}" if _is_number(value) else str(value))
    return escape(text if len(text) <= longest else f"{text[: longest - 1]}…")
