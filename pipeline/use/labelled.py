"""Labelled images that a trained model is measured on, as the model's own preprocessing takes them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bottleneck_features.errors import enumerated, nearest
from bottleneck_features.pipeline.dataset_settings import (
    DEFAULT_TEST_FRACTION,
    FILE_SOURCES,
    ONLY_FOR,
    DatasetSettings,
    MeasuredData,
)
from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.datasets.dividing import FEWEST_DRAWN
from bottleneck_features.pipeline.datasets.pixels.resizing import Resizing, resized
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.evaluation.groups import group_numbers, groups_of
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.input_fit import CROP
from bottleneck_features.pipeline.use.saved_model import SavedModel

UnknownClasses = Literal["fail", "leave-out"]
SHOWN = 10  # classes in a message


@dataclass(frozen=True)
class Labelled:
    """Some of the images of a data set, with labels that a model knows.

    Attributes:
        dataset: it.
        parts: the `n` images, split by split.
        labels: `(n,)` integers, indices into the model's classes.
        group_names: `(n,)` of the images' groups; None where there are none.
        left_out: how many images there are of each class that the model does not know.
    """

    dataset: Dataset
    parts: tuple[Subset, ...]
    labels: np.ndarray
    group_names: np.ndarray | None
    left_out: Mapping[str, int]

    @property
    def groups(self) -> np.ndarray | None:
        """The numbers `(n,)` of the images' groups; None where no two are in the same one."""
        return group_numbers(self.group_names)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, resizing: Resizing, size: int) -> Iterator[np.ndarray]:
        """Give the images as a model takes them, at most `size` at a time: uint8 `(m, height, width, 3)`."""
        for part in self.parts:
            for start in range(0, len(part), size):
                images = self.dataset.images(part.split, part.indices[start : start + size])
                if images.shape[1:3] == resizing.size:
                    yield images
                else:
                    yield np.stack([resized(image, resizing) for image in images])

    def contents(self) -> np.ndarray:
        """Return the content hashes of the images, `(n, 32)` uint8."""
        return np.concatenate([self.dataset.contents(part.split, part.indices) for part in self.parts])

    def names(self) -> Iterator[tuple[str, str, str]]:
        """Give the id, the split and the group of every image; the group is empty where there is none."""
        for part in self.parts:
            ids, groups = self.dataset.splits[part.split].ids, self.dataset.groups.get(part.split)
            for index in part.indices.tolist():
                yield str(ids[index]), part.split, "" if groups is None else str(groups[index])


def open_labelled(
    model: SavedModel, settings: DatasetSettings, home: Path, split: str | None, unknown: UnknownClasses
) -> Labelled:
    """Open a data set to measure a model on.

    Args:
        model: the model.
        settings: of the data.
        home: the artifacts folder; images that cannot be used are listed in `runs/<experiment>/evaluate/quarantine.csv`.
        split: the only one that is measured; None: all are. A test split that the data do not bring is drawn as in training.
        unknown: what becomes of images of classes that the model does not know.

    Raises:
        RequestError: a setting cannot be right, there is no such split, or a class that the model does not know.
        PipelineError: no image can be used.
    """
    experiment = _experiment(model, settings)
    dataset = open_dataset(experiment, home)
    if split and split not in dataset.splits:
        dataset = _with_drawn_test(experiment, home, dataset, split)
    known = {name: number for number, name in enumerate(model.classes)}
    numbers = np.array([known.get(name, -1) for name in dataset.class_names], np.int64)
    every = [Subset(name, np.arange(len(dataset.splits[name]))) for name in ([split] if split else dataset.splits)]
    labels = {part.split: numbers[dataset.splits[part.split].labels] for part in every}
    left_out = _unknown_classes(dataset, every, known)
    if left_out and unknown == "fail":
        raise RequestError(_stranger_message(left_out, model))
    parts = tuple(Subset(part.split, np.flatnonzero(labels[part.split] >= 0)) for part in every)
    kept = np.concatenate([labels[part.split][part.indices] for part in parts])
    if not len(kept):
        raise RequestError(f"No image is of a class that the model knows. {_classes_of(model)}")
    return Labelled(dataset, parts, kept, groups_of(dataset, *parts), left_out)


def _experiment(model: SavedModel, settings: DatasetSettings) -> Experiment:
    """Return the model's experiment with other data, whose files become what the model takes."""
    resizing = model.resizing
    own = {field.name: getattr(settings, field.name) for field in fields(DatasetSettings)}
    if settings.source in FILE_SOURCES:
        own |= {"common_size": resizing.size, "bands": resizing.bands, "value_range": ()}
        if settings.error_limit == DatasetSettings.error_limit:
            own["error_limit"] = 1.0  # a model is measured on what can be read
    measured = MeasuredData(**own, ranges=dict(resizing.ranges))
    share = resizing.crop_share if resizing.fit == CROP else 0.0
    own_input = replace(model.experiment.input, antialias=resizing.antialias, fit=resizing.fit, crop_share=share)
    return replace(model.experiment, dataset=measured, input=own_input)


def _with_drawn_test(experiment: Experiment, home: Path, dataset: Dataset, split: str) -> Dataset:
    """Return the data with the test split that training draws of them, if it does; else say which splits there are."""
    settings, images = experiment.dataset, sum(map(len, dataset.splits.values()))
    fraction = DEFAULT_TEST_FRACTION if settings.test_fraction is None else settings.test_fraction
    can_be_drawn = list(dataset.splits) == ["train"] and settings.source in ONLY_FOR["test_fraction"]
    if split == "test" and can_be_drawn and fraction * images >= FEWEST_DRAWN:
        return open_dataset(replace(experiment, dataset=replace(settings, test_fraction=fraction)), home)
    raise RequestError(
        f"--split {split}: the data have no such split. There is: {', '.join(dataset.splits)}. Without --split all images are "
        "measured."
    )


def _unknown_classes(dataset: Dataset, parts: list[Subset], known: Mapping[str, int]) -> dict[str, int]:
    counts = sum(np.bincount(dataset.splits[part.split].labels, minlength=len(dataset.class_names)) for part in parts)
    found = zip(dataset.class_names, np.asarray(counts).tolist(), strict=True)
    return {name: count for name, count in found if count and name not in known}


def _stranger_message(left_out: Mapping[str, int], model: SavedModel) -> str:
    named = enumerated((f"{name!r} ({count:,} images)" for name, count in left_out.items()), SHOWN)
    first, near = next(iter(left_out)), nearest(next(iter(left_out)), model.classes)
    alike = f" Nearest to {first!r}: {', '.join(near)}." if len(near) < len(model.classes) else ""
    return (
        f"The model does not know these classes of the data: {named}. {_classes_of(model)}{alike} --unknown-classes leave-out "
        "measures the other images; if a class has another name here, rename it in the data, or by "
        "--set dataset.corrections=TABLE."
    )


def _classes_of(model: SavedModel) -> str:
    return f"Its classes: {enumerated(map(repr, model.classes), SHOWN)}."
