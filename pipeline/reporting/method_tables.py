"""The tables of a report: the methods that each command has scored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bottleneck_features.pipeline.evaluation.per_class import per_class
from bottleneck_features.pipeline.evaluation.scores import confusion
from bottleneck_features.pipeline.figures import MEASURES
from bottleneck_features.pipeline.method_names import row_title
from bottleneck_features.pipeline.reporting.answer import answering, best_method, scored_methods
from bottleneck_features.pipeline.reporting.networks import networks_columns, networks_rows, networks_verdict, notices
from bottleneck_features.pipeline.tables import (
    PROBE_COLUMNS,
    SPLIT_TITLES,
    figure_text,
    pair_line,
    percent_text,
    probe_rows,
    select_name,
    shown_name,
    spread_columns,
    spread_rows,
    table_columns,
    table_rows,
)

PROBES_SHOWN = 10
FIGURES = ("accuracy", *(name.replace("_", "-") for name in MEASURES))


@dataclass(frozen=True)
class MethodTable:
    """A table.

    Attributes:
        title: of what.
        columns: their names.
        rows: of text.
        pairs: a line for each two methods that were compared.
        note: what explains it.
        marked: which row is of the method that the page shows in detail; None: no row.
        opens: whether it is of the command that the page answers from; others are folded away.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    pairs: Sequence[str] = ()
    note: str = ""
    marked: int | None = None
    opens: bool = True


def method_tables(results: Mapping[str, Mapping[str, Any]]) -> list[MethodTable]:
    """Return what each command that scores has found, in the order of the results."""
    main = answering(results)
    return [
        replace(table, opens=command == main)
        for command, result in scored_methods(results).items()
        for table in _tables(command, result, command == main, "compare" in results)
    ]


def _tables(command: str, result: Mapping[str, Any], of_main: bool, compared: bool) -> Iterator[MethodTable]:
    """Give the tables of one command; `compared`: whether there is a comparison too, which has the figures of single methods."""
    shown = row_title(best_method(result)) if of_main else None
    pairs = [pair_line(pair, result["scored_on"]) for pair in result.get("pairs", ())]
    select = result.get("select", "accuracy")
    if command == "probe":
        families = _probes("The best probe of each family", result["methods"], result["scored_on"], select, pairs)
        yield _marking(shown, families)
        best = result["table"][:PROBES_SHOWN]
        yield _probes(f"The best {len(best)} probes on validation images", best, "validation", select)
    else:
        columns, rows = table_columns(result["methods"]), table_rows(result["methods"], select)
        title = "Methods on the same images" if command == "compare" else f"What {command} trained"
        yield _marking(shown, MethodTable(f"{title}: {shown_name(select)}", columns, rows, pairs))
    if command in ("compare", "probe") or not compared:
        yield from (_marking(shown, table) for table in _figures(command, result))
    if seeds := result.get("seeds"):
        title = f"Spread over seeds ({command}): {shown_name(seeds['measure'])}"
        yield MethodTable(title, spread_columns(seeds), spread_rows(seeds), note=seeds["protocol"])


@dataclass(frozen=True)
class NetworksSection:
    """What a page shows of compared networks: a sentence or two, their table, and where their weights come from."""

    verdict: str
    table: MethodTable
    notices: Sequence[str]


def networks_section(result: Mapping[str, Any] | None) -> NetworksSection | None:
    """Return what a page shows of the result of `compare --backbones`; None where there is none."""
    if result is None:
        return None
    pairs = [pair_line(pair, result["scored_on"]) for pair in result["pairs"]]
    title = f"The best probe of each network: {shown_name(result['select'])}"
    marked = 0 if result["winner"] else None
    table = MethodTable(title, networks_columns(result), networks_rows(result), pairs, marked=marked)
    return NetworksSection(" ".join(networks_verdict(result)), table, notices(result))


def _marking(shown: str | None, table: MethodTable) -> MethodTable:
    titles = [row[0] for row in table.rows]
    return replace(table, marked=titles.index(shown) if shown in titles else None)


def _figures(command: str, result: Mapping[str, Any]) -> list[MethodTable]:
    """Return the figures that see unequal classes, where the rows have them."""
    split = result["scored_on"]
    rows = [row for row in result["methods"] if row.get("balanced_accuracy", {}).get(split) is not None]
    if not rows:
        return []
    shown = [
        name for name in FIGURES if any(row.get(name.replace("-", "_"), {}).get(split) is not None for row in rows)
    ]
    columns = ("method", *map(select_name, shown), "worst recall", "most frequent class alone")
    texts = [
        (
            row_title(row),
            *(figure_text(row, split, name, named=False) for name in shown),
            percent_text(row["worst_recall"][split]),
            percent_text(row["majority"][split]),
        )
        for row in rows
    ]
    where = SPLIT_TITLES.get(split, f"on {split} images")
    return [MethodTable(f"All figures, {where} ({command})", columns, texts)]


def _probes(
    title: str, methods: list[Mapping[str, Any]], split: str, select: str, pairs: Sequence[str] = ()
) -> MethodTable:
    columns = tuple(SPLIT_TITLES.get(split, split) if name == "validation" else name for name in PROBE_COLUMNS)
    return MethodTable(f"{title}: {shown_name(select)}", columns, probe_rows(methods, split, select), pairs)


@dataclass(frozen=True)
class ClassRow:
    """How well a method tells one class from the others.

    Attributes:
        number: of the class.
        name: of the class.
        n: its scored images.
        precision: 0..1; None where nothing was taken for it.
        recall: 0..1.
        interval: the ends of recall's interval at 95 %.
        f1: 0..1.
        taken_for: the class that its images were most often taken for; empty where all are right.
        taken: how many were.
    """

    number: int
    name: str
    n: int
    precision: float | None
    recall: float
    interval: tuple[float, float]
    f1: float
    taken_for: str
    taken: int


@dataclass(frozen=True)
class ClassTable:
    """A method's rows, the lowest F1 first, and its unweighted mean F1."""

    method: str
    rows: tuple[ClassRow, ...]
    macro_f1: float


def class_table(
    method: str, labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str], groups: np.ndarray | None = None
) -> ClassTable:
    """Measure a method on every class that was scored.

    Args:
        method: its name.
        labels: `(n,)` true classes.
        predicted: `(n,)` predicted classes.
        class_names: of the labels, each another one.
        groups: `(n,)` integers, of images that are not independent; the intervals count them.

    Returns:
        The `ClassTable`; a class that was never predicted has no precision, and an F1 of 0.
    """
    every = per_class(labels, predicted, confusion(labels, predicted, len(class_names)), class_names, groups)
    rows = [
        ClassRow(
            class_names.index(one.name), one.name, one.n, one.precision, one.recall.value,
            (one.recall.low, one.recall.high), one.f1 or 0.0, one.taken_for, one.taken,
        )
        for one in every
        if one.recall
    ]  # fmt: skip
    rows.sort(key=lambda row: row.f1)
    return ClassTable(method, tuple(rows), float(np.mean([row.f1 for row in rows])))
