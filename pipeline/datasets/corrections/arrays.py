"""Corrections of data sets that are no image files, whose splits are fixed."""

from collections import Counter

import numpy as np

from bottleneck_features.pipeline.datasets.classes import left_out_notice, require_trained, require_two, small_classes
from bottleneck_features.pipeline.datasets.corrections.applying import corrected
from bottleneck_features.pipeline.datasets.dataset import Dataset, Samples, SelectedDataset
from bottleneck_features.pipeline.datasets.listing import natural_key
from bottleneck_features.pipeline.datasets.texts import text_array
from bottleneck_features.pipeline.experiment import DatasetSettings


def correct_arrays(whole: Dataset, settings: DatasetSettings) -> Dataset:
    """Return a data set with `dataset.corrections` applied, checked as image files are.

    Raises:
        RequestError: see `corrected`; or nothing can be learnt from what is left.
    """
    sizes = [len(samples) for samples in whole.splits.values()]
    splits = np.repeat(text_array(whole.splits), sizes)
    numbers = np.concatenate([samples.labels for samples in whole.splits.values()])
    found = corrected(
        settings,
        ids=text_array(str(name) for samples in whole.splits.values() for name in samples.ids),
        labels=text_array(whole.class_names)[numbers],
        splits=splits,
        usable=np.ones(len(numbers), bool),
    )
    training = Counter(found.labels[(splits == "train") & ~found.dropped].tolist())
    few = small_classes(training, settings)
    small = np.array([label in few for label in found.labels.tolist()]) & ~found.dropped
    kept = ~found.dropped & ~small
    classes = {split: set(found.labels[kept & (splits == split)].tolist()) for split in whole.splits}
    require_two(classes["train"])
    require_trained(classes, whole.title)
    notices = (*whole.notices, *found.notices, *left_out_notice(few, int(small.sum())))
    return _Corrected(whole, found.labels, kept, notices)


class _Corrected(SelectedDataset):
    """Another data set with other labels, without some of its images."""

    def __init__(self, whole: Dataset, labels: np.ndarray, kept: np.ndarray, notices: tuple[str, ...]) -> None:
        starts = np.cumsum([len(samples) for samples in whole.splits.values()])[:-1]
        parts = dict(zip(whole.splits, np.split(kept, starts), strict=True))
        super().__init__(whole, {split: np.flatnonzero(own) for split, own in parts.items() if own.any()})
        named = dict(zip(whole.splits, np.split(labels, starts), strict=True))
        names = {split: named[split][places].tolist() for split, places in self._kept.items()}
        self.class_names = tuple(sorted(set(names["train"]), key=natural_key))
        numbers = {name: number for number, name in enumerate(self.class_names)}
        self.splits = {
            split: Samples(samples.ids, np.array([numbers[name] for name in names[split]], np.int64))
            for split, samples in self.splits.items()
        }
        self.notices = notices
