"""What may be typed after each command: words of commands that work as they are printed."""

import math
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bottleneck_features import models
from bottleneck_features.pipeline.asked_experiment import set_words
from bottleneck_features.pipeline.method_names import BEST_PROBE, NETWORKS
from bottleneck_features.pipeline.reporting.answer import best_method
from bottleneck_features.pipeline.reporting.sources import read_result

Words = tuple[str, ...]
UNKNOWN_SECONDS = 600.0  # allowed for a method whose time is not known
BESIDE = 30.0  # seconds for the report, and what else there is beside a method


def typed(command: str, words: Sequence[str]) -> list[Words]:
    """Return one command: its name, of one word or several, and the words that name what it is about."""
    return [("bottleneck", *command.split(), *words)]


def after_extraction(result: Mapping[str, Any], options: Words) -> list[Words]:
    """Return what follows stage one: stage two, or the next part of the cache."""
    if not result["shards_left"]:
        return typed("train-head", options)
    number, of = map(int, result["part"].split("/"))
    return typed("features", (*options, "--shard", f"{number % of + 1}/{of}"))


def after_comparison(result: Mapping[str, Any], options: Words, of_models: Words, probed: Path) -> list[Words]:
    """Return what makes the best method's model, or what exports it where it is there.

    Args:
        result: of `compare`.
        options: the words that name the experiment.
        of_models: the words that name its trained models.
        probed: the folder of the results of `probe`.
    """
    best = best_method(result)
    if best["name"] in NETWORKS:
        return typed("fine-tune", (*options, "--method", best["name"]))
    if not (probed / "head.npz").is_file():
        return typed("probe", options)
    return _export(result, _probed(probed), of_models) or typed("advise", options)


def after_networks(result: Mapping[str, Any], options: Words) -> list[Words]:
    """Return what keeps a model of the first network that `compare --backbones` has found."""
    network = next(row["network"] for row in result["methods"] if row["name"] == result["best"])
    settings, own = [], result["experiment"]
    if network["backbone"] != own["backbone"]["name"]:
        layers = ",".join(network["features"])
        settings += [f"backbone.name={network['backbone']}", "backbone.weights=imagenet", f"backbone.layers={layers}"]
    if network["input_size"] != own["input"]["size"]:
        settings.append(f"input.size={','.join(map(str, network['input_size']))}")
    return typed("probe", (*options, *set_words(tuple(settings))))


def after_run(result: Mapping[str, Any], options: Words, of_models: Words) -> list[Words]:
    """Return what exports the model, and what adds the methods that were left out for time."""
    kept = next(row for row in result["methods"] if row.get("kept") or row["name"] == BEST_PROBE)
    enough = enough_minutes(result["minutes"], *result["skipped"].values())
    more = typed("run", (*options, "--minutes", str(enough))) if result["skipped"] else []
    return [*_export(result, kept, of_models), *more]


def enough_minutes(minutes: float, *skipped: float | None) -> int:
    """Return the minutes that leave time, beyond those there were, for methods of so many seconds too; None: not known."""
    wanted = sum(UNKNOWN_SECONDS if seconds is None else seconds for seconds in skipped)
    return math.ceil(minutes + (wanted + BESIDE) / 60)


def after_report(result: Mapping[str, Any], of_models: Words, probed: Path) -> list[Words]:
    """Return what adds to the page; where nothing is missing on it, what exports the model of `probe`.

    Args:
        result: of `report`.
        of_models: the words that name the experiment's trained models.
        probed: the folder of the results of `probe`.
    """
    more: list[Words] = [tuple(shlex.split(command)) for command in result["missing"]]
    return more or _export(result, _probed(probed), of_models)


def after_advice(result: Mapping[str, Any]) -> list[Words]:
    """Return what makes the recommended model, and what compares it with others."""
    return [tuple(shlex.split(command)) for command in result["commands"]]


def after_training(result: Mapping[str, Any], of_models: Words) -> list[Words]:
    """Return what exports a trained network."""
    return typed("export", (*of_models, "--model", result["command"]))


def after_prediction(result: Mapping[str, Any], of_models: Words) -> list[Words]:
    """Return what exports the model that classified."""
    which = () if "--model" in of_models else ("--model", result["model"]["name"])
    return _export(result, {"name": result["model"]["method"]}, (*of_models, *which))


def after_export(result: Mapping[str, Any]) -> list[Words]:
    """Return what shows the code that runs the exported files."""
    return [("cat", next(file for file in result["files"] if file.endswith(".md")))]


def _probed(folder: Path) -> Mapping[str, Any]:
    """Return the row of the model that `probe` has kept."""
    result, _ = read_result(folder.parent, folder.name)
    return next((row for row in result.get("methods", ()) if row.get("kept")), {"name": "knn"})


def _export(result: Mapping[str, Any], row: Mapping[str, Any], of_models: Words) -> list[Words]:
    """Return what exports a method's model: nothing of k-NN and of networks that are run as they are, which cannot be."""
    name = dict(result.get("experiment", {}).get("backbone", {})).get("name", "")
    finished = False
    with suppress(models.ModelError):
        finished = bool(name and models.named_source(name).trainable)
    return [] if finished or row.get("family", row["name"]) == "knn" else typed("export", of_models)
