"""Detects out-of-distribution images by the distance of their features to those of training images.

Source: Y. Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, 2022: the distance of a feature vector at
unit length to the k-th nearest training vector, compared with a threshold that few in-distribution images exceed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bottleneck_features.features import Features
from bottleneck_features.models.neighbours import QUERIES, kth_distances
from bottleneck_features.models.rows import unit_rows
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset
from bottleneck_features.pipeline.methods.layer_rows import LayerRows

KTH = 5  # one odd training image is not enough to make similar images in-distribution
FLAGGED = 0.01  # share of validation images beyond the threshold
_KEPT = 5_000  # training images; Sun et al. lose next to nothing with 1 % of ImageNet
_SEED = 0
ENOUGH = round(1 / FLAGGED)  # validation images; with fewer, the threshold is the largest of their distances
PREFIX = "seen_"


@dataclass(frozen=True)
class Novelty:
    """How far from the training images an in-distribution image may be.

    Attributes:
        rows: `(m, d)` float16, features of training images at unit length.
        threshold: the distance, 0..2, that 1 % of the validation images exceed.
        validated: the number of those validation images.
    """

    rows: np.ndarray
    threshold: float
    validated: int

    def require_whole(self, features: int) -> None:
        """Check that this is one of so many features, as what a file holds may not be.

        Raises:
            ValueError: saying what cannot be.
        """
        rows = self.rows
        if rows.shape != (max(1, len(rows)), features) or rows.dtype.kind != "f" or not np.isfinite(rows).all():
            raise ValueError(f"its training images' features are no rows of {features:,} finite numbers")
        if not 0 < self.threshold < np.inf or self.validated < 0:
            raise ValueError(f"its threshold of {self.threshold} from {self.validated:,} images cannot be")

    def warning(self) -> str:
        """Return a warning if the threshold comes from too few validation images; else an empty text."""
        if self.validated >= ENOUGH:
            return ""
        return (
            f"`unlike` is unreliable here: its threshold is the largest distance of only {self.validated:,} validation images. "
            "It may flag many ordinary images."
        )

    def ratios(self, features: np.ndarray) -> np.ndarray:
        """Return `(n,)`: the distances of `(n, d)` features divided by the threshold; above 1: out-of-distribution."""
        return self.distances(features) / self.threshold

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return `(n,)`: the distances of `(n, d)` features at unit length to the k-th nearest row, 0..2."""
        queries, known = unit_rows(features), self.rows.astype(np.float32)
        parts = [queries[start : start + QUERIES] for start in range(0, len(queries), QUERIES)]
        return np.concatenate([kth_distances(part, known, min(KTH, len(known))) for part in parts])

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return what `from_arrays` takes."""
        return {
            f"{PREFIX}rows": self.rows,
            f"{PREFIX}threshold": np.array(self.threshold),
            f"{PREFIX}validated": np.array(self.validated),
        }


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Novelty:
    """Return the `Novelty` that `Novelty.arrays` describes; other arrays are ignored.

    Raises:
        KeyError: one is missing.
    """
    rows, threshold, validated = (arrays[f"{PREFIX}{name}"] for name in ("rows", "threshold", "validated"))
    return Novelty(rows, float(threshold), int(validated))


def learn_novelty(cache: Features, layers: tuple[str, ...], holdout: Holdout) -> Novelty:
    """Keep the features of training images, and take the threshold from validation images.

    Args:
        cache: the open cache.
        layers: whose features are put side by side; an image's views are averaged.
        holdout: at most 5,000 of its training images are kept, drawn at random; its validation images give the threshold.

    Returns:
        The `Novelty`.
    """
    order = np.random.default_rng(_SEED).permutation(len(holdout.train))
    chosen = Subset(holdout.train.split, holdout.train.indices[np.sort(order[:_KEPT])])
    rows = unit_rows(LayerRows(cache, layers, chosen).by_sample()).astype(np.float16)
    distances = Novelty(rows, 1.0, 0).distances(LayerRows(cache, layers, holdout.validation).by_sample())
    threshold = float(np.quantile(distances, 1 - FLAGGED, method="higher"))
    return Novelty(rows, max(threshold, float(np.finfo(np.float16).eps)), len(distances))
