"""The whole network, trained with a new last layer, from the pre-trained weights or from random ones."""

from collections.abc import Callable, Mapping
from dataclasses import asdict

import keras
import numpy as np

from bottleneck_features import models
from bottleneck_features.pipeline.evaluation.holdout_scores import holdout_scores, scored_row
from bottleneck_features.pipeline.evaluation.splits import digest
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.networks import trainable_backbone
from bottleneck_features.pipeline.input_fit import graph_fit
from bottleneck_features.pipeline.methods.layer_rows import LayerRows
from bottleneck_features.pipeline.methods.pixels import pixel_batches, pixel_probabilities
from bottleneck_features.pipeline.methods.resumable import Schedule, fit_resumable, recipe_folder, sole_training
from bottleneck_features.pipeline.methods.training import EpochBatches, RowSource
from bottleneck_features.pipeline.results import run_folder


def starts_from_probe(experiment: Experiment, method: str) -> bool:
    """Tell whether a method's new last layer starts from a linear probe on cached features."""
    return method == "fine-tune" and experiment.finetune.start == "probe"


def train_network(study: Study, pixels: Mapping[str, RowSource], method: str) -> TrainedMethod:
    """Train a network with a new last layer; a killed training continues after its last epoch.

    `fine-tune` starts from the pre-trained weights and trains `finetune.from_layer` and later layers; batch norm is frozen.
    `from-pretrained` trains the whole network, batch norm too, initialised with them. `from-scratch` the same from
    random weights.

    Args:
        study: its experiment's `finetune` section is the recipe.
        pixels: its images by split, uint8 `(n, height, width, 3)`.
        method: one of `NETWORKS`.

    Returns:
        The `TrainedMethod`, scored on training and validation images only.

    Raises:
        NoCache: there are no features for the linear probe that `fine-tune` starts from.
        PipelineError: the loss became NaN, or another process trains the same network now.
        models.ModelError: the backbone, `finetune.from_layer` or the weights are not available, or another setting is wrong.
    """
    experiment, dataset, holdout = study.experiment, study.dataset, study.holdout
    settings, layer = experiment.finetune, experiment.backbone.layers[-1]
    weights = None if study.target.weights is None else study.target.weights.tolist()
    precision = models.training_precision(settings.precision)
    recipe = {
        "method": method,
        "seed": experiment.seed,
        "finetune": {**asdict(settings), "precision": precision},
        "identity": dict(study.identity),
        "held": digest(holdout.train, holdout.validation),
        "score": {"select": study.target.select, "class_weight": weights},
    }
    keras.utils.set_random_seed(experiment.seed)
    batches = pixel_batches(
        EpochBatches, dataset, pixels, holdout=holdout, size=settings.batch_size, seed=experiment.seed
    )
    folder = recipe_folder(run_folder(study.home, experiment.name, method), recipe)
    start = _probe(study) if starts_from_probe(experiment, method) else None
    build = _builder(study, method, precision, start)
    with sole_training(folder):
        schedule, title = _schedule(experiment, method), f"{method} ({layer})"
        trained, curves = fit_resumable(
            build, *batches, schedule=schedule, title=title, folder=folder, target=study.target
        )
    model = models.compute_in(trained, "float32")
    predicted = pixel_probabilities(model, pixels, settings.batch_size)
    found = holdout_scores(study, predicted)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    seconds = {"extract": study.extraction_seconds if start else 0.0, "train": sum(curves["seconds"])}
    row = scored_row(method, (layer,), trainable, found, seconds)
    return TrainedMethod(row, model, predicted, found.probabilities, curves)


def _schedule(experiment: Experiment, method: str) -> Schedule:
    settings = experiment.finetune
    setting = "learning_rate" if method == "fine-tune" else "fresh_learning_rate"
    rate = getattr(settings, setting)
    return Schedule(settings.epochs, rate, settings.drop_every, settings.patience, f"finetune.{setting}")


def _builder(
    study: Study, method: str, precision: str, start: Callable[[], tuple[np.ndarray, np.ndarray]] | None
) -> Callable[[], keras.Model]:
    experiment, settings = study.experiment, study.experiment.finetune
    weights = "random" if method == "from-scratch" else experiment.backbone.weights
    fit, crop_share = graph_fit(experiment)

    def build() -> keras.Model:
        backbone = trainable_backbone(experiment, weights)
        model = models.classifier(
            backbone,
            experiment.backbone.layers[-1],
            len(study.classes),
            study.dataset.image_shape,
            crop_area=settings.crop_area,
            flip=settings.flip,
            resize=experiment.input.resize,
            antialias=experiment.input.antialias,
            fit=fit,
            crop_share=crop_share,
            pooling=experiment.features.pooling[-1],
            dropout=settings.dropout,
        )
        if method == "fine-tune":
            models.freeze_below(model, settings.from_layer)
            models.freeze_batch_norm(model)
        if start:
            models.set_last_layer(model, *start())
        return models.compute_in(model, precision)

    return build


def _probe(study: Study) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Return a function that fits a linear probe on the training images' first view.

    It returns the weights `(features, classes)` and the bias `(classes,)`.
    """
    rows = LayerRows(study.cache, study.experiment.backbone.layers[-1:], study.holdout.train)
    weights = study.target.sample_weights(rows.labels)

    def fitted() -> tuple[np.ndarray, np.ndarray]:
        first = rows[:][:: rows.views].astype(np.float32)
        probe = models.LogisticPath(random_state=study.experiment.seed).fit(first, rows.labels, weights)
        return probe.coef_.T, probe.intercept_

    return fitted
