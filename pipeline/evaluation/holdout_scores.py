"""The scores of a trained method on the images it learned from and on those that settings were chosen on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset
from bottleneck_features.pipeline.evaluation.target import ClassTarget
from bottleneck_features.pipeline.figures import Figures
from bottleneck_features.pipeline.method_row import Method, Score


@dataclass(frozen=True)
class HoldoutScores:
    """What training and validation images say of a method.

    Attributes:
        figures: of `train` and `validation`.
        probabilities: `(n, classes)` of the validation images.
        threshold: that they chose, see `ClassTarget.threshold`.
    """

    figures: Mapping[str, Figures]
    probabilities: np.ndarray
    threshold: float | None

    @property
    def scores(self) -> dict[str, Score]:
        """The accuracies alone."""
        return {split: accuracy_of(own) for split, own in self.figures.items()}


def accuracy_of(figures: Figures) -> Score:
    """Return the accuracy among the figures."""
    return Score(figures.accuracy.value, figures.accuracy.low, figures.accuracy.high, figures.n)


def holdout_scores(
    target: ClassTarget,
    holdout: Holdout,
    labels: Callable[[Subset], np.ndarray],
    predict: Callable[[Subset], np.ndarray],
) -> HoldoutScores:
    """Score a method on its training samples and on its validation samples, at the threshold that the latter choose.

    Args:
        target: what is predicted.
        holdout: which samples these are.
        labels: returns the `(n,)` integers of a `Subset`.
        predict: returns the `(n, classes)` probabilities of a `Subset`.
    """
    own, probabilities = labels(holdout.validation), predict(holdout.validation)
    threshold = target.threshold(own, probabilities)
    figures = {
        "train": target.figures(labels(holdout.train), predict(holdout.train), threshold),
        "validation": target.figures(own, probabilities, threshold),
    }
    return HoldoutScores(figures, probabilities, threshold)


def scored_row(
    name: str, layers: tuple[str, ...], parameters: int, found: HoldoutScores, seconds: Mapping[str, float | None]
) -> Method:
    """Return the row of a method with what `holdout_scores` found."""
    return Method(name, layers, parameters, found.scores, seconds, figures=found.figures, threshold=found.threshold)
