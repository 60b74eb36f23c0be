"""What is to be predicted, and what decides between models: through it go splits, scores, heads and results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bottleneck_features.errors import nearest
from bottleneck_features.models.class_weights import class_weights
from bottleneck_features.models.criteria import CRITERIA, FOR_TWO_CLASSES, Criterion, accuracy, default_criterion
from bottleneck_features.models.probabilities import decide
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.evaluation.figures import figures
from bottleneck_features.pipeline.evaluation.thresholds import best_threshold, reached_at_best
from bottleneck_features.pipeline.experiment import ScoreSettings
from bottleneck_features.pipeline.figures import Figures
from bottleneck_features.pipeline.method_row import CROSS_VALIDATED, Method

_AT_A_THRESHOLD = ("balanced-accuracy", "macro-f1")
_OF_RANKING = FOR_TWO_CLASSES  # for these the threshold is that of the best balanced accuracy


@dataclass(frozen=True)
class ClassTarget:
    """One class for every image, as a number.

    Attributes:
        names: of the classes; a label is an index into them.
        select: the name of the criterion that decides between models.
        reason: why it is this one.
        weights: `(classes,)` how much an image of each class counts in a fit; None: all the same.
    """

    names: tuple[str, ...]
    select: str
    reason: str
    weights: np.ndarray | None = None

    @property
    def classes(self) -> int:
        """How many."""
        return len(self.names)

    @property
    def has_threshold(self) -> bool:
        """Whether two classes are told apart at a threshold that validation images choose."""
        return self.classes == 2 and self.select in (*_AT_A_THRESHOLD, *_OF_RANKING)

    @property
    def compared(self) -> str:
        """What two methods are compared by on the same images: the criterion, or accuracy where it has no interval."""
        return "accuracy" if self.select == "log-loss" else self.select

    @property
    def criterion(self) -> Criterion:
        """What decides, of `(n, classes)` probabilities and `(n,)` labels, higher is better; at the best threshold.

        Where images are so few that they are of one class, those that need two give way to accuracy, as in `Figures`.
        """
        if self.classes == 2 and self.select in _AT_A_THRESHOLD:
            return lambda probabilities, labels: reached_at_best(labels, probabilities[:, 1], self.select)
        found = CRITERIA[self.select]
        if self.select not in _OF_RANKING:
            return found
        return lambda probabilities, labels: (found if len(np.unique(labels)) > 1 else accuracy)(probabilities, labels)

    def rank_of(self, method: Method) -> float:
        """Return the figure of a scored row by which models are ranked; on validation images, or on folds."""
        split = CROSS_VALIDATED if CROSS_VALIDATED in method.scores else "validation"
        return method.figure(split, self.select).value

    def sample_weights(self, labels: np.ndarray) -> np.ndarray | None:
        """Return how much each of `(n,)` samples counts in a fit; None: all the same."""
        return None if self.weights is None else self.weights[labels]

    def threshold(self, labels: np.ndarray, probabilities: np.ndarray) -> float | None:
        """Return the probability of the second class from which it is answered; None: the more probable class is.

        Args:
            labels: `(n,)` of images that the model was not fitted on.
            probabilities: `(n, classes)` of them.
        """
        if not self.has_threshold or len(np.unique(labels)) < 2:
            return None
        by = self.select if self.select in _AT_A_THRESHOLD else "balanced-accuracy"
        return best_threshold(labels, probabilities[:, 1], by)

    def figures(
        self,
        labels: np.ndarray,
        probabilities: np.ndarray,
        threshold: float | None = None,
        groups: np.ndarray | None = None,
    ) -> Figures:
        """Return how good answers at a threshold are; arguments as in `threshold` and `evaluation.figures`."""
        return self.figures_of(labels, probabilities, decide(probabilities, threshold), groups)

    def figures_of(
        self, labels: np.ndarray, probabilities: np.ndarray, predicted: np.ndarray, groups: np.ndarray | None = None
    ) -> Figures:
        """Return how good given answers are."""
        return figures(labels, probabilities, predicted, groups)


def class_target(names: tuple[str, ...], labels: np.ndarray, settings: ScoreSettings) -> ClassTarget:
    """Return the target of a data set.

    Args:
        names: of the classes.
        labels: `(n,)` of the training images, which decide where the settings leave it open.
        settings: the experiment's.

    Raises:
        RequestError: a criterion is for two classes and there are more, or a weight is of a class that there is not.
    """
    select: str = settings.select
    reason = "as score.select says"
    if select == "auto":
        select = default_criterion(labels, len(names))
        share = np.bincount(labels, minlength=len(names)).min() / len(labels)
        mean = 1 / len(names)
        unequal = select == "balanced-accuracy"
        reason = (
            f"the rarest class has {share:.1%} of the training images, {'less' if unequal else 'not less'} than half of the "
            f"classes' mean share, {mean / 2:.1%}"
        )
    if select in FOR_TWO_CLASSES and len(names) != 2:
        raise RequestError(
            f"score.select={select} is for two classes, and there are {len(names):,}. "
            "Give balanced-accuracy, macro-f1, log-loss or accuracy."
        )
    return ClassTarget(names, select, reason, _weights(names, labels, settings.class_weight))


def _weights(names: tuple[str, ...], labels: np.ndarray, how: str | Mapping[str, float]) -> np.ndarray | None:
    if how == "none":
        return None
    if isinstance(how, str):
        return class_weights(labels, len(names), how)
    if unknown := [name for name in how if name not in names]:
        raise RequestError(
            f"score.class_weight names a class {unknown[0]!r} that there is not. "
            f"Nearest: {', '.join(nearest(unknown[0], names))}"
        )
    return class_weights(labels, len(names), {names.index(name): weight for name, weight in how.items()})
