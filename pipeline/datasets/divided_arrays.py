"""Data sets that are no image files, divided into splits by the same rules."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from bottleneck_features.features import Places
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.dataset import Dataset, RearrangedDataset
from bottleneck_features.pipeline.datasets.dividing import (
    SPLIT_NAMES,
    Divisible,
    Division,
    divided,
    redrawn,
    straddling_notice,
)


def divided_arrays(whole: Dataset, settings: DatasetSettings) -> Dataset:
    """Return a data set with a test split that is drawn, where the data bring none and the settings want one.

    Raises:
        RequestError: see `divided`.
    """
    division = divided(_divisible(whole), settings)
    return DividedArrays(whole, division)


class DividedArrays(RearrangedDataset):
    """Another data set in splits of its own.

    Args:
        whole: the other one.
        division: of its images, one split after the other.
    """

    def __init__(self, whole: Dataset, division: Division) -> None:
        every = _every_image(whole)
        super().__init__(whole, {split: every.take(places) for split, places in division.parts.items()})
        self.places: Mapping[str, Places] = MappingProxyType({})  # these splits are those of caches
        self.drawn_test = division.drawn is not None
        self.notices = (*whole.notices, *division.notices, *straddling_notice(self.groups))
        self._drawn = division.drawn

    @property
    def redrawable(self) -> bool:
        """See `Dataset.redrawable`."""
        return self._drawn is not None

    def redrawn(self, seed: int) -> RearrangedDataset:
        """See `Dataset.redrawn`.

        Raises:
            RequestError: this draw has no test split with images of every class; see `draw_test`.
        """
        assert self._drawn
        labels = {split: samples.labels for split, samples in self.splits.items()}
        return redrawn(self, labels, self.class_names, self._drawn, seed)


def _every_image(whole: Dataset) -> Places:
    counts = [len(samples) for samples in whole.splits.values()]
    return Places(
        tuple(whole.splits), np.repeat(np.arange(len(counts)), counts), np.concatenate([*map(np.arange, counts)])
    )


def _divisible(whole: Dataset) -> Divisible:
    sizes = {split: len(samples) for split, samples in whole.splits.items()}
    return Divisible(
        splits=np.repeat([SPLIT_NAMES.index(split) for split in sizes], list(sizes.values())),
        labels=np.concatenate([samples.labels for samples in whole.splits.values()]),
        names=whole.class_names,
        contents=np.concatenate([whole.contents(split, np.arange(size)) for split, size in sizes.items()]),
        groups=np.concatenate([whole.groups[split] for split in sizes]) if whole.groups else np.empty(0, str),
    )
