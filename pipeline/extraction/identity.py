"""What a cache of an experiment is made of: images, labels, and the recipe of their features."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bottleneck_features import features, models
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.pixels.decoding import DECODING
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.input_fit import CROP, STRETCH, resolved_fit
from bottleneck_features.pipeline.resolved_experiment import asked_preprocessing, resolved

OF_FILES = ("backbone.weights", "backbone.preprocessing")  # what `file_settings` says
_OF_IMAGES = {f"dataset.{name}" for name in ("train", "validation", "test", "labels", "split_seed")}


def experiment_identity(
    experiment: Experiment, dataset: Dataset, calibration: np.ndarray | None = None
) -> dict[str, Any]:
    """Return what a cache holds: the images by split, their labels, and the recipe of their features.

    Args:
        experiment: the experiment.
        dataset: its open data set.
        calibration: uint8, the images that an int8 network is calibrated on.

    Returns:
        A flat dictionary of JSON values: a digest of ids and contents for each split, `dataset.labels`, a digest of labels,
        groups and class names, and what `recipe` returns.
    """
    images = {f"dataset.{split}": dataset.fingerprint(split) for split in dataset.splits}
    return {**images, "dataset.labels": targets_of(dataset).digest, **recipe(experiment, dataset.identity, calibration)}


def recipe(experiment: Experiment, pixels: Mapping[str, Any], calibration: np.ndarray | None = None) -> dict[str, Any]:
    """Return everything that the features of an image depend on besides the image and the machine, by setting.

    Args:
        experiment: its `backbone`, `input`, `features` and `compute` sections.
        pixels: what decides how images become pixels, the `identity` of a data set.
        calibration: uint8, the images that an int8 network is calibrated on.
    """
    found = {**settings_identity(experiment), **pixels}
    if calibration is not None:
        digest = hashlib.sha256(repr(calibration.shape).encode() + calibration.tobytes()).hexdigest()
        found["compute.calibration"] = f"{len(calibration)} images, {digest}"
    return found


def pixels_of(identity: Mapping[str, Any], splits: Iterable[str]) -> dict[str, Any]:
    """Return what the identity of a cache says of how its images became pixels, as `Dataset.identity`.

    Args:
        identity: from `experiment_identity`.
        splits: of the cache.
    """
    others = {f"dataset.{name}" for name in (*splits, "labels")}
    parts = (DECODING, "dataset.")
    return {key: value for key, value in identity.items() if key.startswith(parts) and key not in others}


def targets_of(dataset: Dataset) -> features.Targets:
    """Return the labels, groups and class names of a data set."""
    labels = {split: samples.labels for split, samples in dataset.splits.items()}
    return features.Targets(tuple(dataset.class_names), labels, dataset.groups)


def recipe_key_of(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the `recipe` in the identity of a cache."""
    return features.identity_key({name: value for name, value in identity.items() if name not in _OF_IMAGES})


def images_key_of(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the images by split and their labels in the identity of a cache, whatever the network."""
    return features.identity_key({name: value for name, value in identity.items() if name in _OF_IMAGES})


def settings_identity(experiment: Experiment) -> dict[str, Any]:
    """Return the settings that change the features' numbers, for any images: a part of `recipe`."""
    compute = experiment.compute
    engine, precision = models.backbone_engine(experiment.backbone.name, compute.engine, compute.precision)
    return {
        **network_settings(experiment),
        **file_settings(experiment),
        "compute.engine": engine,
        "compute.precision": precision,
        "compute.batch_size": compute.batch_size,
    }


def weights_label(experiment: Experiment) -> str:
    """Return which weights the backbone has, by their bytes; they are looked for, or downloaded."""
    weights = models.weights_identity(experiment.backbone.name, experiment.backbone.weights, experiment.seed)
    return f"{weights.source}:{weights.sha256}"


def file_settings(experiment: Experiment) -> dict[str, Any]:
    """Return what the network's files decide: its weights by their bytes, and its preprocessing; they are looked for."""
    asked = asked_preprocessing(experiment.backbone)
    return {
        "backbone.weights": weights_label(experiment),
        "backbone.preprocessing": models.preprocessing_text(experiment.backbone.name, asked),
    }


def network_settings(experiment: Experiment) -> dict[str, Any]:
    """Return the settings that change the features' numbers whatever computes them, but for `file_settings`.

    Images that are stretched have no entry that says so: the keys of caches from before there was `input.fit` stay.
    """
    experiment = resolved(experiment)
    fit, share = resolved_fit(experiment)
    fitted = {} if fit == STRETCH else {"input.fit": f"crop {share}" if fit == CROP else fit}
    return {
        **fitted,
        "input.size": list(experiment.input.size),
        "input.resize": experiment.input.resize,
        "input.antialias": experiment.input.antialias,
        "input.views": list(experiment.input.views),
        "backbone.name": backbone_label(experiment),
        "backbone.layers": list(experiment.backbone.layers),
        "features.pooling": list(experiment.features.pooling),
        "features.dtype": experiment.features.dtype,
    }


def backbone_label(experiment: Experiment) -> str:
    """Return the backbone's name as folders, pictures and reports show it; random weights are part of the name."""
    name = models.label_of(experiment.backbone.name)
    random = "-RANDOM-WEIGHTS" if experiment.backbone.weights == "random" else ""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name) + random


def cache_name(experiment: Experiment) -> str:
    """Return the readable part of the cache folder's name."""
    return f"{experiment.name}-{backbone_label(experiment)}"
