"""TODO."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from bottleneck_features import models
from bottleneck_features.features import Features
from bottleneck_features.pipeline.evaluation.scores import held_scores
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.cache import extraction_speed
from bottleneck_features.pipeline.methods.training import PREDICTED_AT_A_TIME, History, Recipe, RowBatches, fit, predict
from bottleneck_features.pipeline.results import Clock, Method, run_folder


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


def predict_head(model: keras.Model, cache: Features, layer: str, part: Subset) -> np.ndarray:
    """Return a head's class probabilities `(len(part), classes)` float32, averaged over the cache's views."""
    return predict(model, cache[part.split].features[layer], part.indices, len(cache.identity["input.views"]))


def extraction_seconds(experiment: Experiment, home: Path, cache: Features) -> float | None:
    """Return what extracting the whole cache takes at the rate measured when it was made; None when not known."""
    rate = extraction_speed(run_folder(home, experiment.name, "features"), cache.key)
    return sum(len(split) for split in cache.values()) / rate if rate else None
