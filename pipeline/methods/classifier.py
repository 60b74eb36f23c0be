"""A chosen classifier as plain arrays that turn raw features into probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from bottleneck_features.models.neighbours import nearest_labels, vote_shares
from bottleneck_features.models.parallel import workers
from bottleneck_features.models.rows import mean_over_views
from bottleneck_features.pipeline.methods.layer_rows import LayerRows

LINEAR_ARRAYS = frozenset({"coefficients", "intercept"})
NEIGHBOUR_ARRAYS = frozenset({"mean", "scale", "rows", "labels", "k"})


@dataclass(frozen=True)
class Classifier:
    """A classifier of raw features, the layers it was fitted on side by side.

    Attributes:
        arrays: `coefficients` (classes, d) and `intercept` (classes,); or, of neighbours, `mean` and `scale` (d,),
            standardised `rows` (n, d), `labels` (n,) and `k`.
        classes: how many.
        averages: what is averaged over the views of an image: `scores` or `probabilities`.
    """

    arrays: Mapping[str, np.ndarray]
    classes: int
    averages: str = "scores"

    @property
    def is_linear(self) -> bool:
        """Whether its scores are linear in the features."""
        return set(self.arrays) == LINEAR_ARRAYS

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Return `(n, classes)` scores of `(n, d)` raw features: the largest is the predicted class."""
        if self.is_linear:
            return rows.astype(np.float64) @ self.arrays["coefficients"].T + self.arrays["intercept"]
        queries = ((rows - self.arrays["mean"]) / self.arrays["scale"]).astype(np.float32)
        known, k = self.arrays["rows"].astype(np.float32), int(self.arrays["k"])
        with workers() as pool:
            return vote_shares(nearest_labels(queries, known, self.arrays["labels"], k, pool), self.classes)

    def probabilities(self, rows: np.ndarray, views: int = 1) -> np.ndarray:
        """Return `(n, classes)` probabilities, not calibrated, of `(n · views, d)` raw features."""
        scores = self.scores(rows)
        if not self.is_linear:
            return smoothed(mean_over_views(scores, views), int(self.arrays["k"]))
        if self.averages == "probabilities":
            return mean_over_views(softmax(scores, axis=1), views)
        return softmax(mean_over_views(scores, views), axis=1)

    def probabilities_of(self, rows: LayerRows) -> np.ndarray:
        """Return `(samples, classes)` probabilities, not calibrated, of rows that are read a slice at a time."""
        return np.concatenate([self.probabilities(part, rows.views) for part in rows.slices()])


def smoothed(shares: np.ndarray, k: int) -> np.ndarray:
    """Return `(n, classes)` shares of k votes with one vote more for every class, so that none is impossible (Laplace)."""
    return (k * shares + 1) / (k + shares.shape[1])
