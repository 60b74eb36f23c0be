"""Detects out-of-distribution images by the distance of their features to those of training images, at a false-alarm rate.

Sources: Y. Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, 2022: the distance of a feature vector at
unit length to the k-th nearest training vector. V. Vovk et al., Algorithmic Learning in a Random World, 2005: conformal
p-values. R. F. Barber et al., Predictive inference with the jackknife+, 2021: each training image measured without itself.
Y. Lee et al., Distribution-free inference with hierarchical data, 2023: groups, each of which counts once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bottleneck_features.models.neighbours import kth_distances, kth_distances_to_other_groups
from bottleneck_features.models.rows import unit_rows

KTH = 5  # one odd training image is not enough to make similar images in-distribution
PREFIX = "seen_"


@dataclass(frozen=True)
class Novelty:
    """What new images are compared with.

    Attributes:
        rows: `(m, d)` float16, features of images that the model has seen, at unit length.
        groups: `(m,)` int32, from 0: images of one group, or that repeat one another, have the same number.
        apart: `(m,)` float32, how far each image is from the k-th nearest of other groups, 0..2; infinite without one.
    """

    rows: np.ndarray
    groups: np.ndarray
    apart: np.ndarray

    def require_whole(self, features: int) -> None:
        """Check that this is one of so many features, as what a file holds may not be.

        Raises:
            ValueError: saying what cannot be.
        """
        rows, groups, apart = self.rows, self.groups, self.apart
        if rows.shape != (max(1, len(rows)), features) or rows.dtype.kind != "f" or not np.isfinite(rows).all():
            raise ValueError(f"its training images' features are no rows of {features:,} finite numbers")
        if groups.shape != (len(rows),) or groups.dtype.kind != "i" or not np.isin(groups, np.arange(len(rows))).all():
            raise ValueError(f"its groups are not those of {len(rows):,} images")
        measured = apart >= 0 if self.count == 1 else (apart >= 0) & np.isfinite(apart)
        if apart.shape != (len(rows),) or apart.dtype != np.float32 or not measured.all():
            raise ValueError(f"its distances are not those of {len(rows):,} images")

    @property
    def count(self) -> int:
        """The number of groups, which is that of the images where none belong together."""
        return len(np.unique(self.groups))

    def counts(self) -> dict[str, int]:
        """Return how many images there are, and how many groups; an image that belongs to no other is a group."""
        return {"images": len(self.rows), "groups": self.count}

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return `(n,)` float32: how far `(n, d)` features at unit length are from the k-th nearest row, 0..2."""
        return kth_distances(unit_rows(features), self.rows.astype(np.float32), KTH).astype(np.float32)

    def p_values(self, distances: np.ndarray) -> np.ndarray:
        """Return conformal p-values: of images of new groups of the same kind, about a share p have a p-value up to p.

        It is (1 + Σ_g s_g) / (G + 1), where s_g is the share of the images of group g that are at least as far from the other
        groups; of n images without groups (1 + number at least as far) / (n + 1). Large groups count no more than small ones.
        Where leaving out one group changes the distances of many, there may be up to 2 p (Barber et al.).

        Args:
            distances: `(n,)` float32, from `distances`.

        Returns:
            `(n,)` float64, 1 / (G + 1)..1.
        """
        order = np.argsort(self.apart)
        weights = (1 / np.bincount(self.groups)[self.groups])[order]
        at_least = np.append(np.cumsum(weights[::-1])[::-1], 0)
        return (1 + at_least[np.searchsorted(self.apart[order], distances)]) / (self.count + 1)

    def threshold(self, false_alarms: float) -> float | None:
        """Return the distance that exactly those exceed whose p-value is at most `false_alarms`; None: no distance is enough.

        Args:
            false_alarms: between 0 and 1, both excluded.
        """
        just_above = np.nextafter(self.apart, np.float32(np.inf))
        enough = self.apart[self.p_values(just_above) <= false_alarms]
        return max(float(enough.min()), float(np.finfo(np.float32).tiny)) if len(enough) else None

    def warning(self, false_alarms: float) -> str:
        """Return why no image can be called out-of-distribution at such a rate; an empty text where one can."""
        if self.threshold(false_alarms) is not None:
            return ""
        images, groups = len(self.rows), self.count
        if groups == 1:
            return f"`unlike` is not known: the {images:,} images that the model has seen are one group, and groups are compared."
        kind = "groups" if groups < images else "images"
        known = f"{images:,} images in {groups:,} groups" if groups < images else f"{images:,} images"
        return (
            f"`unlike` is not known: the model has seen {known}, so the smallest p-value is 1 / {groups + 1:,}. A false-alarm "
            f"rate of {false_alarms:g} needs {np.ceil(1 / false_alarms) - 1:,.0f} {kind}."
        )

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return what `from_arrays` takes."""
        return {f"{PREFIX}rows": self.rows, f"{PREFIX}groups": self.groups, f"{PREFIX}apart": self.apart}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Novelty:
    """Return the `Novelty` that `Novelty.arrays` describes; other arrays are ignored.

    Raises:
        KeyError: one is missing.
    """
    return Novelty(*(arrays[f"{PREFIX}{name}"] for name in ("rows", "groups", "apart")))


def learn_novelty(features: np.ndarray, groups: np.ndarray) -> Novelty:
    """Measure how far images are from those of other groups: from a new group they are as far, or a little nearer.

    Args:
        features: `(m, d)` float32, of images that the model has seen.
        groups: `(m,)` integers: images of one group, or that repeat one another, have the same number.
    """
    queries, own = unit_rows(features), np.unique(groups, return_inverse=True)[1].astype(np.int32)
    rows = queries.astype(np.float16)
    apart = kth_distances_to_other_groups(queries, rows.astype(np.float32), own, KTH)
    return Novelty(rows, own, apart.astype(np.float32))
