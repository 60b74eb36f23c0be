"""The entries in results of a method that was scored on the evaluation set."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.evaluation.calibration import (
    Calibration,
    Known,
    needed_temperature,
    whole_temperature,
)
from bottleneck_features.pipeline.evaluation.folded_set import FoldedSet
from bottleneck_features.pipeline.evaluation.predictions import save_predictions
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.method_names import SCORES
from bottleneck_features.pipeline.method_row import Method, kept_epoch


@dataclass(frozen=True)
class ScoredMethod:
    """A trained method that was scored on the evaluation set.

    Attributes:
        trained: the method.
        row: its row in a table, scored.
        confusion: `(classes, classes)` counts: rows are the true classes.
        calibration: of its probabilities.
    """

    trained: TrainedMethod
    row: Method
    confusion: np.ndarray
    calibration: Calibration


def score_method(study: Study, trained: TrainedMethod, folded: FoldedSet | None = None) -> ScoredMethod:
    """Score a trained method on the evaluation set, once.

    Args:
        study: the experiment, opened.
        trained: the method.
        folded: its cross-validated scores, which stand beside those on test images.
    """
    row = study.evaluation.score(trained)
    if trained.threshold is not None:
        row = replace(row, threshold=trained.threshold)
    if folded and folded is not study.evaluation:
        row = folded.beside(row)
    matrix = study.evaluation.confusion(row.label)
    part = study.holdout.validation
    validation = Known(study.labels(part), trained.validation_probabilities, study.groups(part))
    if (row.family or row.name) in SCORES:
        calibration = study.evaluation.calibration(row.label, validation, whole_temperature).of_scores()
    else:
        calibration = study.evaluation.calibration(row.label, validation, needed_temperature)
    return ScoredMethod(trained, row, matrix, calibration)


def scored_details(study: Study, method: ScoredMethod) -> dict[str, Any]:
    """Return the entries of a trained method in the result of its command; its predictions are kept beside it."""
    kept, curves = keep_predictions(study, [method]), method.trained.curves
    return {
        "methods": [method.row.as_json()],
        "best_epoch": kept_epoch(curves),
        "history": dict(curves),
        "classes": list(study.classes),
        **score_details(study),
        "confusion": method.confusion.tolist(),
        "curves": curves_of(study, [method.row]),
        "calibration": method.calibration.as_json(),
        "duplicates": study.duplicates.as_json(),
        "predictions": kept,
    }


def score_details(study: Study, folded: FoldedSet | None = None) -> dict[str, Any]:
    """Return what a result says of how its methods were scored, and what decided between models."""
    return {
        "scored_on": study.evaluation.kind,
        "select": study.target.select,
        "select_reason": study.target.reason,
        **(folded.details() if folded else {}),
    }


def curves_of(study: Study, rows: Iterable[Method]) -> dict[str, Any]:
    """Return the curves of scored methods by their labels; empty unless there are two classes."""
    found = {row.label: study.evaluation.curves(row.label) for row in rows}
    return {label: own for label, own in found.items() if own}


def keep_predictions(study: Study, methods: Iterable[ScoredMethod]) -> dict[str, str]:
    """Write the predictions of every scored method, and return their entry in results."""
    ids = study.dataset.splits[study.scored_images.split].ids
    temperatures = {one.row.label: one.calibration.temperature for one in methods}
    return save_predictions(study.evaluation.predictions(ids, temperatures), study.folder)


def scored_pictures(study: Study, method: ScoredMethod) -> list[Path]:
    """Draw the learning curves and the confusion matrix of a method."""
    title = method.row.title
    curves = plots.learning_curves(title, method.trained.curves)
    matrix = plots.confusion_matrices({title: method.confusion}, study.classes)
    return [
        plots.save_figure(curves, study.folder / "learning-curves.png"),
        plots.save_figure(matrix, study.folder / "confusion.png"),
    ]
