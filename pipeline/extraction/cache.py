"""The cache that belongs to an experiment: its identity, and opening it or saying why it does not match."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock
from pydantic import Field, TypeAdapter

from bottleneck_features import features, models
from bottleneck_features.foreign import read_json
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.errors import NoCache
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.results import write_text


def experiment_identity(experiment: Experiment, dataset: Dataset) -> dict[str, Any]:
    """Return what a cache holds: the images by split, their labels, and the recipe of their features.

    Args:
        experiment: the experiment.
        dataset: its open data set.

    Returns:
        A flat dictionary of JSON values: a digest of ids and contents for each split, `dataset.labels`, a digest of labels,
        groups and class names, and what `recipe` returns.
    """
    images = {f"dataset.{split}": dataset.fingerprint(split) for split in dataset.splits}
    return {**images, "dataset.labels": targets_of(dataset).digest, **recipe(experiment, dataset)}


def recipe(experiment: Experiment, dataset: Dataset) -> dict[str, Any]:
    """Return everything that the features of an image depend on besides the image and the machine, by setting."""
    return {**settings_identity(experiment), **dataset.identity}


def targets_of(dataset: Dataset) -> features.Targets:
    """Return the labels, groups and class names of a data set."""
    labels = {split: samples.labels for split, samples in dataset.splits.items()}
    return features.Targets(tuple(dataset.class_names), labels, dataset.groups)


def settings_identity(experiment: Experiment) -> dict[str, Any]:
    """Return the settings that change the features' numbers, for any images: a part of `recipe`."""
    compute = experiment.compute
    engine, precision = models.resolve_engine(compute.engine, compute.precision)
    weights = models.weights_identity(experiment.backbone.name, experiment.backbone.weights, experiment.seed)
    identity = {
        "input.size": list(experiment.input.size),
        "input.resize": experiment.input.resize,
        "input.antialias": experiment.input.antialias,
        "input.views": list(experiment.input.views),
        "backbone.name": backbone_label(experiment),
        "backbone.weights": f"{weights.source}:{weights.sha256}",
        "backbone.layers": list(experiment.backbone.layers),
        "backbone.preprocessing": models.preprocessing(experiment.backbone.name),
        "features.pooling": list(experiment.features.pooling),
        "features.dtype": experiment.features.dtype,
        "compute.engine": engine,
        "compute.precision": precision,
        "compute.batch_size": compute.batch_size,
    }
    if precision == "int8":
        identity["compute.calibration"] = compute.calibration
    return identity


def backbone_label(experiment: Experiment) -> str:
    """Return the backbone's name as folders, pictures and reports show it; random weights are part of the name."""
    name = (
        Path(experiment.backbone.name).stem
        if models.is_model_file(experiment.backbone.name)
        else experiment.backbone.name
    )
    random = "-RANDOM-WEIGHTS" if experiment.backbone.weights == "random" else ""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name) + random


def cache_name(experiment: Experiment) -> str:
    """Return the readable part of the cache folder's name."""
    return f"{experiment.name}-{backbone_label(experiment)}"


def cache_root(home: Path) -> Path:
    """Return the folder that holds all caches."""
    return home / "features"


def cache_folders(home: Path) -> list[Path]:
    """Return the folders of all caches of a home, finished or not."""
    return [info.parent for info in cache_root(home).glob("*/manifest.json")]


def cache_url(experiment: Experiment, path: Path) -> str:
    """Return where the cache at `path` is in the experiment's object store; empty without a store."""
    return f"{experiment.features.store.rstrip('/')}/{path.name}" if experiment.features.store else ""


def open_cache(experiment: Experiment, home: Path, identity: Mapping[str, Any]) -> features.Features:
    """Open the complete cache of exactly this experiment.

    Args:
        experiment: the experiment.
        home: the artifacts folder.
        identity: from `experiment_identity`.

    Returns:
        The `features.Features`.

    Raises:
        NoCache: there is none; the message names the nearest cache and every differing field with both values.
        features.CacheIncomplete: its extraction has not finished.
        features.CacheDamaged: a file of it is missing, truncated or not what its manifest says; shards are hashed, see
            `features.require_unchanged`.
        features.CacheRemoved: it is removed meanwhile.
        features.CacheMismatch: its folder holds the features of something else.
        features.CacheVersion: its format is of another release.
        models.ModelError: a setting names a backbone, weights or an engine that are not available.
        features.StoreError: the object store, if the experiment has one, does not answer.
    """
    wanted = features.cache_path(cache_root(home), cache_name(experiment), identity)
    if (url := cache_url(experiment, wanted)) and not features.describe_cache(wanted).complete:
        with suppress(features.CacheMissing):
            features.fetch(url, wanted)
    try:
        path = features.find_cache(cache_root(home), cache_name(experiment), identity)
    except features.CacheMissing as error:
        raise NoCache(str(error)) from error
    with features.noticing_removal(path):
        cache = features.open_features(path)
        features.require_unchanged(path)
    return cache


def data_warnings(experiment: Experiment, dataset: Dataset) -> tuple[str, ...]:
    """Return warnings about the data and the weights, which every result repeats."""
    weights = models.weights_identity(experiment.backbone.name, experiment.backbone.weights, experiment.seed)
    warnings = []
    if weights.source == "random":
        warnings.append(
            f"RANDOM WEIGHTS: {experiment.backbone.name} was not pre-trained; no figure here is about transfer learning."
        )
    if weights.notice:
        warnings.append(f"Weights: {weights.notice}")
    if "not the official" in dataset.title:
        warnings.append(f"Data: {dataset.title}; figures are not comparable with published ones.")
    return (*warnings, *dataset.notices)


SPEEDS, SPEEDS_LOCK = "speeds.json", "speeds.lock"
_SPEED_TABLE = TypeAdapter(
    dict[str, tuple[Annotated[int, Field(ge=0, lt=1 << 62)], Annotated[float, Field(gt=0, lt=1e18)]]]
)


def extraction_speed(home: Path, recipe_key: str) -> float | None:
    """Return the images/s at which features of a recipe were computed, over all runs in a home; None when it is not known.

    Args:
        home: the artifacts folder.
        recipe_key: SHA-256 of the recipe.
    """
    images, seconds = _speeds(home).get(recipe_key, (0, 0.0))
    return round(images / seconds, 2) if images else None


def remember_speed(home: Path, recipe_key: str, images: int, seconds: float) -> None:
    """Add a finished run to the speed of a recipe; runs that end at the same time are all counted."""
    if not images:
        return
    with FileLock(home / SPEEDS_LOCK):
        speeds = _speeds(home)
        images_before, seconds_before = speeds.get(recipe_key, (0, 0.0))
        speeds[recipe_key] = (images_before + images, seconds_before + seconds)
        write_text(home / SPEEDS, json.dumps(speeds, indent=1))


def _speeds(home: Path) -> dict[str, tuple[int, float]]:
    try:
        return _SPEED_TABLE.validate_python(read_json(home / SPEEDS))
    except (OSError, ValueError):
        return {}
