"""From scanned images to a data set: what cannot be used is put aside, the rest is divided into splits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.lib.recfunctions import repack_fields

from bottleneck_features.errors import enumerated
from bottleneck_features.pipeline.dataset_settings import FILE_SOURCES, DatasetSettings
from bottleneck_features.pipeline.datasets.classes import left_out_notice, require_trained, small_classes
from bottleneck_features.pipeline.datasets.corrections.applying import corrected
from bottleneck_features.pipeline.datasets.dividing import SPLIT_NAMES, divided, straddling_notice
from bottleneck_features.pipeline.datasets.image_dataset import (
    STORED,
    ImageDataset,
    ImageReader,
    ImageTable,
)
from bottleneck_features.pipeline.datasets.labels.reading import plain_label, read_labels
from bottleneck_features.pipeline.datasets.listing import NO_LABEL, Listing, Problem, natural_key
from bottleneck_features.pipeline.datasets.pixel_memory import PixelMemory
from bottleneck_features.pipeline.datasets.pixels.resizing import POINT_SAMPLED, Resizing
from bottleneck_features.pipeline.datasets.pixels.value_ranges import data_ranges
from bottleneck_features.pipeline.datasets.quarantine import QUARANTINE_FILE, LeftOut
from bottleneck_features.pipeline.datasets.scanned import ScanResult
from bottleneck_features.pipeline.datasets.texts import factorized
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.input_fit import resolved_fit


def resizing_of(experiment: Experiment) -> Resizing:
    """Return what every image becomes.

    Raises:
        RequestError: the kernel cannot do what `input.antialias` asks for.
    """
    settings = experiment.input
    if not settings.antialias and settings.resize not in POINT_SAMPLED and settings.resize != "area":
        raise RequestError(
            f"input.antialias=false goes with input.resize={', '.join(POINT_SAMPLED)} for image files. "
            f"Received: {settings.resize!r}"
        )
    height, width = experiment.dataset.common_size or settings.size
    antialias = settings.antialias or settings.resize == "area"
    fit, share = resolved_fit(experiment)
    return Resizing((height, width), settings.resize, antialias, experiment.dataset.bands, fit=fit, crop_share=share)


def resizing_to(
    experiment: Experiment, image_shape: tuple[int, int, int], ranges: Mapping[str, tuple[float, float]]
) -> Resizing:
    """Return what image files become that are to be images of an experiment's data.

    Where these are arrays, which the network's graph crops, files lose only what has not the arrays' aspect.

    Args:
        experiment: its `dataset` and `input` sections.
        image_shape: that of its data, if they are arrays.
        ranges: which numbers become black and white, by their kind.
    """
    if experiment.dataset.source in FILE_SOURCES:
        return replace(resizing_of(experiment), ranges=ranges)
    antialias = experiment.input.antialias or experiment.input.resize not in POINT_SAMPLED
    fit, _ = resolved_fit(experiment)
    return Resizing(image_shape[:2], experiment.input.resize, antialias, experiment.dataset.bands, ranges, fit)


@dataclass(frozen=True)
class LabelledScan:
    """What a scan found in `n` images, with what the source says of each.

    Attributes:
        scan: what the scan found.
        ids: `(n,)` text, unique among those without a problem.
        labels: `(n,)` text; empty where there is none.
        splits: `(n,)` text, names of splits; empty where the data do not say.
        groups: `(n,)` text, or `(0,)` where there are none.
        problems: why images cannot be used, by position.
        rows: `(n,)` int32, of the table that names them, counting its header as 1; None where there is none.
        place: where the labels are written, as messages name it; empty where they are names of folders.
        group_candidates: columns that look like groups.
    """

    scan: ScanResult
    ids: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    groups: np.ndarray
    problems: Mapping[int, str]
    rows: np.ndarray | None = None
    place: str = ""
    group_candidates: tuple[str, ...] = ()

    def unusable(self) -> list[Problem]:
        """Return the images that cannot be used, in their order."""
        return [self._problem(i, self.problems[i]) for i in sorted(self.problems)]

    def unlabelled(self) -> list[Problem]:
        """Return the others that have no label, in their order."""
        return [self._problem(i, NO_LABEL) for i in np.flatnonzero((self.labels == "") & self.sound).tolist()]

    @property
    def sound(self) -> np.ndarray:
        """A mask of the images without a problem."""
        return ~np.isin(np.arange(len(self.ids)), list(self.problems))

    @property
    def labelled(self) -> np.ndarray:
        """A mask of the images that are neither."""
        return (self.labels != "") & self.sound

    def _problem(self, place: int, reason: str) -> Problem:
        return Problem(str(self.ids[place]), reason, 0 if self.rows is None else int(self.rows[place]))

    def without(self, outside: np.ndarray) -> "LabelledScan":
        """Leave out the images in a `(n,)` mask."""
        if not outside.any():
            return self
        kept = np.flatnonzero(~outside)
        return replace(
            self,
            scan=self.scan.take(kept),
            ids=self.ids[kept],
            labels=self.labels[kept],
            splits=self.splits[kept],
            groups=self.groups[kept] if len(self.groups) else self.groups,
            problems={new: self.problems[old] for new, old in enumerate(kept.tolist()) if old in self.problems},
            rows=None if self.rows is None else self.rows[kept],
        )

    def usable(self) -> ImageTable:
        """Return the images that are neither."""
        mask = self.labelled
        names, labels = factorized(self.labels[mask])
        split_names, splits = factorized(self.splits[mask])
        kind_names, kinds = np.unique(self.scan.kinds[mask], return_inverse=True)
        return ImageTable(
            ids=self.ids[mask],
            labels=labels.astype(np.int32),
            names=names,
            splits=np.array([SPLIT_NAMES.index(name) for name in split_names], np.int8)[splits],
            groups=self.groups[mask] if len(self.groups) else self.groups,
            rows=np.empty(0, np.int32) if self.rows is None else self.rows[mask],
            images=repack_fields(self.scan.images[STORED][mask]),
            kinds=kinds.astype(np.uint8),
            kind_names=tuple(kind.decode() for kind in kind_names),
        )


def assemble(
    experiment: Experiment,
    home: Path,
    labelled: LabelledScan,
    *,
    reader: ImageReader,
    location: str,
    listing: Listing | None = None,
) -> ImageDataset:
    """Make a data set of images that were looked at.

    Args:
        experiment: its `dataset` and `input` sections.
        home: the artifacts folder; what is left out is listed in `runs/<experiment>/quarantine.csv`.
        labelled: the images.
        reader: what gives their bytes.
        location: the folder or file they are in.
        listing: what named them, with all that is not among them; None where nothing but the scan did.

    Raises:
        RequestError: nothing can be learnt from these images, or a setting cannot be right.
        PipelineError: more than `dataset.error_limit` cannot be used, or any with `on_error = "fail"`.
    """
    settings = experiment.dataset
    resizing = resizing_of(experiment)
    labels = read_labels(labelled.labels, settings, labelled.place)
    labelled, corrections = _corrected(replace(labelled, labels=labels.texts), settings, listing)
    usable = labelled.usable()
    left_out = LeftOut(
        (*(listing.problems if listing else ()), *labelled.unusable()),
        (*(listing.unlabelled if listing else ()), *labelled.unlabelled()),
        listing.left_out if listing else (),
        listing.unit if listing else "images",
    )
    quarantine = home / "runs" / experiment.name / settings.listed_in / QUARANTINE_FILE
    left_out.write(quarantine)
    left_out.require_few_problems(len(usable), settings, quarantine)
    whole = usable
    usable, small = _without_small_classes(whole, settings)
    division = divided(usable.divisible(), settings)
    parts = {split: usable.take(places) for split, places in division.parts.items()}
    require_trained({split: _counts(part).keys() for split, part in parts.items()}, location, settings)
    title = f"{Path(location).name} ({sum(len(part) for part in parts.values()):,} image files)"
    mask = labelled.labelled
    values = data_ranges(labelled.scan.images[mask], labelled.splits[mask] == "test", settings, home)
    identity = {"dataset.common_size": list(settings.common_size)} if settings.common_size else {}
    return ImageDataset(
        title,
        parts,
        reader=reader,
        resizing=replace(resizing, ranges=values.ranges),
        memory=PixelMemory(home, resizing),
        max_pixels=settings.max_pixels,
        identity={**identity, **values.identity},
        notices=(
            *(listing.notices if listing else ()),
            *labels.notices,
            *corrections,
            *left_out.notices(len(whole), quarantine),
            *_vanished(labelled.labels, whole, listing),
            *small,
            *division.notices,
            *straddling_notice({split: part.groups for split, part in parts.items()}),
            *values.notices,
        ),
        group_candidates=labelled.group_candidates,
        drawn=division.drawn,
    )


def _corrected(
    labelled: LabelledScan, settings: DatasetSettings, listing: Listing | None
) -> tuple[LabelledScan, tuple[str, ...]]:
    """Apply `dataset.corrections`, if there are any, and say what they change."""
    if not settings.corrections:
        return labelled, ()
    others = (*listing.problems, *listing.unlabelled, *listing.left_out) if listing else ()
    found = corrected(
        settings,
        ids=labelled.ids,
        labels=labelled.labels,
        splits=labelled.splits,
        usable=labelled.sound,
        elsewhere={problem.path for problem in others},
    )
    return replace(labelled, labels=found.labels).without(found.dropped), found.notices


def _vanished(labels: np.ndarray, usable: ImageTable, listing: Listing | None) -> tuple[str, ...]:
    """Name the classes of which not one image can be used."""
    named = {*factorized(labels)[0], *(plain_label(name) for name in (listing.empty_classes if listing else ()))}
    gone = sorted(named - {""} - _counts(usable).keys(), key=natural_key)
    if not gone:
        return ()
    return (f"Data: not one image of these classes can be used, so they are left out: {enumerated(map(repr, gone))}.",)


def _without_small_classes(images: ImageTable, settings: DatasetSettings) -> tuple[ImageTable, tuple[str, ...]]:
    """Leave out the classes that cannot be in training and validation at once, and name them."""
    few = small_classes(_counts(images.take(images.splits <= SPLIT_NAMES.index("train"))), settings)
    kept = images.take(~np.isin(images.labels, [images.names.index(name) for name in few]))
    return kept, left_out_notice(few, len(images) - len(kept))


def _counts(part: ImageTable) -> dict[str, int]:
    """Return how many images each class has that has any."""
    return {part.names[i]: int(count) for i, count in enumerate(np.bincount(part.labels)) if count}
