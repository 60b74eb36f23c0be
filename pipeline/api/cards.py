"""The card that a notebook shows of a result."""

from collections.abc import Iterable, Mapping
from typing import Any

from bottleneck_features import cards
from bottleneck_features.pipeline.api.tables import ordered_methods, table_of
from bottleneck_features.pipeline.method_names import COMPARE_BACKBONES
from bottleneck_features.pipeline.reporting.networks import networks_columns, networks_legend, networks_rows
from bottleneck_features.pipeline.reporting.verdicts import verdict_of
from bottleneck_features.pipeline.tables import shown_name, table_columns, table_rows

MOST_ROWS = 8
_FRACTIONS = ("accuracy", "low", "high", "validation", "recall", "precision", "balanced_accuracy", "probability")


def result_card(content: Mapping[str, Any], said: Iterable[str], places: Iterable[tuple[str, object]]) -> str:
    """Return a result as HTML: its verdict, its table, where its files are, and what to know of it.

    Args:
        content: the object that `--json` prints.
        said: how the data were understood.
        places: names of files and folders, and where they are.
    """
    return cards.card(
        f"{content['command']} · {content['experiment']['name']}",
        verdict=verdict_of(content),
        notes=[
            *said,
            *content.get("reasons", ()),
            *content.get("cannot_tell", ()),
            *(f"! {text}" for text in content["warnings"]),
            *content.get("notes", ()),
        ],
        rows=places,
        tables=_tables(content),
    )


def _tables(content: Mapping[str, Any]) -> list[cards.Table]:
    if content["command"] == COMPARE_BACKBONES:
        return [cards.Table(networks_columns(content), networks_rows(content), networks_legend(content))]
    if "methods" in content:
        return [_methods(content)]
    if content["command"] == "inspect":
        return [_classes(content["images"])]
    try:
        rows = table_of(content)
    except AttributeError:
        return []
    columns = [name for name in rows[0] if any(row[name] is not None for row in rows)] if rows else []
    shown = [[_text(name, row[name]) for name in columns] for row in rows[:MOST_ROWS]]
    more = f"The first {MOST_ROWS} of {len(rows):,} rows; all: .table" if len(rows) > MOST_ROWS else ""
    return [cards.Table([name.replace("_", " ") for name in columns], shown, more)] if rows else []


def _methods(content: Mapping[str, Any]) -> cards.Table:
    select = content.get("select", "accuracy")
    rows = ordered_methods(content)
    title = f"{shown_name(select)} with its 95 % interval; the verdict is of the first".capitalize()
    return cards.Table(table_columns(rows), table_rows(rows, select), title)


def _classes(images: Mapping[str, Mapping[str, int]]) -> cards.Table:
    classes = list(next(iter(images.values())))
    rows = [(name, *(own[name] for own in images.values())) for name in classes[:MOST_ROWS]]
    more = f"The first {MOST_ROWS} of {len(classes):,} classes; all: .table" if len(classes) > MOST_ROWS else ""
    return cards.Table(("class", *images), rows, more)


def _text(name: str, value: Any) -> object:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.1%}" if name in _FRACTIONS else f"{value:.3g}"
    return value
