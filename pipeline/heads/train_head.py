"""Stage two: train the walk-through's head on cached features."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

import models
from features import Features
from pipeline.comparison.evaluation import score
from pipeline.comparison.final_split import FinalSplit
from pipeline.comparison.ground import common_ground
from pipeline.comparison.predictions import save_predictions
from pipeline.comparison.splits import Holdout, Part
from pipeline.datasets import open_dataset
from pipeline.experiment import Experiment
from pipeline.extraction.cache import data_warnings, open_cache
from pipeline.extraction.speeds import extraction_speed
from pipeline.heads.kept_head import finished_head, head_classifier
from pipeline.heads.saved_head import save_head
from pipeline.networks.training import PREDICTED_AT_A_TIME, History, Recipe, RowBatches, fit, predict
from pipeline.results import Clock, Method, Result, experiment_json, run_folder, write_result


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
    from pipeline import plots
    from pipeline.heads.plots_calibration import reliability_diagram

    clock = Clock()
    with clock.phase("open"):
        dataset = open_dataset(experiment, home)
        cache = open_cache(experiment, home, dataset)
    folder = run_folder(home, experiment.name, "train-head")
    ground = common_ground(experiment, home, dataset, cache, clock)
    held, final = ground.held, ground.final
    with clock.phase("train"):
        seconds = extraction_seconds(experiment, home, cache)
        trained = fit_head(experiment, cache, held, cache.layers[-1], "linear", seconds)
    with clock.phase("evaluate"):
        scored = score_head(trained, cache, final)
        matrix = final.confusion(scored.name, len(cache.class_names))
        validation = (cache[held.validation.split].y[held.validation.indices], trained.validation_probabilities)
        calibration = final.calibration(scored.name, validation)
    with clock.phase("write"):
        curves = plots.learning_curves({plots.label(scored): trained.history}, folder / "learning-curves.png")
        picture = plots.confusion_matrices({plots.label(scored): matrix}, cache.class_names, folder / "confusion.png")
        title = f"{plots.label(scored)} on {len(ground.part):,} {final.kind} images; T fitted on validation"
        diagram = reliability_diagram(calibration, title, folder / "reliability.png")
        classifier = head_classifier(trained.model)
        kept = finished_head(experiment, dataset, cache, ground, scored, classifier, calibration.temperature)
        head = save_head(kept, folder / "head.npz")
    details: dict[str, Any] = {
        "methods": [scored.as_json()],
        "images_per_second": extraction_speed(run_folder(home, experiment.name, "features"), cache.key),
        "best_epoch": trained.history.best_epoch,
        "history": dict(trained.history.curves),
        "classes": list(cache.class_names),
        "scored_on": final.kind,
        "confusion": matrix.tolist(),
        "calibration": calibration.as_json(),
        "duplicates": ground.duplicates.as_json(),
        "predictions": save_predictions(final.predictions(dataset.splits[ground.part.split].ids), folder),
        "files": [str(file) for file in (head, curves, picture, diagram)],
    }
    warnings = (*data_warnings(experiment, dataset), *ground.duplicates.warnings(details["methods"]))
    result = Result("train-head", experiment_json(experiment), cache.key, clock.seconds, warnings, details, folder)
    write_result(result)
    return result


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
    scores, probabilities = {}, np.empty(0)
    for split, part in (("train", held.train), ("validation", held.validation)):
        probabilities = predict_head(model, cache, layer, part)
        scores[split] = score(cache[part.split].y[part.indices], probabilities.argmax(axis=1))
    method = Method(name, (layer,), model.count_params(), scores, seconds)
    return TrainedMethod(method, model, history, probabilities)


def predict_head(model: keras.Model, cache: Features, layer: str, part: Part) -> np.ndarray:
    """Return a head's class probabilities `(len(part), classes)` float32, averaged over the cache's views."""
    return predict(model, cache[part.split].features[layer], part.indices, len(cache.identity["input.views"]))


def score_head(trained: TrainedMethod, cache: Features, final: FinalSplit) -> Method:
    """Return a head's method, scored at the end by `final`."""
    layer = trained.method.layers[0]
    return final.score(trained.method, lambda part: predict_head(trained.model, cache, layer, part))


def extraction_seconds(experiment: Experiment, home: Path, cache: Features) -> float | None:
    """Return what extracting the whole cache takes at the rate measured when it was made; None when not known."""
    rate = extraction_speed(run_folder(home, experiment.name, "features"), cache.key)
    return sum(len(split) for split in cache.values()) / rate if rate else None
