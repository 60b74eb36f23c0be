"""The images themselves, for networks that are trained on pixels."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from pipeline.datasets import Dataset

DECODED_AT_A_TIME = 512


@contextmanager
def pixels_on_disk(dataset: Dataset, home: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """Give the images of every split as a uint8 array `(n, height, width, 3)` in a temporary file, decoded once.

    Memory stays flat: the operating system keeps of it what fits.
    """
    with ExitStack() as files:
        pixels = {}
        for split, samples in dataset.splits.items():
            file = files.enter_context(tempfile.TemporaryFile(dir=home))
            size = max(1, len(samples) * int(np.prod(dataset.image_shape)))
            if hasattr(os, "posix_fallocate"):  # else a full disk would end the process without a word
                os.posix_fallocate(file.fileno(), 0, size)
            rows = np.memmap(file, np.uint8, "w+", shape=(len(samples), *dataset.image_shape))
            for start in range(0, len(samples), DECODED_AT_A_TIME):
                part = np.arange(start, min(start + DECODED_AT_A_TIME, len(samples)))
                rows[part] = dataset.images(split, part)
            pixels[split] = rows
        yield pixels
