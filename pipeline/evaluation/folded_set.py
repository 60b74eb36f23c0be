"""Cross-validated scores: every training image is answered by models that were trained without it and what belongs to it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import rankdata

from bottleneck_features.models.probabilities import decide
from bottleneck_features.pipeline.evaluation.calibration import (
    Calibration,
    Known,
    Temperature,
    calibrate,
)
from bottleneck_features.pipeline.evaluation.comparisons import adjusted, on_the_same_folds
from bottleneck_features.pipeline.evaluation.differences import Answers
from bottleneck_features.pipeline.evaluation.figures import curves
from bottleneck_features.pipeline.evaluation.folds import Fold, cross_validated_figure
from bottleneck_features.pipeline.evaluation.predictions import Predictions
from bottleneck_features.pipeline.evaluation.scores import confusion
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset
from bottleneck_features.pipeline.evaluation.target import ClassTarget
from bottleneck_features.pipeline.evaluation.thresholds import Spread, log_odds_of
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.figures import MEASURES, Figure, Figures
from bottleneck_features.pipeline.method_names import BEST_PROBE
from bottleneck_features.pipeline.method_row import CROSS_VALIDATED, Method, Score

_OF_WHOLE_REPEATS = ("balanced_accuracy", "macro_f1", "average_precision")


@dataclass(frozen=True)
class Answered:
    """What one model answers of the images of its fold.

    Attributes:
        fold: the fold.
        probabilities: `(n, classes)` of its scored images.
        threshold: that its own validation images chose.
        figures: how good the answers are.
        spread: of the model's answers, see `TrainedMethod`.
    """

    fold: Fold
    probabilities: np.ndarray
    threshold: float | None
    figures: Figures
    spread: Spread | None


class FoldedSet:
    """The training images, scored by cross-validation; it takes the place of an `EvaluationSet`.

    Args:
        target: what is predicted.
        labels: `(n,)` integers of all training images.
        part: these images.
        units: `(n,)` integers, which picture or group each is of, see `units_of`.
        holdout: what the model that is kept is trained and chosen on, so that no picture is on both sides; None: the study's own.
    """

    kind = CROSS_VALIDATED

    def __init__(
        self, target: ClassTarget, labels: np.ndarray, part: Subset, units: np.ndarray, holdout: Holdout | None = None
    ) -> None:
        self.target, self.holdout = target, holdout
        self._labels, self._part, self._units = labels, part, len(np.unique(units))
        self._groups = units if self._units < len(labels) else None
        self._answered: dict[str, list[Answered]] = {}
        self._examples: dict[str, TrainedMethod] = {}
        self._calibrating: dict[str, str] = {}
        self._names: dict[str, str] = {}  # what was cross-validated, by the label of the method it is shown with

    def add(self, name: str, fold: Fold, trained: TrainedMethod) -> None:
        """Score a model on the images of its fold.

        Args:
            name: of the procedure that made it, such as `ridge` or a method's label.
            fold: the fold.
            trained: the model, trained without the fold's scored images.
        """
        probabilities, threshold = trained.probabilities(fold.scored), trained.method.threshold
        labels = self._labels[self._rows(fold)]
        figures = self.target.figures(labels, probabilities, threshold)
        self._examples.setdefault(name, trained)
        self._answered.setdefault(name, []).append(Answered(fold, probabilities, threshold, figures, trained.spread))

    def example(self, name: str) -> TrainedMethod:
        """Return the model of the first fold."""
        return self._examples[name]

    def beside(self, row: Method) -> Method:
        """Return the row of a method that was scored on test images with its cross-validated figures, where there are some."""
        if row.label not in self._answered and row.name not in self._answered:
            return row
        folded = self._scored(row)
        return row.with_score(CROSS_VALIDATED, folded.scores[CROSS_VALIDATED], folded.figures[CROSS_VALIDATED])

    def score(self, trained: TrainedMethod) -> Method:
        """Return a method's row with the cross-validated figures of the procedure that made it."""
        row = self._scored(trained.method)
        return replace(row, threshold=self._threshold(self._calibrating[row.label], trained.spread))

    def _scored(self, method: Method) -> Method:
        own = method.label if method.label in self._answered else method.name
        # that a probe was chosen among the families is part of how good it is, but not of what its probabilities mean
        name = BEST_PROBE if method.kept and BEST_PROBE in self._answered else own
        self._names[method.label], self._calibrating[method.label] = name, own
        score, figures = self._summary(name)
        row = method.with_score(CROSS_VALIDATED, score, figures)
        return replace(row, models=len(self._answered[name]))

    def _threshold(self, name: str, kept: Spread | None) -> float | None:
        """Return the threshold that the answers of the first repeat choose, each at its place among those of its model.

        Args:
            name: what was cross-validated.
            kept: the spread of the model that takes the threshold.
        """
        places = np.empty(len(self._labels))
        for one in self._of(name, 0):
            if kept is None or one.spread is None:
                return self.target.threshold(self._labels, self._answers(name).probabilities)
            places[self._rows(one.fold)] = one.spread.places(log_odds_of(one.probabilities))
        second = expit(places)
        found = self.target.threshold(self._labels, np.stack([1 - second, second], axis=1))
        return None if found is None or kept is None else kept.threshold_at(float(logit(found)))

    @property
    def scorings(self) -> int:
        """No test image was scored."""
        return 0

    def details(self) -> dict[str, Any]:
        """Return what results say of the folds."""
        most = max(self._answered.values(), key=len)
        repeats = 1 + max(one.fold.repeat for one in most)
        return {"folds": len(most) // repeats, "repeats": repeats, "units": self._units}

    def calibration(self, name: str, validation: Known, temperature: Temperature) -> Calibration:
        """Return the calibration of a scored method: its temperature is fitted to the answers of the first repeat."""
        own = Known(self._labels, self._answers(self._calibrating[name]).probabilities, self._groups)
        return replace(calibrate(own, own, held_out=False, temperature=temperature), fitted_on=CROSS_VALIDATED)

    def confusion(self, name: str) -> np.ndarray:
        """Return the `(classes, classes)` counts of the first repeat: rows are the true classes."""
        return confusion(self._labels, self._answers(self._names[name]).predicted, self.target.classes)

    def curves(self, name: str) -> dict[str, Any] | None:
        """Return the ROC and the precision-recall curve of a scored method, see `curves`; None unless there are two classes."""
        found = curves(self._labels, self._ranks(self._names[name])) if self.target.classes == 2 else None
        return asdict(found) if found else None

    def predictions(self, ids: np.ndarray, temperatures: Mapping[str, float]) -> Predictions:
        """Return the predictions of the first repeat; see `EvaluationSet.predictions`."""
        answers = {label: self._answers(name) for label, name in self._names.items()}
        confidence = {label: own.confidence(temperatures[label]) for label, own in answers.items()}
        predicted = {label: own.predicted for label, own in answers.items()}
        return Predictions(self._part.split, ids[self._part.indices], self._labels, predicted, confidence)

    def comparisons(self, best: str) -> list[dict[str, Any]]:
        """Return every two scored methods compared on the folds they share; see `EvaluationSet.comparisons`."""
        measure = self.target.compared
        answers = {label: self._answers(name) for label, name in self._names.items()}
        found = on_the_same_folds(
            self._labels,
            answers,
            lambda label: self._values(self._answered[self._names[label]], measure.replace("-", "_")),
            self._sizes(),
            self._groups,
            measure,
        )
        return [one.as_json() for one in adjusted(found, best)]

    def warnings(self) -> tuple[str, ...]:
        """Return what a reader of cross-validated figures must know."""
        together = (
            f" ({self._units:,} groups or pictures, each in one fold only)" if self._units < len(self._labels) else ""
        )
        return (
            f"There is no test split: figures are cross-validated over the {len(self._labels):,} training images{together}. "
            "They are of the procedure; the model that is kept is fitted on all images by the same procedure.",
        )

    def _rows(self, fold: Fold) -> np.ndarray:
        return np.searchsorted(self._part.indices, fold.scored.indices)

    def _answers(self, name: str, repeat: int = 0) -> Answers:
        """Return the answers of a repeat, in the order of the images."""
        probabilities = np.empty((len(self._labels), self.target.classes))
        predicted = np.empty(len(self._labels), np.int64)
        for one in self._of(name, repeat):
            rows = self._rows(one.fold)
            probabilities[rows], predicted[rows] = one.probabilities, decide(one.probabilities, one.threshold)
        return Answers(probabilities, predicted)

    def _ranks(self, name: str, repeat: int = 0) -> np.ndarray:
        """Return where each image of a repeat stands among those of its fold, 0..1 for each of two classes.

        Probabilities of the models of different folds are not comparable.
        """
        second = np.empty(len(self._labels))
        for one in self._of(name, repeat):
            second[self._rows(one.fold)] = rankdata(one.probabilities[:, 1]) / (len(one.probabilities) + 1)
        return np.stack([1 - second, second], axis=1)

    def _of(self, name: str, repeat: int) -> list[Answered]:
        return [one for one in self._answered[name] if one.fold.repeat == repeat]

    def _sizes(self) -> tuple[int, int]:
        fold = next(iter(self._answered.values()))[0].fold
        return len(fold.holdout.train) + len(fold.holdout.validation), len(fold.scored)

    def _values(self, answered: Sequence[Answered], measure: str) -> np.ndarray:
        found = [getattr(one.figures, measure) for one in answered]
        return np.array([figure.value if figure else np.nan for figure in found])

    def _summary(self, name: str) -> tuple[Score, Figures]:
        """Return the figures with their intervals; what has no interval is of all answers of the first repeat."""
        answers, n = self._answers(name), len(self._labels)
        scores = self._ranks(name) if self.target.classes == 2 else answers.probabilities
        own = self.target.figures_of(self._labels, scores, answers.predicted, self._groups)
        spread: dict[str, Any] = {
            measure: self._figure(name, measure, getattr(own, measure)) for measure in ("accuracy", *MEASURES)
        }
        accuracy: Figure = spread["accuracy"]
        return Score(accuracy.value, accuracy.low, accuracy.high, n), replace(own, **spread)

    def _figure(self, name: str, measure: str, whole: Figure | None) -> Figure | None:
        """Return the mean of a figure over folds; of those that few or no images of a class make too good, over repeats.

        Source: G. Forman and M. Scholz, Apples-to-apples in cross-validation studies, SIGKDD Explorations 12, 2010.
        """
        values = self._values(self._answered[name], measure)
        known = values[np.isfinite(values)]
        if not len(known) or whole is None:
            return None
        found = cross_validated_figure(known, self._sizes(), whole)
        if measure not in _OF_WHOLE_REPEATS:
            return found
        value = self._over_repeats(name, measure)
        below, above = found.value - found.low, found.high - found.value
        return Figure(value, max(0.0, value - below), min(1.0, value + above))

    def _over_repeats(self, name: str, measure: str) -> float:
        """Return the mean over repeats of a figure of all their answers, ranked within folds."""
        found = []
        for repeat in {one.fold.repeat for one in self._answered[name]}:
            answers = self._answers(name, repeat)
            scores = self._ranks(name, repeat) if measure == "average_precision" else answers.probabilities
            found.append(getattr(self.target.figures_of(self._labels, scores, answers.predicted), measure).value)
        return float(np.mean(found))
