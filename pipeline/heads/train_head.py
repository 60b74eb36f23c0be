"""Stage two: train the walk-through's head on cached features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bottleneck_features import models
from bottleneck_features.features import Features
from bottleneck_features.pipeline.comparison.evaluation import held_scores
from bottleneck_features.pipeline.comparison.ground import Ground, common_ground, keep_predictions, scored_warnings
from bottleneck_features.pipeline.comparison.splits import Holdout, Part, labels_of
from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.cache import open_cache
from bottleneck_features.pipeline.extraction.speeds import extraction_speed
from bottleneck_features.pipeline.heads.calibration import Calibration
from bottleneck_features.pipeline.heads.kept_head import finished_head, head_classifier
from bottleneck_features.pipeline.heads.saved_head import save_head
from bottleneck_features.pipeline.networks.training import (
    PREDICTED_AT_A_TIME,
    History,
    Recipe,
    RowBatches,
    fit,
    predict,
)
from bottleneck_features.pipeline.results import Clock, Method, Result, experiment_json, label, run_folder, write_result


@dataclass(frozen=True)
class TrainedMethod:
    """A trained classifier with what is known of it.

    Attributes:
        method: its row in a table; the test split is not scored yet.
        model: the Keras classifier, with the weights of its best epoch.
        history: its learning curves.
        validation_probabilities: `(n, classes)` float32 of the validation images.
    """

    method: Method
    model: keras.Model
    history: History
    validation_probabilities: np.ndarray


def train_head(experiment: Experiment, home: Path) -> Result:
    """Train the head on the last cached layer and score the test split once, if there is one.

    Args:
        experiment: the experiment; its cache must be complete.
        home: the artifacts folder.

    Returns:
        The `Result`, with `methods`, `history`, `scored_on` (`test` or `validation`), `confusion` on it (rows: true
        classes), `calibration` (before and after temperature scaling), `duplicates` across splits and `files`.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: a class has too few samples, or too few groups, to train and to validate.
        PipelineError: the loss became NaN.
    """
    clock = Clock()
    with clock.phase("open"):
        dataset = open_dataset(experiment, home)
        cache = open_cache(experiment, home, dataset)
    folder = run_folder(home, experiment.name, "train-head")
    ground = common_ground(experiment, home, dataset, cache, clock)
    with clock.phase("train"):
        seconds = extraction_seconds(experiment, home, cache)
        trained = fit_head(experiment, cache, ground.held, cache.layers[-1], "linear", seconds)
    with clock.phase("evaluate"):
        judged = judge(
            trained, ground, dataset, lambda part: predict_head(trained.model, cache, cache.layers[-1], part)
        )
    with clock.phase("write"):
        kept = finished_head(
            experiment,
            dataset,
            cache,
            ground,
            judged.method,
            head_classifier(trained.model),
            judged.calibration.temperature,
        )
        files = [save_head(kept, folder / "head.npz"), *_pictures(judged, ground, cache.class_names, folder)]
    rate = extraction_speed(run_folder(home, experiment.name, "features"), cache.key)
    details = {**judged_details(judged, ground, dataset, folder, rate), "files": [str(file) for file in files]}
    warnings = scored_warnings(experiment, dataset, ground, details["methods"])
    result = Result("train-head", experiment_json(experiment), cache.key, clock.seconds, warnings, details, folder)
    write_result(result)
    return result


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
    trained: TrainedMethod, ground: Ground, dataset: Dataset, probabilities: Callable[[Part], np.ndarray]
) -> Judged:
    """Score a trained classifier at the end, once.

    Args:
        trained: nothing of it may change after this.
        ground: who decides.
        dataset: the open data set.
        probabilities: returns the `(n, classes)` probabilities of a `Part`.
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


def judged_pictures(judged: Judged, classes: Sequence[str], folder: Path) -> list[Path]:
    """Draw the learning curves and the confusion matrix of a classifier."""
    from bottleneck_features.pipeline import plots

    title = label(judged.method)
    return [
        plots.learning_curves({title: judged.trained.history.curves}, folder / "learning-curves.png"),
        plots.confusion_matrices({title: judged.confusion}, classes, folder / "confusion.png"),
    ]


def _pictures(judged: Judged, ground: Ground, classes: Sequence[str], folder: Path) -> list[Path]:
    from bottleneck_features.pipeline import plots

    scored_on = f"{len(ground.part):,} {ground.final.kind} images"
    title = f"{label(judged.method)} on {scored_on}; T fitted on validation"
    diagram = plots.reliability_diagram(judged.calibration.as_json(), title, folder / "reliability.png")
    return [*judged_pictures(judged, classes, folder), diagram]


def fit_head(
    experiment: Experiment, cache: Features, held: Holdout, layer: str, name: str, extract_seconds: float | None
) -> TrainedMethod:
    """Train the walk-through's head on one cached layer, scored on training and validation images only.

    Args:
        experiment: its `head` section is the recipe.
        cache: the open cache.
        held: which samples train and which validate.
        layer: one of `cache.layers`.
        name: of the method.
        extract_seconds: what the extraction took, or None when it is not known.

    Returns:
        The `TrainedMethod`.
    """
    settings = experiment.head
    views = len(cache.identity["input.views"])
    clock = Clock()
    with clock.phase("train"):
        keras.utils.set_random_seed(experiment.seed)
        shape = cache["train"].features[layer].shape[2 if views > 1 else 1 :]
        model = models.build_head(shape, len(cache.class_names), settings.dropout)
        recipe = Recipe(settings.epochs, settings.batch_size, settings.learning_rate, experiment.seed)
        train, validation = (
            RowBatches(
                cache[part.split].features[layer], cache[part.split].y, part.indices, size, experiment.seed, views
            )
            for part, size in ((held.train, settings.batch_size), (held.validation, PREDICTED_AT_A_TIME))
        )
        history = fit(model, train, validation, recipe, f"{name} ({layer})")
    seconds = {"extract": extract_seconds, "train": clock.seconds["train"]}
    scores, probabilities = held_scores(
        held, lambda part: cache[part.split].y[part.indices], lambda part: predict_head(model, cache, layer, part)
    )
    method = Method(name, (layer,), model.count_params(), scores, seconds)
    return TrainedMethod(method, model, history, probabilities)


def predict_head(model: keras.Model, cache: Features, layer: str, part: Part) -> np.ndarray:
    """Return a head's class probabilities `(len(part), classes)` float32, averaged over the cache's views."""
    return predict(model, cache[part.split].features[layer], part.indices, len(cache.identity["input.views"]))


def extraction_seconds(experiment: Experiment, home: Path, cache: Features) -> float | None:
    """Return what extracting the whole cache takes at the rate measured when it was made; None when not known."""
    rate = extraction_speed(run_folder(home, experiment.name, "features"), cache.key)
    return sum(len(split) for split in cache.values()) / rate if rate else None
