"""Training a Keras classifier on arrays that need not fit in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np

from bottleneck_features.models.rows import mean_over_views
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.evaluation.target import ClassTarget
from bottleneck_features.pipeline.method_row import Curves, kept_epoch
from bottleneck_features.pipeline.progress import progress

PREDICTED_AT_A_TIME = 512  # rows of features


class RowSource(Protocol):
    """Anything that gives rows by an integer index array: a NumPy array or a cached feature array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        ...

    def __getitem__(self, index: Any) -> np.ndarray: ...


@dataclass(frozen=True)
class TrainingRecipe:
    """How to train: Adam at `learning_rate`, `epochs` passes in batches of `batch_size`, everything seeded."""

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int


class RowBatches(keras.utils.PyDataset):
    """Batches of images as bytes or of features as float32, read as they are needed, in a new seeded order each epoch.

    Args:
        rows: `(n, …)`; with `views` > 1 `(n, views, …)`, of which each epoch sees one at random for every sample.
        labels: `(n,)` integer array.
        indices: the samples to use.
        batch_size: rows per batch.
        seed: of the order and of the choice of view.
        views: how many views of a sample lie on axis 1.
    """

    def __init__(
        self, rows: RowSource, labels: np.ndarray, indices: np.ndarray, *, batch_size: int, seed: int, views: int = 1
    ) -> None:
        super().__init__()
        self._rows, self._labels, self._indices = rows, labels, indices.copy()
        self._size, self._views, self._seed, self._rng = batch_size, views, seed, np.random.default_rng(seed)
        self._rng.shuffle(self._indices)

    def __len__(self) -> int:
        return -(-len(self._indices) // self._size)

    def __getitem__(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._indices[batch * self._size : (batch + 1) * self._size]
        rows = self._rows[chosen]
        if self._views > 1:
            rows = rows[np.arange(len(chosen)), self._rng.integers(0, self._views, len(chosen))]
        return _for_device(rows), self._labels[chosen]

    def on_epoch_end(self) -> None:
        """Take a new order."""
        self._rng.shuffle(self._indices)


class EpochBatches(RowBatches):
    """`RowBatches` whose order depends only on the epoch, so that a killed training continues as if it had not stopped."""

    @property
    def seed(self) -> int:
        """Of the order."""
        return self._seed

    def begin(self, epoch: int) -> None:
        """Take the order of an epoch, counted from 0."""
        self._rng = np.random.default_rng((self._seed, epoch))
        self._indices = self._rng.permutation(np.sort(self._indices))

    def on_epoch_end(self) -> None:
        """Keep the order until the next `begin`."""


def fit(
    model: keras.Model,
    train: RowBatches,
    validation: RowBatches,
    recipe: TrainingRecipe,
    title: str,
    target: ClassTarget,
) -> Curves:
    """Train a classifier and leave it with the weights of its best epoch, see `kept_epoch`.

    Args:
        model: gives class probabilities.
        train: training batches.
        validation: validation batches.
        recipe: optimiser settings.
        title: shown in the progress bar.
        target: what decides between epochs, and how much each class counts.

    Returns:
        The learning curves: `loss`, `accuracy`, `val_loss`, `val_accuracy` and `val_select`, what decides between epochs;
        one value per epoch.

    Raises:
        PipelineError: the loss became NaN or infinite.
    """
    model.compile(
        keras.optimizers.Adam(recipe.learning_rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    best = _BestEpoch(validation, target)
    callbacks = [best, keras.callbacks.TerminateOnNaN(), _Progress(title, recipe.epochs)]
    fitted = model.fit(
        train,
        validation_data=validation,
        epochs=recipe.epochs,
        verbose=0,
        callbacks=callbacks,
        class_weight=keras_weights(target),
    )
    curves = {name: [float(value) for value in values] for name, values in fitted.history.items()}
    if not all(np.isfinite(curves["loss"])) or not np.isfinite(curves.get("val_loss", [np.nan])).any():
        raise PipelineError(
            f"The loss of {title} is no longer a number after {len(curves['loss'])} epochs. "
            f"Lower the learning rate (it was {recipe.learning_rate:g})."
        )
    return curves


def predicted_probabilities(
    model: keras.Model, rows: RowSource, indices: np.ndarray, views: int = 1, batch_size: int = PREDICTED_AT_A_TIME
) -> np.ndarray:
    """Return class probabilities `(len(indices), classes)` float32, averaged over the views when there are several."""
    parts = []
    for start in range(0, len(indices), batch_size):
        batch = _for_device(rows[indices[start : start + batch_size]])
        flat = batch.reshape(-1, *batch.shape[2:]) if views > 1 else batch
        parts.append(mean_over_views(model.predict_on_batch(flat), views))
    return np.concatenate(parts)


def keras_weights(target: ClassTarget) -> dict[int, float] | None:
    """Return how much each class counts, as `Model.fit` takes it."""
    return None if target.weights is None else dict(enumerate(target.weights.tolist()))


def epoch_value(model: keras.Model, validation: RowBatches, target: ClassTarget, figures: Mapping[str, float]) -> float:
    """Return what decides between epochs, higher is better.

    Args:
        model: after the epoch.
        validation: the validation batches.
        target: what decides.
        figures: of the epoch, with `val_loss` and `val_accuracy`.
    """
    if target.select in ("accuracy", "log-loss"):
        return figures["val_accuracy"] if target.select == "accuracy" else -figures["val_loss"]
    batches = [validation[number] for number in range(len(validation))]
    probabilities = np.concatenate([model.predict_on_batch(rows) for rows, _ in batches])
    if not np.isfinite(probabilities).all():
        return float("nan")
    return target.criterion(probabilities, np.concatenate([labels for _, labels in batches]))


class _BestEpoch(keras.callbacks.Callback):
    """Leaves the model with the weights of the epoch that `kept_epoch` names."""

    def __init__(self, validation: RowBatches, target: ClassTarget) -> None:
        super().__init__()
        self._validation, self._target = validation, target
        self._curves: dict[str, list[float]] = {"val_loss": [], "val_select": []}
        self._weights: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        figures = logs if logs is not None else {}
        figures["val_select"] = epoch_value(self.model, self._validation, self._target, figures)
        for name, values in self._curves.items():
            values.append(float(figures[name]))
        if kept_epoch(self._curves) == len(self._curves["val_loss"]):
            self._weights = self.model.get_weights()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if self._weights is not None:
            self.model.set_weights(self._weights)


class _Progress(keras.callbacks.Callback):
    def __init__(self, title: str, epochs: int) -> None:
        super().__init__()
        self._bar = progress(total=epochs, desc=title, unit="epoch")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        validation = logs.get("val_accuracy", np.nan)
        self._bar.set_postfix_str(f"validation {validation:.1%}", refresh=False)
        self._bar.update()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self._bar.close()


def _for_device(rows: np.ndarray) -> np.ndarray:
    """Leave bytes as they are, for the device to convert; others become float32.

    TensorFlow has no fast float16 kernels on many processors.
    """
    return rows if rows.dtype == np.uint8 else rows.astype(np.float32)
