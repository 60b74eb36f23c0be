"""The scores of a trained method on the images it learned from and on those that settings were chosen on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bottleneck_features.pipeline.evaluation.scores import accuracy_of
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.evaluation.study import Study
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


def holdout_scores(study: Study, predict: Callable[[Subset], np.ndarray]) -> HoldoutScores:
    """Score a method on its training samples and on its validation samples, at the threshold that the latter choose.

    Args:
        study: the experiment, opened.
        predict: returns the `(n, classes)` probabilities of a `Subset`.
    """
    target, train, validation = study.target, study.holdout.train, study.holdout.validation
    labels, probabilities = study.labels(validation), predict(validation)
    threshold = target.threshold(labels, probabilities)
    figures = {
        "train": target.figures(study.labels(train), predict(train), threshold, study.groups(train)),
        "validation": target.figures(labels, probabilities, threshold, study.groups(validation)),
    }
    return HoldoutScores(figures, probabilities, threshold)


def scored_row(
    name: str, layers: tuple[str, ...], parameters: int, found: HoldoutScores, seconds: Mapping[str, float | None]
) -> Method:
    """Return the row of a method with what `holdout_scores` found."""
    return Method(name, layers, parameters, found.scores, seconds, figures=found.figures, threshold=found.threshold)
