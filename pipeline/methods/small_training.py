"""Training the small ConvNet many times on few images: the recipe of `training.fit` without Keras' overhead per epoch."""

from collections.abc import Mapping

import keras
import numpy as np

from bottleneck_features import models
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset, labels_of
from bottleneck_features.pipeline.methods.training import (
    PREDICTED_AT_A_TIME,
    RowBatches,
    TrainingRecipe,
    predicted_probabilities,
)


class SmallConvnet:
    """A ConvNet that is traced once and trained from new initial weights as often as wanted.

    With 10 images an epoch of `Model.fit` takes 60 times as long as its arithmetic, because it makes new iterators.

    Args:
        dataset: the open data set.
        pixels: its images by split, uint8 `(n, height, width, 3)`.
    """

    def __init__(self, dataset: Dataset, pixels: Mapping[str, np.ndarray]) -> None:
        self._dataset, self._pixels = dataset, pixels
        self._model = self._fresh()
        self._model.compile(keras.optimizers.Adam(), loss="sparse_categorical_crossentropy")
        self._model.optimizer.build(self._model.trainable_variables)
        self._at_rest = [variable.numpy() for variable in self._model.optimizer.variables]

    def train(self, holdout: Holdout, recipe: TrainingRecipe) -> list[float]:
        """Train from initial weights of the recipe's seed; leave the weights of the epoch of the lowest validation loss.

        Args:
            holdout: which samples train and which validate.
            recipe: optimiser settings.

        Returns:
            The validation loss of every epoch.

        Raises:
            PipelineError: the loss became NaN or infinite.
        """
        self._reset(recipe)
        train, validation = (
            RowBatches(
                self._pixels[part.split],
                self._dataset.splits[part.split].labels,
                part.indices,
                batch_size=size,
                seed=recipe.seed,
            )
            for part, size in ((holdout.train, recipe.batch_size), (holdout.validation, PREDICTED_AT_A_TIME))
        )
        losses: list[float] = []
        best = self._model.get_weights()
        for _ in range(recipe.epochs):
            for batch in range(len(train)):
                self._model.train_on_batch(*train[batch])
            train.on_epoch_end()
            losses.append(self._loss(validation))
            if losses[-1] <= min(losses):
                best = self._model.get_weights()
        if not np.isfinite(losses).all():
            raise PipelineError(
                "The loss of convnet-small is no longer a number. Lower convnet.learning_rate "
                f"(it was {recipe.learning_rate:g})."
            )
        self._model.set_weights(best)
        return losses

    def accuracy(self, part: Subset, batch_size: int) -> float:
        """Return the top-1 accuracy on some samples."""
        predicted = predicted_probabilities(self._model, self._pixels[part.split], part.indices, batch_size=batch_size)
        return float((predicted.argmax(axis=1) == labels_of(self._dataset, part)).mean())

    def _fresh(self) -> keras.Model:
        return models.small_convnet(self._dataset.image_shape, len(self._dataset.class_names))

    def _reset(self, recipe: TrainingRecipe) -> None:
        keras.utils.set_random_seed(recipe.seed)
        self._model.set_weights(self._fresh().get_weights())
        for variable, value in zip(self._model.optimizer.variables, self._at_rest, strict=True):
            variable.assign(value)
        self._model.optimizer.learning_rate = recipe.learning_rate

    def _loss(self, batches: RowBatches) -> float:
        rows = [batches[batch] for batch in range(len(batches))]
        losses = [float(self._model.test_on_batch(*row)) for row in rows]
        return float(np.average(losses, weights=[len(labels) for _, labels in rows]))
