"""The small ConvNets trained from scratch."""

from collections.abc import Mapping
from functools import partial

import keras
import numpy as np

from bottleneck_features import models
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.evaluation.scores import holdout_scores
from bottleneck_features.pipeline.evaluation.splits import Holdout, labels_of
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.methods.pixels import pixel_batches, pixel_probabilities
from bottleneck_features.pipeline.methods.training import RowBatches, TrainingRecipe, fit
from bottleneck_features.pipeline.results import Clock


def train_convnet(
    experiment: Experiment, dataset: Dataset, pixels: Mapping[str, np.ndarray], holdout: Holdout, architecture: str
) -> TrainedMethod:
    """Train a ConvNet from scratch on the images at their own size, with the heads' training and validation images.

    Args:
        experiment: its `convnet` section is the recipe.
        dataset: the open data set.
        pixels: its images by split, uint8 `(n, height, width, 3)`.
        holdout: which samples train and which validate.
        architecture: `small` or `strong`.

    Returns:
        The `TrainedMethod`, scored on training and validation images only.
    """
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
        curves = fit(model, *batches, recipe, name)
    predicted = pixel_probabilities(model, pixels, settings.batch_size)
    scores, probabilities = holdout_scores(holdout, partial(labels_of, dataset), predicted)
    seconds = {"extract": 0.0, "train": clock.seconds["train"]}
    method = Method(name, (), model.count_params(), scores, seconds)
    return TrainedMethod(method, model, predicted, probabilities, curves)


_CONVNETS = {
    "small": lambda shape, classes, flip: models.small_convnet(shape, classes),
    "strong": lambda shape, classes, flip: models.strong_convnet(shape, classes, flip),
}
