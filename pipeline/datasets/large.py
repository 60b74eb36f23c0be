"""Data sets of any size: images in tar shards or Parquet files, on a disk or in an object store."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bottleneck_features.pipeline.datasets import assembly
from bottleneck_features.pipeline.datasets.columns import mapped, text
from bottleneck_features.pipeline.datasets.containers import Container, find_containers, named_splits
from bottleneck_features.pipeline.datasets.found import Found, put_together, stacked, unique_ids
from bottleneck_features.pipeline.datasets.images import ImageDataset
from bottleneck_features.pipeline.datasets.layout import groups_of, read_layout
from bottleneck_features.pipeline.datasets.packed import Raw, scan_containers
from bottleneck_features.pipeline.datasets.parquet import SAID as PARQUET_SAID
from bottleneck_features.pipeline.datasets.parquet import ParquetSource, parquet_images, table_columns
from bottleneck_features.pipeline.datasets.tar import SAID as TAR_SAID
from bottleneck_features.pipeline.datasets.tar import TarSource, tar_images
from bottleneck_features.pipeline.experiment import DatasetSettings, Experiment

NO_LABEL = "its label is missing"


def open_tar(experiment: Experiment, home: Path) -> ImageDataset:
    """Open `dataset.path` as tar shards: images with `.cls`, `.json` or `.txt` files beside them, or in class folders.

    Args:
        experiment: its `dataset` and `input` sections.
        home: the artifacts folder; images that cannot be used are listed in `runs/<experiment>/quarantine.csv`.

    Raises:
        RequestError: the path or a setting cannot be right.
        PipelineError: more images than `dataset.error_limit` cannot be used, or any with `on_error = "fail"`.
        features.StoreError: a URL cannot be opened.
    """
    settings = experiment.dataset
    assembly.resizing_of(experiment)
    containers = find_containers(settings.path, ".tar")
    named = named_splits(containers)
    images = partial(tar_images, label_field=settings.label_column, ending=settings.image_column)
    recipe = f"tar\0{settings.label_column}\0{settings.image_column}"
    found = _scanned(containers, images, TAR_SAID, recipe, home, settings)
    ids, problems = unique_ids(found, containers)
    problems = {**problems, **found.problems}
    usable = found.usable
    layout = read_layout(found.ids[usable])
    labels, wrong = _tar_labels(found, partial(mapped, layout.class_of))
    splits = text(layout.split_of(str(path)) or named[c] for path, c in zip(found.ids, found.containers, strict=True))
    groups = _spread(groups_of(ids[usable], settings.group), usable)
    columns, unusable = put_together(found, ids, labels, splits, groups, {**wrong, **problems})
    return assembly.assemble(experiment, home, columns, unusable, (), TarSource(containers), settings.path)


def open_parquet(experiment: Experiment, home: Path) -> ImageDataset:
    """Open `dataset.path` as Parquet files that hold images; otherwise as `open_tar`."""
    settings = experiment.dataset
    assembly.resizing_of(experiment)
    containers = find_containers(settings.path, ".parquet")
    named = ("",) * len(containers) if settings.split_column else named_splits(containers)
    columns = table_columns(containers[0], settings)
    found = _scanned(
        containers, partial(parquet_images, columns=columns), PARQUET_SAID, f"parquet {columns}", home, settings
    )
    ids, taken = unique_ids(found, containers)
    said = found.said
    splits = said["split"] if settings.split_column else text(named[c] for c in found.containers)
    groups = said["group"] if settings.group else said["group"][:0]
    usable, unusable = put_together(found, ids, said["label"], splits, groups, {**taken, **found.problems})
    source = ParquetSource(containers, columns.image)
    return assembly.assemble(experiment, home, usable, unusable, (), source, settings.path)


def _scanned(
    containers: Sequence[Container],
    images: Callable[[Container], Iterator[Raw]],
    said: Sequence[str],
    recipe: str,
    home: Path,
    settings: DatasetSettings,
) -> Found:
    return stacked(scan_containers(containers, images, said, recipe, home, settings.max_pixels))


def _tar_labels(found: Found, classes: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, dict[int, str]]:
    """The label of each image, and why some have none: one kind of note holds for all, else the class folder."""
    kinds = [kind for kind in TAR_SAID if (found.said[kind][found.usable] != "").any()]
    if not kinds:
        labels = classes(found.ids)
        return labels, dict.fromkeys(np.flatnonzero(labels == "").tolist(), "it is in no class folder")
    labels = found.said[kinds[0]]
    missing = f"{NO_LABEL}: no .{kinds[0]} file stands beside it in the archive"
    problems = dict.fromkeys(np.flatnonzero(labels == "").tolist(), missing)
    return labels, {**_crowded(found), **problems}


def _crowded(found: Found) -> dict[int, str]:
    """The images that are not the only one of their sample."""
    samples = np.stack([found.containers, found.numbers["sample"]], axis=1)
    _, inverse, counts = np.unique(samples, axis=0, return_inverse=True, return_counts=True)
    several = np.flatnonzero(counts[inverse.ravel()] > 1).tolist()
    return dict.fromkeys(
        several, "its sample has several images: name the one to use, such as dataset.image_column=jpg"
    )


def _spread(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Texts of some images as those of all; `(0,)` stays."""
    if not len(values):
        return values
    whole = np.full(len(mask), "", values.dtype)
    whole[mask] = values
    return whole
