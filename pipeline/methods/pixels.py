"""The images themselves, for networks that are trained on pixels."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import keras
import numpy as np

from bottleneck_features.features import RearrangedArray
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset
from bottleneck_features.pipeline.methods.training import RowBatches, RowSource, predicted_probabilities

DECODED_AT_A_TIME = 512
Batches = TypeVar("Batches", bound=RowBatches)


@contextmanager
def pixels_on_disk(dataset: Dataset, home: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """Give the images of every split as a uint8 array `(n, height, width, 3)` in a temporary file, decoded once.

    Memory use stays bounded: the operating system keeps in memory what fits.
    """
    with ExitStack() as files:
        pixels = {}
        for split, samples in dataset.splits.items():
            file = files.enter_context(tempfile.TemporaryFile(dir=home))
            size = max(1, len(samples) * int(np.prod(dataset.image_shape)))
            _reserve(file.fileno(), size, home)
            rows = np.memmap(file, np.uint8, "w+", shape=(len(samples), *dataset.image_shape))
            for start in range(0, len(samples), DECODED_AT_A_TIME):
                part = np.arange(start, min(start + DECODED_AT_A_TIME, len(samples)))
                rows[part] = dataset.images(split, part)
            pixels[split] = rows
        yield pixels


def rearranged_pixels(dataset: Dataset, pixels: Mapping[str, np.ndarray]) -> Mapping[str, RowSource]:
    """Return the images of a data set, by split, from those of the data set that it rearranges."""
    return {**pixels, **{split: RearrangedArray(pixels, places) for split, places in dataset.places.items()}}


def _reserve(file: int, size: int, home: Path) -> None:
    """Reserve the disk space of a file: if the disk became full later, the process would end without a message."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file, 0, size)
    except OSError as error:
        raise PipelineError(
            f"Training networks needs {size / 2**30:.1f} GiB of disk space below '{home}' for the decoded images, which is not "
            f"available ({error.strerror}). Free some space, give another --home, or use fewer images: --set dataset.limit=…"
        ) from error


def pixel_batches(
    kind: type[Batches], dataset: Dataset, pixels: Mapping[str, RowSource], *, holdout: Holdout, size: int, seed: int
) -> tuple[Batches, Batches]:
    """Return training and validation batches of the images.

    Args:
        kind: of batches.
        dataset: the open data set, for the labels.
        pixels: its images by split, uint8 `(n, height, width, 3)`.
        holdout: which samples train and which validate.
        size: images per batch.
        seed: of the order.
    """
    train, validation = (
        kind(pixels[part.split], dataset.splits[part.split].labels, part.indices, batch_size=size, seed=seed)
        for part in (holdout.train, holdout.validation)
    )
    return train, validation


def pixel_probabilities(
    model: keras.Model, pixels: Mapping[str, RowSource], batch_size: int
) -> Callable[[Subset], np.ndarray]:
    """Return what gives the `(n, classes)` probabilities that a model predicts for the images of a `Subset`."""
    return lambda part: predicted_probabilities(model, pixels[part.split], part.indices, batch_size=batch_size)
