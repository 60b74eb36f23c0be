"""The cache that belongs to an experiment: its identity, and opening it or saying why it does not match."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bottleneck_features import features, models
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.errors import NoCache
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.identity import cache_name


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


def weights_notes(experiment: Experiment) -> tuple[str, ...]:
    """Return where published weights come from and their licence, which every result repeats."""
    weights = models.weights_identity(experiment.backbone.name, experiment.backbone.weights, experiment.seed)
    return (f"Weights: {weights.notice}",) if weights.notice and weights.source != "random" else ()


def protocol_notes(experiment: Experiment) -> tuple[str, ...]:
    """Return how images of an experiment differ from those that the network's files speak of; nothing where they say nothing."""
    published, seen = models.find_source(experiment.backbone.name).stated_protocol, experiment.input
    if published is None or (published.size, published.kernel) == (seen.size, seen.resize):
        return ()
    (height, width), (rows, columns) = published.size, seen.size
    return (
        f"Images: {models.label_of(experiment.backbone.name)} was published for {height}×{width} pixels, {published.kernel}; "
        f"here it sees {rows}×{columns}, {seen.resize}. As published: --set input.size={height},{width} --set "
        f"input.resize={published.kernel}",
    )


def weights_warnings(experiment: Experiment) -> tuple[str, ...]:
    """Return the warning about random weights, which every result repeats."""
    weights = models.weights_identity(experiment.backbone.name, experiment.backbone.weights, experiment.seed)
    if weights.source != "random":
        return ()
    name = experiment.backbone.name
    return (f"RANDOM WEIGHTS: {name} was not pre-trained; no figure here is about transfer learning.",)


def image_warnings(dataset: Dataset) -> tuple[str, ...]:
    """Return warnings about the data, which every result repeats."""
    unofficial = f"Data: {dataset.title}; figures are not comparable with published ones."
    return (*((unofficial,) if "not the official" in dataset.title else ()), *dataset.notices)


def data_warnings(experiment: Experiment, dataset: Dataset) -> tuple[str, ...]:
    """Return warnings about the weights and the data."""
    return (*weights_warnings(experiment), *image_warnings(dataset))
