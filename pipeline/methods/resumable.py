"""Training that survives a kill: a checkpoint after every epoch, from which the same command continues.

Keras' BackupAndRestore keeps neither the best weights, nor the curves, nor the state of the random generators, and a kill
while it writes leaves a file that does not load.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from bottleneck_features import models
from bottleneck_features.errors import first_line
from bottleneck_features.foreign import read_json
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.evaluation.target import ClassTarget
from bottleneck_features.pipeline.method_row import Curves, kept_epoch
from bottleneck_features.pipeline.methods.training import EpochBatches, RowBatches, epoch_value, keras_weights
from bottleneck_features.pipeline.progress import progress

BEST, LAST, CURVES = "best.keras", "last.keras", "history.json"
KEPT_RECIPES = 5  # trainings of an experiment; a checkpoint has three times the network's size


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        epochs: at most.
        learning_rate: of Adam in the first epoch.
        drop_every: epochs after which the learning rate falls to a tenth, again and again; 0: never.
        patience: epochs without a better one, see `kept_epoch`, after which training stops.
        rate_setting: the setting the learning rate comes from, for advice.
    """

    epochs: int
    learning_rate: float
    drop_every: int
    patience: int
    rate_setting: str = "finetune.learning_rate"

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        return self.learning_rate * (0.1 ** (epoch // self.drop_every) if self.drop_every else 1.0)

    def over(self, epochs: int, best: int) -> bool:
        """Whether training ends after so many epochs, of which the one with the number `best` (from 0) was the best."""
        return epochs >= self.epochs or epochs - best > self.patience


def recipe_folder(parent: Path, recipe: dict[str, Any]) -> Path:
    """Return the folder for checkpoints of exactly this recipe: no other recipe uses them."""
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    return parent / f"training-{digest[:8]}"


@contextmanager
def sole_training(folder: Path) -> Iterator[None]:
    """Keep other processes from training the same recipe, and remove the oldest of the other recipes' checkpoints.

    Args:
        folder: from `recipe_folder`.

    Raises:
        PipelineError: another process trains it now.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _lock(folder):
            _forget_oldest(folder)
            yield
    except Timeout:
        raise PipelineError(
            f"Another run is training the same network now ({folder}). Wait for it to end: the same command then reads its "
            "result."
        ) from None


def _lock(folder: Path) -> FileLock:
    return FileLock(folder.with_suffix(".lock"), timeout=0)


def _forget_oldest(current: Path) -> None:
    others = sorted(set(current.parent.glob("training-????????")) - {current}, key=lambda path: -path.stat().st_mtime)
    for old in others[KEPT_RECIPES - 1 :]:
        with suppress(Timeout), _lock(old):
            shutil.rmtree(old, ignore_errors=True)
            old.with_suffix(".lock").unlink(missing_ok=True)


def fit_resumable(
    build: Callable[[], keras.Model],
    train: EpochBatches,
    validation: RowBatches,
    *,
    schedule: Schedule,
    title: str,
    folder: Path,
    target: ClassTarget,
) -> tuple[keras.Model, Curves]:
    """Train a classifier, or continue where a killed run stopped, and return it with the weights of its best epoch.

    After every epoch the model with its optimiser, the best model so far and the curves are written into a temporary
    folder, which is then renamed in one step. A finished training is read back. TensorBoard, where installed, shows the
    logs in `folder/tensorboard`.

    Args:
        build: makes the uncompiled model, which gives class probabilities.
        train: training batches.
        validation: validation batches.
        schedule: how long and how fast.
        title: shown in the progress bar.
        folder: from `recipe_folder`.
        target: what decides between epochs, and how much each class counts.

    Returns:
        The model and its learning curves, which have the `seconds` of every epoch too; for the best epoch see `kept_epoch`.

    Raises:
        PipelineError: the loss became NaN or infinite.
    """
    curves = _taken_up(folder)
    model: keras.Model | None = None
    log = _tensorboard(folder / "tensorboard")
    with progress(total=schedule.epochs, initial=_length(curves), desc=title, unit="epoch") as bar:
        while not schedule.over(_length(curves), _best(curves)):
            epoch = _length(curves)
            if model is None:
                model = models.load_classifier(_newest(folder) / LAST) if epoch else models.compile_classifier(build())
            train.begin(epoch)
            _draw_anew(model, train.seed, epoch)
            model.optimizer.learning_rate = schedule.rate(epoch)
            start = time.perf_counter()
            weights = keras_weights(target)
            fitted = model.fit(
                train, validation_data=validation, epochs=1, verbose=0, shuffle=False, class_weight=weights
            )
            _require_finite(fitted.history, title, schedule, epoch)
            value = epoch_value(model, validation, target, {name: own[-1] for name, own in fitted.history.items()})
            seconds = time.perf_counter() - start
            _add(curves, {**fitted.history, "val_select": [value], "seconds": [seconds]})
            write_checkpoint(folder, epoch, model, curves)
            log({name: values[-1] for name, values in curves.items()}, epoch)
            bar.set_postfix_str(f"validation {curves['val_accuracy'][-1]:.1%}")
            bar.update()
    (_newest(folder) / LAST).unlink(missing_ok=True)
    _keep_newest(folder)
    return models.load_classifier(_newest(folder) / BEST), curves


def _taken_up(folder: Path) -> dict[str, list[float]]:
    if not _epochs(folder):
        return {}
    file = _newest(folder) / CURVES
    try:
        return TypeAdapter(dict[str, list[float]]).validate_python(read_json(file))
    except ValueError as error:
        raise PipelineError(
            f"'{file}' of a checkpoint is damaged ({first_line(error)}). Remove '{folder}', and the training begins anew."
        ) from None


def _epochs(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-[0-9][0-9][0-9][0-9]"))


def _newest(folder: Path) -> Path:
    """Return the folder of the last finished epoch."""
    return _epochs(folder)[-1]


def _tensorboard(folder: Path) -> Callable[[dict[str, float], int], None]:
    """Give a function that logs an epoch's figures, or does nothing where TensorBoard is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return lambda figures, epoch: None
    writer = tf.summary.create_file_writer(str(folder))

    def log(figures: dict[str, float], epoch: int) -> None:
        with writer.as_default():
            for name, value in figures.items():
                tf.summary.scalar(name, value, step=epoch)

    return log


def _draw_anew(model: keras.Model, seed: int, epoch: int) -> None:
    """Seed dropout and augmentation by the epoch: Keras does not save the state of their generators."""
    states = [variable for variable in model.non_trainable_variables if "seed_generator_state" in variable.path]
    for number, state in enumerate(states):
        state.assign(np.random.SeedSequence((seed, epoch, number)).generate_state(2))


def _length(curves: Curves) -> int:
    return len(curves.get("loss", ()))


def _best(curves: Curves) -> int:
    """Return the epoch of the lowest validation loss, counted from 0."""
    return kept_epoch(curves) - 1 if curves else 0


def _require_finite(figures: Curves, title: str, schedule: Schedule, epoch: int) -> None:
    if np.isfinite([figures["loss"][-1], figures["val_loss"][-1]]).all():
        return
    rate = schedule.rate(epoch)
    raise PipelineError(
        f"The loss of {title} is no longer a number in epoch {epoch + 1}. Lower the learning rate "
        f"(it was {rate:g}): --set {schedule.rate_setting}={rate / 10:g}"
    )


def _add(curves: dict[str, list[float]], epoch: Curves) -> None:
    for name, values in epoch.items():
        curves.setdefault(name, []).append(float(values[-1]))


def write_checkpoint(folder: Path, epoch: int, model: keras.Model, curves: Curves) -> None:
    """Keep the state after an epoch, counted from 0, in place of the one before; half-written states are removed."""
    before = _epochs(folder)
    _keep_newest(folder)
    temporary = folder / f"unfinished-{os.getpid()}"
    temporary.mkdir(parents=True)
    model.save(temporary / LAST)
    if _best(curves) == epoch:
        _link(temporary / LAST, temporary / BEST)
    else:
        _link(before[-1] / BEST, temporary / BEST)
    (temporary / CURVES).write_text(json.dumps(curves, indent=1))
    temporary.replace(folder / f"epoch-{epoch:04d}")
    _keep_newest(folder)


def _keep_newest(folder: Path) -> None:
    """Remove half-written states, and those before the last finished epoch, which a killed run may have left too."""
    for left in (*folder.glob("unfinished-*"), *_epochs(folder)[:-1]):
        shutil.rmtree(left, ignore_errors=True)


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, path)
