"""The cache that belongs to an experiment: its identity, and opening it or saying why it does not match."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from bottleneck_features import features, models
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.errors import NoCache
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.fingerprints import fingerprints


def experiment_identity(experiment: Experiment, dataset: Dataset, home: Path) -> dict[str, Any]:
    """Return everything that changes the features' numbers, by the name of the setting it comes from.

    Args:
        experiment: the experiment.
        dataset: its open data set.
        home: the artifacts folder, where fingerprints of unchanged files are remembered.

    Returns:
        A flat dictionary of JSON values.
    """
    identity = {f"dataset.{split}": value for split, value in fingerprints(dataset, home).items()}
    return {**identity, **settings_identity(experiment), **dataset.identity}


def settings_identity(experiment: Experiment) -> dict[str, Any]:
    """Return what changes the features' numbers whatever the images are: a part of `experiment_identity`."""
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


def cache_url(experiment: Experiment, path: Path) -> str:
    """Return where the cache at `path` is in the experiment's object store; empty without a store."""
    return f"{experiment.features.store.rstrip('/')}/{path.name}" if experiment.features.store else ""


def open_cache(experiment: Experiment, home: Path, dataset: Dataset) -> features.Features:
    """Open the complete cache of exactly this experiment.

    Args:
        experiment: the experiment.
        home: the artifacts folder.
        dataset: the experiment's open data set.

    Returns:
        The `features.Features`.

    Raises:
        NoCache: there is none; the message names the nearest cache and every differing field with both values.
        features.CacheIncomplete: its extraction has not finished.
        features.CacheDamaged: a file of it is missing, truncated or not what its manifest says; shards are hashed, see
            `features.require_unchanged`.
        features.CacheMismatch: its folder holds the features of something else.
        features.CacheVersion: its format is of another release.
        models.ModelError: a setting names a backbone, weights or an engine that are not to be had.
        features.StoreError: the object store, if the experiment has one, does not answer.
    """
    identity = experiment_identity(experiment, dataset, home)
    wanted = features.cache_path(cache_root(home), cache_name(experiment), identity)
    if (url := cache_url(experiment, wanted)) and not features.describe_cache(wanted).complete:
        with suppress(features.CacheMissing):
            features.fetch(url, wanted)
    try:
        path = features.find_cache(cache_root(home), cache_name(experiment), identity)
    except features.CacheMissing as error:
        raise NoCache(str(error)) from error
    cache = features.open_features(path)
    features.require_unchanged(path)
    return cache


def data_warnings(experiment: Experiment, dataset: Dataset) -> tuple[str, ...]:
    """Return what a reader of any number from this experiment must know about its data and weights."""
    weights = models.weights_identity(experiment.backbone.name, experiment.backbone.weights, experiment.seed)
    warnings = []
    if weights.source == "random":
        warnings.append(
            f"RANDOM WEIGHTS: {experiment.backbone.name} was not pre-trained; no figure here says anything of transfer learning."
        )
    if weights.notice:
        warnings.append(f"Weights: {weights.notice}")
    if "not the official" in dataset.title:
        warnings.append(f"Data: {dataset.title}; figures are not comparable with published ones.")
    return (*warnings, *dataset.notices)
