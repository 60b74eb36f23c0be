"""Stage two: train the walk-through's head on cached features."""

import json
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

import models
from features import Features
from pipeline.cache import data_warnings, open_cache
from pipeline.datasets import open_dataset
from pipeline.evaluation import confusion, score
from pipeline.experiment import Experiment
from pipeline.extract import extraction_speed
from pipeline.results import Clock, Method, Result, experiment_json, run_folder, write_result
from pipeline.splits import stratified_split
from pipeline.training import History, Recipe, RowBatches, fit, predict


@dataclass(frozen=True)
class TrainedMethod:
    """A trained classifier with what is known of it.

    Attributes:
        method: its row in a table; the test split is not scored yet.
        model: the Keras classifier, with the weights of its best epoch.
        history: its learning curves.
    """

    method: Method
    model: keras.Model
    history: History


def train_head(experiment: Experiment, home: Path) -> Result:
    """Train the head on the last cached layer and score the test split once.

    Args:
        experiment: the experiment; its cache must be complete.
        home: the artifacts folder.

    Returns:
        The `Result`, with `methods`, `history`, `confusion` (rows: true classes) and `files`.

    Raises:
        RequestError: there is no cache that matches; the message names what differs.
        PipelineError: the loss became NaN.
    """
    from pipeline import plots

    clock = Clock()
    with clock.phase("open"):
        dataset = open_dataset(experiment.dataset)
        cache = open_cache(experiment, home, dataset)
    folder = run_folder(home, experiment.name, "train-head")
    with clock.phase("train"):
        trained = fit_head(experiment, cache, cache.layers[-1], "linear", extraction_seconds(experiment, home, cache))
    with clock.phase("evaluate"):
        scored, predicted = score_head_on_test(trained, cache)
        matrix = confusion(cache["test"].y, predicted, len(cache.class_names))
    with clock.phase("write"):
        trained.model.save(folder / "head.keras")
        (folder / "history.json").write_text(json.dumps(trained.history.curves, indent=2))
        curves = plots.learning_curves({plots.label(scored): trained.history}, folder / "learning-curves.png")
        picture = plots.confusion_matrices({plots.label(scored): matrix}, cache.class_names, folder / "confusion.png")
    details = {
        "methods": [scored.as_json()],
        "images_per_second": extraction_speed(run_folder(home, experiment.name, "features"), cache.key),
        "best_epoch": trained.history.best_epoch,
        "history": dict(trained.history.curves),
        "classes": list(cache.class_names),
        "confusion": matrix.tolist(),
        "files": [str(folder / "head.keras"), str(folder / "history.json"), str(curves), str(picture)],
    }
    warnings = data_warnings(experiment, dataset)
    result = Result("train-head", experiment_json(experiment), cache.key, clock.seconds, warnings, details, folder)
    write_result(result)
    return result


def fit_head(
    experiment: Experiment, cache: Features, layer: str, name: str, extract_seconds: float | None
) -> TrainedMethod:
    """Train the walk-through's head on one cached layer, scored on training and validation images only.

    Args:
        experiment: its `head` section is the recipe.
        cache: the open cache.
        layer: one of `cache.layers`.
        name: of the method.
        extract_seconds: what the extraction took, or None when it is not known.

    Returns:
        The `TrainedMethod`.
    """
    settings = experiment.head
    rows, labels = cache["train"].features[layer], cache["train"].y
    views = len(cache.identity["input.views"])
    train, held = stratified_split(labels, settings.validation_split, experiment.seed)
    clock = Clock()
    with clock.phase("train"):
        keras.utils.set_random_seed(experiment.seed)
        model = models.build_head(
            rows.shape[2:] if views > 1 else rows.shape[1:], len(cache.class_names), settings.dropout
        )
        recipe = Recipe(settings.epochs, settings.batch_size, settings.learning_rate, experiment.seed)
        history = fit(
            model,
            RowBatches(rows, labels, train, settings.batch_size, experiment.seed, views),
            RowBatches(rows, labels, held, 512, experiment.seed, views),
            recipe,
            f"{name} ({layer})",
        )
    scores = {
        split: score(labels[part], predict(model, rows, part, views).argmax(axis=1))
        for split, part in (("train", train), ("validation", held))
    }
    seconds = {"extract": extract_seconds, "train": clock.seconds["train"]}
    return TrainedMethod(Method(name, (layer,), model.count_params(), scores, seconds), model, history)


def score_head_on_test(trained: TrainedMethod, cache: Features) -> tuple[Method, np.ndarray]:
    """Score a head on the test split.

    Returns:
        The method with its test score, and the `(n,)` predicted classes.
    """
    test = cache["test"]
    rows = test.features[trained.method.layers[0]]
    views = len(cache.identity["input.views"])
    predicted = predict(trained.model, rows, np.arange(len(test)), views).argmax(axis=1)
    return trained.method.with_score("test", score(test.y, predicted)), predicted


def extraction_seconds(experiment: Experiment, home: Path, cache: Features) -> float | None:
    """Return what extracting the whole cache takes at the rate measured when it was made; None when not known."""
    rate = extraction_speed(run_folder(home, experiment.name, "features"), cache.key)
    return sum(len(split) for split in cache.values()) / rate if rate else None
