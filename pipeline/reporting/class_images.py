"""Which images stand for a class on the page: typical ones, surely wrong ones, and a few of all that were scored."""

import numpy as np

from bottleneck_features.features import Features
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.evaluation.predictions import Predictions
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.reporting.gallery import unit_vectors

OF_ALL, OF_A_CLASS = 120, 3  # images that stand for classes: typical ones, and as many wrong ones
LOOKED_AT = 200  # right answers of a class among which the typical ones are looked for
SAMPLE = 12  # images at the top of the page


def sample_rows(predictions: Predictions, seed: int) -> np.ndarray:
    """Return `(≤ SAMPLE,)` rows of scored images, drawn by chance: the same seed draws the same ones."""
    return np.random.default_rng(seed).permutation(len(predictions.labels))[:SAMPLE]


def typical_rows(
    dataset: Dataset, cache: Features, *, layer: str, predictions: Predictions, method: str, seed: int
) -> list[np.ndarray]:
    """Return for each class rows of images that were answered rightly and whose features are nearest to their mean direction.

    Args:
        dataset: the open data set.
        cache: its complete cache.
        layer: one of the cache's layers.
        predictions: of the images that were scored.
        method: whose right answers.
        seed: where a class has more than `LOOKED_AT` right answers, it draws those that are looked at.
    """
    random, ids = np.random.default_rng(seed), dataset.splits[predictions.split].ids
    right, most = predictions.predicted[method] == predictions.labels, _most(len(dataset.class_names))
    found = []
    for number in range(len(dataset.class_names)):
        rows = random.permutation(np.flatnonzero(right & (predictions.labels == number)))[:LOOKED_AT]
        if most and len(rows) > 1:
            units = unit_vectors(cache, layer, Subset(predictions.split, predictions.positions(rows, ids)))
            rows = rows[np.argsort(-(units @ units.mean(axis=0)), kind="stable")]
        found.append(rows[:most])
    return found


def wrong_rows(predictions: Predictions, method: str, classes: int) -> list[np.ndarray]:
    """Return for each class rows of its images that were answered wrongly with the highest confidence."""
    wrong = predictions.predicted[method] != predictions.labels
    confidence, found = predictions.confidence[method], []
    for number in range(classes):
        rows = np.flatnonzero(wrong & (predictions.labels == number))
        found.append(rows[np.argsort(-confidence[rows], kind="stable")][: _most(classes)])
    return found


def _most(classes: int) -> int:
    return min(OF_A_CLASS, OF_ALL // max(1, classes))
