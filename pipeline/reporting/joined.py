"""What is known of the images of a cache besides their features: their files, predictions of them, their places on the map."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features.errors import BottleneckError
from bottleneck_features.features import Beside, Column, Features, Split
from bottleneck_features.pipeline.datasets import image_root
from bottleneck_features.pipeline.datasets.dataset import Samples
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.evaluation.predictions import Predictions, load_predictions
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.experiment_file import as_made, restored_experiment
from bottleneck_features.pipeline.method_names import row_label, row_title
from bottleneck_features.pipeline.reporting.answer import answering, best_method
from bottleneck_features.pipeline.reporting.feature_map import lay_out, layer_of
from bottleneck_features.pipeline.reporting.sources import SCORING, read_result


@dataclass(frozen=True)
class Joined:
    """What goes beside the features of a cache, and a sentence on each thing that does not.

    Attributes:
        beside: the columns `path` (where images are in files of their own) and, where a command has scored a method on these
            features, `predicted`, `confidence`, `method`, `map_x` and `map_y`.
        remarks: what is left out, and why.
    """

    beside: Beside
    remarks: tuple[str, ...]


def joined(cache: Features, made_by: Mapping[str, Any] | None, home: Path) -> Joined:
    """Join what is known of the images of a cache.

    Args:
        cache: complete.
        made_by: the settings that it was made by, as it keeps them; None where it keeps none: it was imported.
        home: the artifacts folder, with the results of commands.
    """
    if made_by is None:
        return Joined(Beside(), ("Paths and predictions are not known: these features were imported.",))
    try:
        experiment = restored_experiment(as_made(made_by), "the cache")
    except RequestError as error:
        return Joined(Beside(), (f"Paths and predictions are left out: {error}",))
    files, no_files = _paths(experiment)
    answers, no_answers = _answers(cache, home / "runs" / experiment.name)
    about = {"experiment": experiment.name, **answers.about}
    return Joined(Beside({**files, **answers.columns}, about), (*no_files, *no_answers))


def _paths(experiment: Experiment) -> tuple[dict[str, Column], tuple[str, ...]]:
    try:
        root = image_root(experiment.dataset)
    except BottleneckError as error:
        return {}, (f"Paths are left out: {error}",)
    if root is None:
        return {}, ()

    def paths(split: Split, rows: slice) -> list[str | None]:
        found = (str(root / one) for one in split.ids[rows].tolist())
        return [path if os.path.isfile(path) else None for path in found]  # noqa: PTH113 - pathlib's raises for a long name

    return {"path": Column("text", paths)}, ()


def _answers(cache: Features, runs: Path) -> tuple[Beside, tuple[str, ...]]:
    """Return the columns of the predictions that a report of these features shows in detail, and of its map."""
    read = {name: read_result(runs, name) for name in SCORING}
    results = {name: result for name, (result, _) in read.items() if result and result["cache_key"] == cache.key}
    if not results:
        wrong = [f"The result of {name} is not used: {reason}." for name, (_, reason) in read.items() if reason]
        none = (
            "There are no predictions to join: there is no result of a command that scored a method on these features."
        )
        return Beside(), tuple(wrong) or (none,)
    command = answering(results)
    result, best = results[command], best_method(results[command])
    found = load_predictions(result, runs / command)
    if found is None or row_label(best) not in found.predicted or not _are_of(found, cache):
        damaged = "its predictions.npz is missing, or damaged, or belongs to another result"
        return Beside(), (f"The predictions of {command} are left out: {damaged}.",)
    about = {
        "command": command,
        "method": row_label(best),
        "title": row_title(best),
        "scored_on": result["scored_on"],
        "seed": result["experiment"]["seed"],
    }
    columns, layer = _predicted(cache, found, row_label(best)), layer_of(cache, best)
    axes = _on_the_map(cache, layer, found, about["seed"])
    if not axes:
        return Beside(columns, about), ("There is no map: the scored images are too few, or alike.",)
    return Beside(columns | axes, {**about, "projection": f"t-SNE of the features of {layer}"}), ()


def _are_of(found: Predictions, cache: Features) -> bool:
    split = cache.get(found.split)
    samples = None if split is None else Samples(split.ids, split.y)
    return found.are_of(samples, len(cache.class_names))


def _on_the_map(cache: Features, layer: str, found: Predictions, seed: int) -> dict[str, Column]:
    placed = lay_out(cache, layer, found, seed)
    if placed is None:
        return {}
    axes = zip(("map_x", "map_y"), placed.places["t-SNE"].T, strict=True)
    return {name: _numbers(cache, found.split, placed.indices, values) for name, values in axes}


def _predicted(cache: Features, found: Predictions, method: str) -> dict[str, Column]:
    indices = found.positions(np.arange(len(found.ids)), cache[found.split].ids)
    classes = np.full(len(cache[found.split]), -1)
    classes[indices] = found.predicted[method]

    def predicted(split: Split, rows: slice) -> list[str | None]:
        own = classes[rows] if split.name == found.split else np.full(len(split.y[rows]), -1)
        return [None if one < 0 else cache.class_names[one] for one in own.tolist()]

    def methods(split: Split, rows: slice) -> list[str | None]:
        return [None if one is None else method for one in predicted(split, rows)]

    confidence = found.confidence.get(method, np.full(len(indices), np.nan))
    return {
        "predicted": Column("text", predicted),
        "confidence": _numbers(cache, found.split, indices, confidence),
        "method": Column("text", methods),
    }


def _numbers(cache: Features, split: str, indices: np.ndarray, values: np.ndarray) -> Column:
    """Return a column with the values of some samples of a split, and none of all others."""
    whole = np.full(len(cache[split]), np.nan, np.float32)
    whole[indices] = values

    def numbers(asked: Split, rows: slice) -> list[float | None]:
        own = whole[rows] if asked.name == split else np.full(len(asked.y[rows]), np.nan)
        return [None if np.isnan(one) else one for one in own.tolist()]

    return Column("number", numbers)
