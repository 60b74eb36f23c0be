"""What a moved threshold of a method's confidence gains and costs, on the images that were scored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bottleneck_features.models.probabilities import with_temperature
from bottleneck_features.pipeline.evaluation.predictions import Predictions
from bottleneck_features.pipeline.evaluation.scores import score
from bottleneck_features.pipeline.method_names import row_label

STEPS = 100  # thresholds at most, but for the model's own
DIGITS = 7  # of a threshold


@dataclass(frozen=True)
class Thresholds:
    """Two shares over the thresholds, with their intervals at 95 %.

    Attributes:
        positive: of two classes the number of the one that is looked for; None of more: an answer is given or withheld.
        used: the threshold that the method answers at: of two classes 0.5 where none was chosen; 0 where answers are withheld.
        chosen: whether it was chosen on images that the method had not learned from.
        steps: rising thresholds, 0..1, between the scores of images; answered is what is at or above.
        found: recall of the positive class, or the share of images that get an answer: value, low, high, hits and images.
        right: the share of right ones among those answered, likewise.
    """

    positive: int | None
    used: float
    chosen: bool
    steps: list[float]
    found: list[tuple[float, float, float, int, int]]
    right: list[tuple[float, float, float, int, int]]

    def for_script(self) -> dict[str, Any]:
        """Return what the page's script reads: shares with five digits, and at which step the method answers."""
        rounded = {
            name: [[*(round(share, 5) for share in one[:3]), *one[3:]] for one in getattr(self, name)]
            for name in ("found", "right")
        }
        return {"positive": self.positive, "steps": self.steps, "start": self.steps.index(self.used), **rounded}


def thresholds(
    predictions: Predictions,
    row: Mapping[str, Any],
    curves: Mapping[str, Any] | None,
    temperature: float,
    groups: np.ndarray | None,
) -> Thresholds | None:
    """Measure a method at every threshold that answers otherwise, or at about `STEPS` of them.

    Args:
        predictions: with those of the method.
        row: of the method, from a result.
        curves: of two classes, for which is the positive one.
        temperature: of the method's calibration.
        groups: `(n,)` integers, of images that are not independent.

    Returns:
        The `Thresholds`; None where all scores are alike, so that there is nothing to choose.
    """
    label = row_label(row)
    answers, confidence = predictions.predicted[label], predictions.confidence[label].astype(np.float64)
    positive, used, chosen = None, 0.0, False
    wanted, scores, right = np.ones(len(answers), bool), confidence, answers == predictions.labels
    if curves is not None:
        positive, chosen = int(curves["positive"]), row.get("threshold") is not None
        scores = np.where(answers == positive, confidence, 1 - confidence)
        wanted = right = predictions.labels == positive
        used = _of_positive(row["threshold"], positive, temperature) if chosen else 0.5
    steps = _steps(scores, scores[wanted], used)
    if len(steps) < 2:
        return None
    found, kept = [], []
    for step in steps:
        answered = scores >= step
        found.append(_share(answered[wanted], None if groups is None else groups[wanted]))
        kept.append(_share(right[answered], None if groups is None else groups[answered]))
    return Thresholds(positive, used, chosen, steps, found, kept)


def _of_positive(threshold: float, positive: int, temperature: float) -> float:
    """Return a threshold of the second class' probability as one of the positive class', calibrated."""
    calibrated = with_temperature(np.array([[1 - threshold, threshold]]), temperature)[0]
    return round(float(calibrated[positive]), DIGITS)


def _steps(scores: np.ndarray, wanted: np.ndarray, used: float) -> list[float]:
    """Return thresholds between neighbouring scores, evenly among the wanted ones where there are many, and the one in use."""
    known = np.unique(scores)
    between = np.concatenate([[0.0], (known[1:] + known[:-1]) / 2]).round(DIGITS)
    apart = np.concatenate([[True], (between[1:] > known[:-1]) & (between[1:] <= known[1:])])
    steps = between[apart]
    if len(steps) > STEPS:
        places = np.quantile(wanted, np.linspace(0, 1, STEPS - 1), method="lower")
        steps = np.concatenate([steps[:1], steps[np.searchsorted(steps, places, side="right") - 1]])
    steps = np.unique(np.append(steps, used))
    return [float(step) for step in steps if (scores >= step).any()]


def _share(hits: np.ndarray, groups: np.ndarray | None) -> tuple[float, float, float, int, int]:
    own = score(np.ones(len(hits), int), hits.astype(int), groups)
    return own.accuracy, own.low, own.high, int(hits.sum()), own.n
