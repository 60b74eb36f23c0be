"""Corrections of data sets that are no image files."""

from collections import Counter

import numpy as np

from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.classes import left_out_notice, require_trained, require_two, small_classes
from bottleneck_features.pipeline.datasets.corrections.applying import Corrected, corrected
from bottleneck_features.pipeline.datasets.dataset import Dataset, Samples, SelectedDataset
from bottleneck_features.pipeline.datasets.listing import natural_key
from bottleneck_features.pipeline.datasets.texts import text_array


def usable_arrays(whole: Dataset, settings: DatasetSettings) -> Dataset:
    """Return a data set with `dataset.corrections` applied and without small classes, checked as image files are.

    Raises:
        RequestError: see `corrected`; or nothing can be learnt from what is left.
    """
    sizes = [len(samples) for samples in whole.splits.values()]
    splits = np.repeat(text_array(whole.splits), sizes)
    labels = text_array(whole.class_names)[np.concatenate([samples.labels for samples in whole.splits.values()])]
    found = _corrected(whole, settings, labels, splits)
    training = Counter(found.labels[(splits == "train") & ~found.dropped].tolist())
    few = small_classes(training, settings)
    if not (few or settings.corrections):
        return whole
    small = np.array([label in few for label in found.labels.tolist()]) & ~found.dropped
    kept = ~found.dropped & ~small
    classes = {split: set(found.labels[kept & (splits == split)].tolist()) for split in whole.splits}
    require_two(classes.get("train", set()), settings)
    require_trained(classes, whole.title, settings)
    notices = (*whole.notices, *found.notices, *left_out_notice(few, int(small.sum())))
    return _Corrected(whole, found.labels, kept, notices)


def _corrected(whole: Dataset, settings: DatasetSettings, labels: np.ndarray, splits: np.ndarray) -> Corrected:
    if not settings.corrections:
        return Corrected(labels, np.zeros(len(labels), bool), ())
    return corrected(
        settings,
        ids=text_array(str(name) for samples in whole.splits.values() for name in samples.ids),
        labels=labels,
        splits=splits,
        usable=np.ones(len(labels), bool),
    )


class _Corrected(SelectedDataset):
    """Another data set with other labels, without some of its images."""

    def __init__(self, whole: Dataset, labels: np.ndarray, kept: np.ndarray, notices: tuple[str, ...]) -> None:
        starts = np.cumsum([len(samples) for samples in whole.splits.values()])[:-1]
        parts = dict(zip(whole.splits, np.split(kept, starts), strict=True))
        super().__init__(whole, {split: np.flatnonzero(own) for split, own in parts.items() if own.any()})
        named = dict(zip(whole.splits, np.split(labels, starts), strict=True))
        names = {split: named[split][places].tolist() for split, places in self._kept.items()}
        self.class_names = tuple(sorted({name for own in names.values() for name in own}, key=natural_key))
        numbers = {name: number for number, name in enumerate(self.class_names)}
        self.splits = {
            split: Samples(samples.ids, np.array([numbers[name] for name in names[split]], np.int64))
            for split, samples in self.splits.items()
        }
        self.notices = notices
