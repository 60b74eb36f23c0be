"""The evaluation set: the test images, or the validation images of data without a test split. Each method is scored once."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from bottleneck_features.models.probabilities import decide
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.evaluation.calibration import Calibration, Known, Temperature, calibrate
from bottleneck_features.pipeline.evaluation.comparisons import adjusted, on_the_same_images
from bottleneck_features.pipeline.evaluation.differences import Answers
from bottleneck_features.pipeline.evaluation.duplicates import Duplicates
from bottleneck_features.pipeline.evaluation.figures import curves
from bottleneck_features.pipeline.evaluation.ledger import answers_digest
from bottleneck_features.pipeline.evaluation.predictions import Predictions
from bottleneck_features.pipeline.evaluation.scores import accuracy_of, confusion
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.evaluation.target import ClassTarget
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.method_row import Method


class EvaluationSet:
    """The test split, or the validation samples of a data set that has none; it scores each method once.

    A method is scored when its training and all choices are finished. Predictions and labels are given to the pages
    (`predictions`); no choice is made by them.

    Args:
        target: what is predicted.
        labels: `(n,)` integers, of the samples of `part`.
        part: from `scored_subset`.
        duplicates: those of them that repeat an image used for training; every method is also scored without them.
        groups: `(n,)` integers where some of the samples are in the same group.
    """

    def __init__(
        self,
        target: ClassTarget,
        labels: np.ndarray,
        part: Subset,
        duplicates: Duplicates,
        groups: np.ndarray | None = None,
    ) -> None:
        self.target = target
        self._labels, self._part, self._duplicates, self._groups = labels, part, duplicates, groups
        self._answers: dict[str, Answers] = {}

    @property
    def kind(self) -> str:
        """`test` or `validation`: the kind of images."""
        return "test" if self._part.split == "test" else "validation"

    @property
    def scorings(self) -> int:
        """How many methods were scored."""
        return len(self._answers)

    def score(self, trained: TrainedMethod) -> Method:
        """Score a trained method; this is possible once per run.

        Returns:
            Its row with its test score. Where there is no test split its validation score is there already.

        Raises:
            PipelineError: this method was scored before.
        """
        method = trained.method
        if method.label in self._answers:
            raise PipelineError(
                f"{method.label!r} was already scored on the {self.kind} images. A second score would allow a choice by them: "
                "choose on validation images, then score once."
            )
        probabilities = trained.probabilities(self._part)
        predicted = decide(probabilities, method.threshold)
        self._answers[method.label] = Answers(probabilities, predicted)
        if self.kind == "test":
            figures = self.target.figures(self._labels, probabilities, method.threshold, self._groups)
            method = method.with_score(self.kind, accuracy_of(figures), figures)
        return self._duplicates.score_without(method, self._labels, predicted, self._groups)

    def calibration(self, name: str, validation: Known, temperature: Temperature) -> Calibration:
        """Return the calibration of a scored method, before and after temperature scaling.

        Args:
            name: the label of a scored method.
            validation: what the temperature is fitted on.
            temperature: see `calibrate`.
        """
        scored = Known(self._labels, self._answers[name].probabilities, self._groups)
        return calibrate(validation, scored, held_out=self.kind == "test", temperature=temperature)

    def confusion(self, name: str) -> np.ndarray:
        """Return the `(classes, classes)` counts of a scored method: rows are the true classes."""
        return confusion(self._labels, self._answers[name].predicted, self.target.classes)

    def curves(self, name: str) -> dict[str, Any] | None:
        """Return the ROC and the precision-recall curve of a scored method, see `curves`; None unless there are two classes."""
        found = curves(self._labels, self._answers[name].probabilities)
        return asdict(found) if found else None

    def predictions(self, ids: np.ndarray, temperatures: Mapping[str, float]) -> Predictions:
        """Return the predictions of every scored method for each image.

        Args:
            ids: `(n,)` of all samples of the split.
            temperatures: of the methods' calibrations, by label, at which confidences are.
        """
        confidence = {name: own.confidence(temperatures[name]) for name, own in self._answers.items()}
        predicted = {name: own.predicted for name, own in self._answers.items()}
        return Predictions(self._part.split, ids[self._part.indices], self._labels, predicted, confidence)

    def comparisons(self, best: str) -> list[dict[str, Any]]:
        """Return every two scored methods compared on the same images, as results have it under `pairs`.

        Args:
            best: the label of the method that validation images put first; p-values of comparisons with it are adjusted.
        """
        measure = self.target.compared
        found = on_the_same_images(self._labels, self._answers, self._groups, measure)
        return [one.as_json() for one in adjusted(found, best)]

    def answers_digest(self) -> str:
        """Return the SHA-256 of the scored methods' answers."""
        return answers_digest({name: own.predicted for name, own in self._answers.items()})
