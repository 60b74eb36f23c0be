"""The tables of a report: the methods that each command has scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bottleneck_features.pipeline.tables import PROBE_COLUMNS, pair_line, probe_rows, table_columns, table_rows

PROBES_SHOWN = 10


@dataclass(frozen=True)
class MethodTable:
    """A table: its title, columns, rows of text, and a line for each two methods compared on the same images."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    pairs: Sequence[str] = ()


def method_tables(results: Mapping[str, Mapping[str, Any]]) -> list[MethodTable]:
    """Return what each command that scores has found, in the order of the results."""
    tables = []
    for command, result in results.items():
        pairs = [pair_line(pair, result["scored_on"]) for pair in result.get("pairs", ())]
        if command == "probe":
            split = result["scored_on"]
            tables.append(_probes("The best probe of each family", result["methods"], split, pairs))
            best = result["table"][:PROBES_SHOWN]
            tables.append(_probes(f"The best {len(best)} probes on validation images", best, "validation", ()))
        elif "methods" in result:
            columns, rows = table_columns(result["methods"]), table_rows(result["methods"])
            title = "Methods on the same images" if command == "compare" else f"What {command} trained"
            tables.append(MethodTable(title, columns, rows, pairs))
    return tables


def _probes(title: str, methods: list[Mapping[str, Any]], split: str, pairs: Sequence[str]) -> MethodTable:
    """Family and layers in one column, for narrow windows."""
    rows = [(f"{family} on {layers}", *others) for family, layers, *others in probe_rows(methods, split)]
    return MethodTable(title, ("probe", PROBE_COLUMNS[2], split, PROBE_COLUMNS[4]), rows, pairs)
