"""TODO."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np

from bottleneck_features import models
from bottleneck_features.features import Features
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.evaluation.splits import Holdout, digest
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.cache import experiment_identity
from bottleneck_features.pipeline.methods.head import TrainedMethod, extraction_seconds
from bottleneck_features.pipeline.methods.pixels import pixel_batches, pixel_scores
from bottleneck_features.pipeline.methods.resumable import Schedule, fit_resumable, recipe_folder, sole_training
from bottleneck_features.pipeline.methods.training import EpochBatches
from bottleneck_features.pipeline.results import Method, run_folder


def _starts_from_probe(experiment: Experiment, method: str) -> bool:
    return method == "fine-tune" and experiment.finetune.start == "probe"


def train_network(
    experiment: Experiment,
    home: Path,
    dataset: Dataset,
    pixels: Mapping[str, np.ndarray],
    held: Holdout,
    method: str,
    cache: Features | None,
) -> TrainedMethod:
    """Train a network with a new last layer; a killed training goes on at its last epoch.

    `fine-tune` trains on from the pre-trained weights, from `finetune.from_layer` upward, batch norm kept as it is.
    `from-pretrained` trains the whole network, batch norm too, initialised with them. `from-scratch` the same from
    random weights.

    Args:
        experiment: its `finetune` section is the recipe.
        home: the artifacts folder.
        dataset: the open data set.
        pixels: its images by split, uint8 `(n, height, width, 3)`.
        held: which samples train and which validate.
        method: one of `NETWORKS`.
        cache: the experiment's cache, for the start of `fine-tune`; None where the method does not need it.

    Returns:
        The `TrainedMethod`, scored on training and validation images only.

    Raises:
        PipelineError: the loss became NaN, or another process trains exactly this now.
        models.ModelError: the backbone, `finetune.from_layer` or the weights are not to be had, or another setting is wrong.
    """
    settings = experiment.finetune
    layer = experiment.backbone.layers[-1]
    precision = models.training_precision(settings.precision)
    recipe = {
        "method": method,
        "seed": experiment.seed,
        "finetune": {**asdict(settings), "precision": precision},
        "identity": experiment_identity(experiment, dataset, home),
        "held": digest(held.train, held.validation),
    }
    keras.utils.set_random_seed(experiment.seed)
    batches = pixel_batches(EpochBatches, dataset, pixels, held, settings.batch_size, experiment.seed)
    schedule = _schedule(experiment, method)
    folder = recipe_folder(run_folder(home, experiment.name, method), recipe)
    build = _builder(experiment, dataset, held, method, cache, precision)
    with sole_training(folder):
        trained, history = fit_resumable(build, *batches, schedule, f"{method} ({layer})", folder)
    model = models.compute_in(trained, "float32")
    scores, probabilities = pixel_scores(model, dataset, pixels, held, settings.batch_size)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    start = cache if _starts_from_probe(experiment, method) else None
    extract = extraction_seconds(experiment, home, start) if start else 0.0
    seconds = {"extract": extract, "train": sum(history.curves["seconds"])}
    return TrainedMethod(Method(method, (layer,), trainable, scores, seconds), model, history, probabilities)


def _schedule(experiment: Experiment, method: str) -> Schedule:
    settings = experiment.finetune
    setting = "learning_rate" if method == "fine-tune" else "fresh_learning_rate"
    rate = getattr(settings, setting)
    return Schedule(settings.epochs, rate, settings.drop_every, settings.patience, f"finetune.{setting}")


def _builder(
    experiment: Experiment, dataset: Dataset, held: Holdout, method: str, cache: Features | None, precision: str
) -> Callable[[], keras.Model]:
    settings = experiment.finetune
    weights = "random" if method == "from-scratch" else experiment.backbone.weights
    classes = len(dataset.class_names)

    def build() -> keras.Model:
        backbone = models.load_backbone(experiment.backbone.name, weights, experiment.input.size, experiment.seed)
        model = models.classifier(
            backbone,
            experiment.backbone.layers[-1],
            classes,
            dataset.image_shape,
            settings.crop_area,
            settings.flip,
            experiment.input.resize,
            experiment.input.antialias,
            experiment.features.pooling[-1],
            settings.dropout,
        )
        if method == "fine-tune":
            models.freeze_below(model, settings.from_layer)
            models.freeze_batch_norm(model)
        if cache and _starts_from_probe(experiment, method):
            models.set_last_layer(model, *_probe(experiment, cache, held))
        return models.compute_in(model, precision)

    return build


def _probe(experiment: Experiment, cache: Features, held: Holdout) -> tuple[np.ndarray, np.ndarray]:
    """Weights `(features, classes)` and bias `(classes,)` of a linear probe on the training samples' first view."""
    split = cache[held.train.split]
    rows = split.features[experiment.backbone.layers[-1]][held.train.indices].astype(np.float32)
    if len(cache.identity["input.views"]) > 1:
        rows = rows[:, 0]
    if rows.ndim == 4:
        rows = rows.mean(axis=(1, 2))
    probe = models.LogisticPath(random_state=experiment.seed).fit(rows, split.y[held.train.indices])
    return probe.coef_.T, probe.intercept_
