"""The small ConvNets trained from scratch."""

from collections.abc import Mapping

import keras

from bottleneck_features import models
from bottleneck_features.pipeline.evaluation.holdout_scores import holdout_scores, scored_row
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.methods.pixels import pixel_batches, pixel_probabilities
from bottleneck_features.pipeline.methods.training import RowBatches, RowSource, TrainingRecipe, fit
from bottleneck_features.pipeline.results import Clock


def train_convnet(study: Study, pixels: Mapping[str, RowSource], architecture: str) -> TrainedMethod:
    """Train a ConvNet from scratch on the images at their own size, with the heads' training and validation images.

    Args:
        study: the experiment, opened; its `convnet` section is the recipe.
        pixels: its images by split, uint8 `(n, height, width, 3)`.
        architecture: `small` or `strong`.

    Returns:
        The `TrainedMethod`, scored on training and validation images only.
    """
    experiment, dataset, holdout = study.experiment, study.dataset, study.holdout
    settings = experiment.convnet
    name = f"convnet-{architecture}"
    clock = Clock()
    with clock.phase("train"):
        keras.utils.set_random_seed(experiment.seed)
        model = _CONVNETS[architecture](dataset.image_shape, len(dataset.class_names), settings.flip)
        batches = pixel_batches(
            RowBatches, dataset, pixels, holdout=holdout, size=settings.batch_size, seed=experiment.seed
        )
        recipe = TrainingRecipe(settings.epochs, settings.batch_size, settings.learning_rate, experiment.seed)
        curves = fit(model, *batches, recipe, name, study.target)
    predicted = pixel_probabilities(model, pixels, settings.batch_size)
    found = holdout_scores(study, predicted)
    seconds = {"extract": 0.0, "train": clock.seconds["train"]}
    method = scored_row(name, (), model.count_params(), found, seconds)
    return TrainedMethod(method, model, predicted, found.probabilities, curves)


_CONVNETS = {
    "small": lambda shape, classes, flip: models.small_convnet(shape, classes),
    "strong": lambda shape, classes, flip: models.strong_convnet(shape, classes, flip),
}
