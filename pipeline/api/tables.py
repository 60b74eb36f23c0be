"""What a result is about, as rows of plain values."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bottleneck_features.pipeline.method_names import COMPARE_BACKBONES, method_label, row_label
from bottleneck_features.pipeline.reporting.answer import best_method
from bottleneck_features.pipeline.reporting.networks import ordered_networks
from bottleneck_features.pipeline.tables import select_name, select_value
from bottleneck_features.plain import csv_cell

Content = Mapping[str, Any]
Rows = list[dict[str, Any]]


def table_of(content: Content) -> Rows:
    """Return the rows of a result: see `Result.table`.

    Args:
        content: the object that `--json` prints.

    Raises:
        AttributeError: the command has no table.
    """
    if find := _TABLES.get(content["command"]):
        return find(content)
    if "methods" in content:
        return _methods(content)
    raise AttributeError(f"{content['command']} has no table; bf.compare(data) makes one of methods.")


def ordered_methods(content: Content) -> list[Mapping[str, Any]]:
    """Return the methods of a result, that of the verdict first, the others by the figure that decides."""
    split, select = content["scored_on"], content.get("select", "accuracy")
    chosen = _chosen(content)
    return sorted(content["methods"], key=lambda row: (row_label(row) != chosen, -select_value(row, split, select)))


def _chosen(content: Content) -> str:
    return content.get("best") or row_label(best_method(content))


def _methods(content: Content) -> Rows:
    split, select, chosen = content["scored_on"], content.get("select", "accuracy"), _chosen(content)
    ordered = ordered_methods(content)
    return [_method(row, split, select) | {"chosen": row_label(row) == chosen} for row in ordered]


def _method(row: Mapping[str, Any], split: str, select: str) -> dict[str, Any]:
    low, high = row["interval"][split]
    found = {
        "method": row_label(row),
        "accuracy": row["accuracy"][split],
        "low": low,
        "high": high,
        "n": row["n"][split],
        "scored_on": split,
    }
    if select not in ("accuracy", "log-loss"):
        found[select_name(select)] = select_value(row, split, select)
    if split != "validation":
        found["validation"] = row["accuracy"].get("validation")
    return found | {
        "balanced_accuracy": row.get("balanced_accuracy", {}).get(split),
        "parameters": row["parameters"],
        "training_seconds": row["seconds"]["train"],
        "extraction_seconds": row["seconds"]["extract"],
    }


def _networks(content: Content) -> Rows:
    split, select = content["scored_on"], content["select"]
    return [
        _method(row, split, select)
        | {"method": row["name"], "probe": method_label(row["family"], row["layers"])}
        | {name: row["network"][name] for name in _OF_NETWORKS}
        | {"chosen": row["name"] == content["winner"]}
        for row in ordered_networks(content)
    ]


def _predictions(content: Content) -> Rows:
    if not content["out"] and "predictions" not in content:
        raise AttributeError("predict wrote its table to stdout; with --out FILE there is one to read again.")
    if content["out"]:
        with Path(content["out"]).open(encoding="utf-8", newline="") as file:
            named = {csv_cell(name): name for name in content["labels"]}
            return [_of_csv(row, named) for row in csv.DictReader(file)]
    return [
        {
            "file": one["file"],
            "label": one["label"],
            "probability": one["classes"][0]["probability"] if one["classes"] else None,
            "unlike": one["unlike"],
            "distance": one["distance"],
            "error": one["error"],
        }
        for one in content["predictions"]
    ]


def _of_csv(row: Mapping[str, str], named: Mapping[str, str]) -> dict[str, Any]:
    return {
        "file": row["file"],
        "label": named.get(row["label"]),
        "probability": float(row["probability"]) if row["probability"] else None,
        "unlike": {"yes": True, "no": False}.get(row["unlike"]),
        "distance": float(row["distance"]) if row["distance"] else None,
        "error": row["error"] or None,
    }


def _classes(content: Content) -> Rows:
    return [
        {
            "class": one["name"],
            "n": one["n"],
            "recall": one["recall"] and one["recall"]["value"],
            "low": one["recall"] and one["recall"]["low"],
            "high": one["recall"] and one["recall"]["high"],
            "precision": one["precision"],
            "taken_for": one["taken_for"],
            "taken": one["taken"],
        }
        for one in content["per_class"]
    ]


def _images(content: Content) -> Rows:
    return [
        {"split": split, "class": name, "images": count}
        for split, counts in content["images"].items()
        for name, count in counts.items()
    ]


def _points(content: Content) -> Rows:
    return [
        {
            "per_class": point["per_class"],
            "method": point["method"],
            "accuracy": point["mean"],
            "low": (point["interval"] or (None, None))[0],
            "high": (point["interval"] or (None, None))[1],
            "seeds": point["seeds"],
        }
        for point in content["points"]
    ]


def _rows(key: str) -> Callable[[Content], Rows]:
    return lambda content: [dict(row) for row in content[key]]


def _layers(content: Content) -> Rows:
    return [{"layer": layer, "shape": tuple(shape)} for layer, shape in content["layers"].items()]


_OF_NETWORKS = ("backbone", "weights", "images_per_second", "megabytes", "gflop_per_image", "notice")
_TABLES: Mapping[str, Callable[[Content], Rows]] = {
    COMPARE_BACKBONES: _networks,
    "predict": _predictions,
    "evaluate": _classes,
    "inspect": _images,
    "label-curve": _points,
    "bench": _rows("variants"),
    "export": _rows("exported"),
    "features": _layers,
}
