"""Tells images unlike anything seen in training, by the distance of their features to those of training images.

Source: Y. Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, 2022: the distance of a feature vector at
unit length to the k-th nearest training vector, against a threshold that hardly any image of the known kind passes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.neighbors import NearestNeighbors

from bottleneck_features.features import Features
from bottleneck_features.models.probes import mean_over_views
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset
from bottleneck_features.pipeline.methods.classifier import slices
from bottleneck_features.pipeline.methods.layer_rows import LayerRows

KTH = 5  # one stray training image does not make its kind familiar
FLAGGED = 0.01  # share of validation images beyond the threshold
KEPT = 5_000  # training images; Sun et al. lose next to nothing with 1 % of ImageNet
_SEED = 0
ENOUGH = round(1 / FLAGGED)  # validation images; of fewer, the farthest one alone is the threshold
PREFIX = "seen_"


@dataclass(frozen=True)
class Novelty:
    """How far from the training images an image may lie.

    Attributes:
        rows: `(m, d)` float16, features of training images at unit length.
        threshold: the distance, 0..2, that 1 % of the validation images pass.
        validated: how many validation images that is of.
    """

    rows: np.ndarray
    threshold: float
    validated: int

    def warning(self) -> str:
        """Return what a reader of `unlike` must know; empty where the threshold is of enough images."""
        if self.validated >= ENOUGH:
            return ""
        return (
            f"`unlike` is rough here: its threshold comes from {self.validated:,} validation images, the farthest of them. It "
            "may flag many ordinary images."
        )

    def ratios(self, features: np.ndarray) -> np.ndarray:
        """Return `(n,)`: the distances of `(n, d)` features over the threshold; above 1 an image is unlike the known ones."""
        return self.distances(features) / self.threshold

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return `(n,)`: the distances of `(n, d)` features at unit length to the k-th nearest row, 0..2."""
        return self._search.kneighbors(_at_unit_length(features))[0][:, -1].astype(np.float64)

    @cached_property
    def _search(self) -> NearestNeighbors:
        search = NearestNeighbors(n_neighbors=min(KTH, len(self.rows)), algorithm="brute")
        return search.fit(self.rows.astype(np.float32))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return what `from_arrays` takes."""
        return {
            f"{PREFIX}rows": self.rows,
            f"{PREFIX}threshold": np.array(self.threshold),
            f"{PREFIX}validated": np.array(self.validated),
        }


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Novelty:
    """Return what `Novelty.arrays` was of; others among the arrays are passed over.

    Raises:
        KeyError: one is missing.
    """
    rows, threshold, validated = (arrays[f"{PREFIX}{name}"] for name in ("rows", "threshold", "validated"))
    return Novelty(rows, float(threshold), int(validated))


def learn_novelty(cache: Features, layers: tuple[str, ...], held: Holdout) -> Novelty:
    """Learn what is familiar.

    Args:
        cache: the open cache.
        layers: whose features are put side by side; an image's views are averaged.
        held: its training images are what is known, at most 5,000 of them, drawn at random; its validation images, which
            are not among them, give the threshold.

    Returns:
        The `Novelty`.
    """
    order = np.random.default_rng(_SEED).permutation(len(held.train))
    chosen = Subset(held.train.split, held.train.indices[np.sort(order[:KEPT])])
    rows = _at_unit_length(_by_image(LayerRows(cache, layers, chosen))).astype(np.float16)
    distances = Novelty(rows, 1.0, 0).distances(_by_image(LayerRows(cache, layers, held.validation)))
    threshold = float(np.quantile(distances, 1 - FLAGGED, method="higher"))
    return Novelty(rows, max(threshold, float(np.finfo(np.float16).eps)), len(distances))


def _by_image(rows: LayerRows) -> np.ndarray:
    return np.concatenate([mean_over_views(part.astype(np.float32), rows.views) for part in slices(rows)])


def _at_unit_length(features: np.ndarray) -> np.ndarray:
    features = features.astype(np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.finfo(np.float32).tiny)
