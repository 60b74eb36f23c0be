"""The card that a notebook shows of a result."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bottleneck_features.cards import Table, card
from bottleneck_features.pipeline.api.tables import ordered_methods, table_of
from bottleneck_features.pipeline.method_names import COMPARE_BACKBONES
from bottleneck_features.pipeline.reporting.networks import (
    networks_columns,
    networks_legend,
    networks_marks,
    networks_rows,
)
from bottleneck_features.pipeline.reporting.verdicts import verdict_of
from bottleneck_features.pipeline.tables import (
    EVALUATED_COLUMNS,
    curve_columns,
    curve_rows,
    evaluated_rows,
    shown_name,
    shown_splits,
    table_columns,
    table_rows,
)

Content = Mapping[str, Any]
MOST_ROWS, MOST_WARNINGS = 8, 3  # that are not folded
MOST_FOLDED = 40  # rows
_FRACTIONS = ("probability",)


def result_card(content: Content, said: Iterable[str], places: Iterable[tuple[str, object]]) -> str:
    """Return a result as HTML: its answer, what a reader must know of it, and a small table; the rest is folded.

    Args:
        content: the object that `--json` prints.
        said: how the data were understood.
        places: names of files and folders, and where they are.
    """
    warnings = [f"! {text}" for text in dict.fromkeys(content["warnings"])]
    shown, whole = _tables(content)
    return card(
        f"{content['command']} · {content['experiment']['name']}",
        answer=verdict_of(content),
        notes=[
            *content.get("reasons", ())[1:],  # the first is in the answer
            *content.get("cannot_tell", ()),
            content.get("caveats", ""),
            *warnings[:MOST_WARNINGS],
        ],
        tables=shown,
        folded=[
            *_lines("more warning", warnings[MOST_WARNINGS:]),
            *whole,
            *_lines("note", [*said, *content.get("notes", ())]),
            Table(("what", "where"), list(places), "Files"),
        ],
    )


def _lines(kind: str, lines: Sequence[str]) -> list[Table]:
    title = f"{len(lines):,} {kind}{'' if len(lines) == 1 else 's'}"
    return [Table((kind.removeprefix("more "),), [(line,) for line in lines], title)] if lines else []


def _tables(content: Content) -> tuple[list[Table], list[Table]]:
    """Return a table of a few rows and columns, and, if that leaves something out, one of more."""
    table, columns = _TABLES.get(content["command"], _methods if "methods" in content else _plain)(content)
    if not table.rows:
        return [], []
    cells = [[row[column] for column in columns] for row in table.rows[:MOST_ROWS]]
    shown = Table([table.columns[column] for column in columns], cells, table.title)
    rows = len(table.rows)
    if len(cells) == rows and len(columns) == len(table.columns):
        return [shown], []
    title = "All columns" if len(cells) == rows else f"All {rows:,} rows"
    if rows > MOST_FOLDED:
        title = f"{MOST_FOLDED} of {rows:,} rows; all: .table"
    return [shown], [Table(table.columns, table.rows[:MOST_FOLDED], title)]


def _methods(content: Content) -> tuple[Table, Sequence[int]]:
    select = content.get("select", "accuracy")
    rows = ordered_methods(content)
    title = f"{shown_name(select)} with its 95 % interval; the answer is of the first".capitalize()
    columns = table_columns(rows)
    scored = 1 + shown_splits(rows).index(content["scored_on"])
    return Table(columns, table_rows(rows, select), title), (0, scored, columns.index("training"))


def _networks(content: Content) -> tuple[Table, Sequence[int]]:
    marked = zip(networks_marks(content), networks_rows(content), strict=True)
    rows = [(mark + name, *cells) for mark, (name, *cells) in marked]
    return Table(networks_columns(content), rows, networks_legend(content)), range(4)


def _images(content: Content) -> tuple[Table, Sequence[int]]:
    images = content["images"]
    rows = [(name, *(own[name] for own in images.values())) for name in next(iter(images.values()))]
    return Table(("class", *images), rows), range(1 + len(images))


def _evaluated(content: Content) -> tuple[Table, Sequence[int]]:
    return Table(EVALUATED_COLUMNS, evaluated_rows(content["per_class"]), "The lowest recall first"), range(3)


def _curve(content: Content) -> tuple[Table, Sequence[int]]:
    columns = curve_columns(content["points"])
    return Table(columns, curve_rows(content["points"])), range(len(columns))


def _bench(content: Content) -> tuple[Table, Sequence[int]]:
    from bottleneck_features.pipeline.stages.bench import BENCH_COLUMNS, bench_rows

    ordered = sorted(content["variants"], key=lambda variant: -variant["ratio"])
    return Table(BENCH_COLUMNS, bench_rows(ordered)), (0, 1, 3)


def _plain(content: Content) -> tuple[Table, Sequence[int]]:
    try:
        rows = table_of(content)
    except (AttributeError, OSError):  # there is none, or its file is gone
        rows = []
    columns = [name for name in (rows[0] if rows else ()) if any(row[name] is not None for row in rows)]
    cells = [[_text(name, row[name]) for name in columns] for row in rows]
    shown = [number for number, name in enumerate(columns) if name != "distance"]
    return Table([name.replace("_", " ") for name in columns], cells), shown


def _text(name: str, value: Any) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "×".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.1%}" if name in _FRACTIONS else f"{value:.3g}"
    return "–" if value is None else value


_TABLES: Mapping[str, Callable[[Content], tuple[Table, Sequence[int]]]] = {
    COMPARE_BACKBONES: _networks,
    "inspect": _images,
    "evaluate": _evaluated,
    "label-curve": _curve,
    "bench": _bench,
}
