"""Opening the data set an experiment names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bottleneck_features.pipeline.dataset_settings import FILE_SOURCES, DatasetSettings
from bottleneck_features.pipeline.datasets.corrections.arrays import usable_arrays
from bottleneck_features.pipeline.datasets.dataset import Dataset, LimitedDataset
from bottleneck_features.pipeline.datasets.sources.cifar10 import Cifar10
from bottleneck_features.pipeline.datasets.sources.embedded import digits, photo_patches
from bottleneck_features.pipeline.datasets.sources.folder import existing_folder, open_folder
from bottleneck_features.pipeline.datasets.sources.npz import open_npz
from bottleneck_features.pipeline.datasets.sources.parquet import open_parquet
from bottleneck_features.pipeline.datasets.sources.table import list_table, open_table
from bottleneck_features.pipeline.datasets.sources.tar import open_tar
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment

_SOURCES: dict[str, Callable[[Experiment, Path], Dataset]] = {
    "cifar10": lambda experiment, home: Cifar10(experiment.dataset.path),
    "digits": lambda experiment, home: digits(),
    "photo-patches": lambda experiment, home: photo_patches(),
    "folder": open_folder,
    "csv": open_table,
    "tar": open_tar,
    "parquet": open_parquet,
    "npz": open_npz,
}


def open_dataset(experiment: Experiment, home: Path) -> Dataset:
    """Open the data set of an experiment.

    Args:
        experiment: its `dataset` section says which; `input` says what image files are resized to.
        home: the artifacts folder, where what was found in image files is remembered.

    Returns:
        The `Dataset`, corrected by `dataset.corrections` and limited to `dataset.limit` images a split if that is not 0.

    Raises:
        RequestError: the path, the corrections or the limit cannot be right.
        PipelineError: too many files cannot be used.
        DownloadError: the data set has to be downloaded and cannot be.
    """
    settings = experiment.dataset
    if settings.source not in FILE_SOURCES and (settings.value_range or settings.bands):
        raise RequestError(
            f"dataset.value_range and dataset.bands are for image files, and {settings.source} has none: leave them out."
        )
    dataset = _SOURCES[settings.source](experiment, home)
    if settings.corrections and settings.source not in (*FILE_SOURCES, "npz"):
        dataset = usable_arrays(dataset, settings)
    if not settings.limit:
        return dataset
    for split, samples in dataset.splits.items():
        classes = len(np.unique(samples.labels))
        if settings.limit < classes:
            raise RequestError(
                f"dataset.limit must leave every class an image: give 0 (all), or at least {classes} for the {split} split. "
                f"Received: {settings.limit}"
            )
    return LimitedDataset(dataset, settings.limit)


def image_root(settings: DatasetSettings) -> Path | None:
    """Return the folder that the ids of images are paths below; None where images are in no files of their own.

    Raises:
        RequestError: the folder or the table is not there, or the images that it names are not.
    """
    if settings.source == "folder":
        return existing_folder(settings.path)
    return list_table(settings).root if settings.source == "csv" else None
