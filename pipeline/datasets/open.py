"""Opening the data set an experiment names."""

from collections.abc import Callable

import numpy as np

from pipeline.datasets.base import Dataset, LimitedDataset
from pipeline.datasets.cifar10 import Cifar10
from pipeline.datasets.digits import digits
from pipeline.datasets.photo_patches import photo_patches
from pipeline.errors import RequestError
from pipeline.experiment import DatasetSettings

_SOURCES: dict[str, Callable[[str], Dataset]] = {
    "cifar10": Cifar10,
    "digits": lambda path: digits(),
    "photo-patches": lambda path: photo_patches(),
}


def open_dataset(settings: DatasetSettings) -> Dataset:
    """Open a data set.

    Args:
        settings: the experiment's `dataset` section.

    Returns:
        The `Dataset`, limited to `settings.limit` images a split if that is not 0.

    Raises:
        RequestError: the path or the limit cannot be right.
        DownloadError: the data set has to be downloaded and cannot be.
    """
    dataset = _SOURCES[settings.source](settings.path)
    if not settings.limit:
        return dataset
    for split, samples in dataset.splits.items():
        classes = len(np.unique(samples.labels))
        if classes > min(settings.limit, len(samples) - settings.limit) and settings.limit < len(samples):
            raise RequestError(
                f"dataset.limit must leave every class an image: give 0 (all), or {classes} to {len(samples) - classes} "
                f"for the {split} split. Received: {settings.limit}"
            )
    return LimitedDataset(dataset, settings.limit)
