"""TODO."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.evaluation.calibration import Calibration
from bottleneck_features.pipeline.evaluation.ground import Ground, keep_predictions
from bottleneck_features.pipeline.evaluation.splits import Subset, labels_of
from bottleneck_features.pipeline.methods.head import TrainedMethod
from bottleneck_features.pipeline.results import Method


@dataclass(frozen=True)
class Judged:
    """A trained classifier that was scored at the end.

    Attributes:
        trained: the classifier.
        method: its row, scored.
        confusion: `(classes, classes)` counts: rows are the true classes.
        calibration: how far its probabilities may be trusted.
    """

    trained: TrainedMethod
    method: Method
    confusion: np.ndarray
    calibration: Calibration


def judge(
    trained: TrainedMethod, ground: Ground, dataset: Dataset, probabilities: Callable[[Subset], np.ndarray]
) -> Judged:
    """Score a trained classifier at the end, once.

    Args:
        trained: nothing of it may change after this.
        ground: who decides.
        dataset: the open data set.
        probabilities: returns the `(n, classes)` probabilities of a `Subset`.
    """
    method = ground.final.score(trained.method, probabilities)
    matrix = ground.final.confusion(method.name, len(dataset.class_names))
    validation = (labels_of(dataset, ground.held.validation), trained.validation_probabilities)
    return Judged(trained, method, matrix, ground.final.calibration(method.name, validation))


def judged_details(
    judged: Judged, ground: Ground, dataset: Dataset, folder: Path, images_per_second: float | None
) -> dict[str, Any]:
    """Return what the result of a command that trained one classifier says of it; its predictions are kept in `folder`."""
    return {
        "methods": [judged.method.as_json()],
        "images_per_second": images_per_second,
        "best_epoch": judged.trained.history.best_epoch,
        "history": dict(judged.trained.history.curves),
        "classes": list(dataset.class_names),
        "scored_on": ground.final.kind,
        "confusion": judged.confusion.tolist(),
        "calibration": judged.calibration.as_json(),
        "duplicates": ground.duplicates.as_json(),
        "predictions": keep_predictions(ground, dataset, folder),
    }
