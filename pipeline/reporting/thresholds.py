"""What a moved threshold of a method's confidence gains and costs, on the images that were scored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bottleneck_features.pipeline.evaluation.predictions import Predictions
from bottleneck_features.pipeline.evaluation.scores import score
from bottleneck_features.pipeline.method_names import row_label

STEPS = 100  # thresholds at most


@dataclass(frozen=True)
class Thresholds:
    """Two shares over the thresholds, with their intervals at 95 %.

    Attributes:
        positive: of two classes the number of the one that is looked for; None of more: an answer is given or withheld.
        used: the threshold that the method uses; None: the more probable class is answered, or every answer is given.
        steps: rising thresholds, 0..1; answered is what is at or above.
        found: recall of the positive class, or the share of images that get an answer: value, low, high, hits and images.
        right: the share of right ones among those answered, likewise.
    """

    positive: int | None
    used: float | None
    steps: list[float]
    found: list[tuple[float, float, float, int, int]]
    right: list[tuple[float, float, float, int, int]]

    def for_script(self) -> dict[str, Any]:
        """Return what the page's script reads: shares with five digits, and where the slider starts."""
        start = 0.0 if self.positive is None else 0.5 if self.used is None else self.used
        rounded = {
            name: [[*(round(share, 5) for share in one[:3]), *one[3:]] for one in getattr(self, name)]
            for name in ("found", "right")
        }
        near = int(np.argmin(np.abs(np.array(self.steps) - start)))
        return {"positive": self.positive, "steps": [round(step, 5) for step in self.steps], "start": near, **rounded}


def thresholds(
    predictions: Predictions, row: Mapping[str, Any], curves: Mapping[str, Any] | None, groups: np.ndarray | None
) -> Thresholds:
    """Measure a method at every threshold that answers otherwise, or at `STEPS` of them.

    Args:
        predictions: with those of the method.
        row: of the method, from a result.
        curves: of two classes, for which is the positive one.
        groups: `(n,)` integers, of images that are not independent.
    """
    label = row_label(row)
    answers, confidence = predictions.predicted[label], predictions.confidence[label].astype(np.float64)
    if curves is None:
        wanted, scores, right = np.ones(len(answers), bool), confidence, answers == predictions.labels
        positive, used = None, None
    else:
        positive, threshold = curves["positive"], row.get("threshold")
        scores = np.where(answers == positive, confidence, 1 - confidence)
        wanted = right = predictions.labels == positive
        used = None if threshold is None else threshold if positive == 1 else 1 - threshold
    steps = np.unique(np.quantile(scores, np.linspace(0, 1, STEPS), method="nearest"))
    found, kept = [], []
    for step in steps:
        answered = scores >= step
        found.append(_share(answered[wanted], None if groups is None else groups[wanted]))
        kept.append(_share(right[answered], None if groups is None else groups[answered]))
    return Thresholds(positive, used, steps.tolist(), found, kept)


def _share(hits: np.ndarray, groups: np.ndarray | None) -> tuple[float, float, float, int, int]:
    own = score(np.ones(len(hits), int), hits.astype(int), groups)
    return own.accuracy, own.low, own.high, int(hits.sum()), own.n
