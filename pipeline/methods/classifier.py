"""A chosen classifier as plain arrays that turn raw features into probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bottleneck_features.models.neighbours import nearest_labels, smoothed, vote_shares
from bottleneck_features.models.parallel import workers
from bottleneck_features.models.probabilities import softmax
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

    @property
    def features(self) -> int:
        """How many numbers it takes of an image."""
        return self.arrays["coefficients" if self.is_linear else "rows"].shape[1]

    def require_whole(self) -> None:
        """Check that the arrays fit together, as those of a file may not.

        Raises:
            ValueError: saying what does not fit.
        """
        arrays = self.arrays
        if set(arrays) not in (LINEAR_ARRAYS, NEIGHBOUR_ARRAYS):
            raise ValueError(f"it has no complete classifier: {', '.join(sorted(arrays)) or 'no array'}")
        if not all(array.dtype.kind in "fiu" and np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("its classifier has values that are no finite numbers")
        if self.is_linear:
            shape = arrays["coefficients"].shape
            fits = len(shape) == 2 and shape[0] == self.classes and arrays["intercept"].shape == (self.classes,)
        else:
            fits = self._neighbours_fit()
        if not fits:
            raise ValueError(f"the arrays of its classifier do not fit together and to {self.classes} classes")

    def _neighbours_fit(self) -> bool:
        mean, scale, rows, labels, k = (self.arrays[name] for name in ("mean", "scale", "rows", "labels", "k"))
        return (
            rows.ndim == 2
            and mean.shape == scale.shape == rows.shape[1:]
            and labels.shape == rows.shape[:1]
            and labels.dtype.kind in "iu"
            and k.shape == ()
            and 1 <= int(k) <= len(rows)
            and bool((labels >= 0).all() and (labels < self.classes).all() and (scale > 0).all())
        )

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
            return mean_over_views(softmax(scores), views)
        return softmax(mean_over_views(scores, views))

    def probabilities_of(self, rows: LayerRows) -> np.ndarray:
        """Return `(samples, classes)` probabilities, not calibrated, of rows that are read a slice at a time."""
        return np.concatenate([self.probabilities(part, rows.views) for part in rows.slices()])
