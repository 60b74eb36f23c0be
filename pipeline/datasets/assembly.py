"""From scanned images to a data set: what cannot be used is put aside, the rest is divided into splits."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.lib.recfunctions import repack_fields

from bottleneck_features.pipeline.datasets.decoding import POINT_SAMPLED, Resizing
from bottleneck_features.pipeline.datasets.image_dataset import (
    SPLIT_NAMES,
    STORED,
    ImageDataset,
    ImageReader,
    ImageTable,
)
from bottleneck_features.pipeline.datasets.listing import Listing, Problem, natural_key
from bottleneck_features.pipeline.datasets.scanning import ScanResult
from bottleneck_features.pipeline.datasets.splitting import draw_test, straddling
from bottleneck_features.pipeline.datasets.texts import factorized
from bottleneck_features.pipeline.datasets.value_ranges import data_ranges
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.experiment import DEFAULT_TEST_FRACTION, DatasetSettings, Experiment
from bottleneck_features.pipeline.results import write_text

QUARANTINE_FILE = "quarantine.csv"
SHOWN = 3  # reasons in a message; all are in the quarantine file
FEWEST = 2  # images of a class, so that one can be held out


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
    return Resizing((height, width), settings.resize, antialias, experiment.dataset.bands)


@dataclass(frozen=True)
class LabelledScan:
    """What a scan found in `n` images, with what the source says of each.

    Attributes:
        scan: what the scan found.
        ids: `(n,)` text, unique among those without a problem.
        labels: `(n,)` text.
        splits: `(n,)` text, names of splits; empty where the data do not say.
        groups: `(n,)` text, or `(0,)` where there are none.
        problems: why images cannot be used, by position.
        rows: `(n,)` int32, of the table that names them, counting its header as 1; None where there is none.
    """

    scan: ScanResult
    ids: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    groups: np.ndarray
    problems: Mapping[int, str]
    rows: np.ndarray | None = None

    def unusable(self) -> list[Problem]:
        """Return the images that cannot be used, in their order."""
        rows = np.zeros(len(self.ids), np.int32) if self.rows is None else self.rows
        return [Problem(str(self.ids[i]), self.problems[i], int(rows[i])) for i in sorted(self.problems)]

    def usable(self) -> ImageTable:
        """Return the other images."""
        mask = ~np.isin(np.arange(len(self.ids)), list(self.problems))
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
    usable = labelled.usable()
    problems = [*(listing.problems if listing else ()), *labelled.unusable()]
    left_out = listing.left_out if listing else ()
    notices = _quarantine(len(usable), problems, left_out, settings, home / "runs" / experiment.name / QUARANTINE_FILE)
    parts = _splits(usable, settings)
    _require_classes(parts, location)
    across = straddling({split: part.groups for split, part in parts.items()})
    if across:
        notices += (
            f"Data: {across:,} groups have images in more than one split of the data as given. Put all images of a group into "
            "one split; without splits of their own (one folder a class, no split column) dataset.group keeps groups whole.",
        )
    title = f"{Path(location).name} ({sum(len(part) for part in parts.values()):,} image files)"
    mask = ~np.isin(np.arange(len(labelled.ids)), list(labelled.problems))
    values = data_ranges(labelled.scan.images[mask], labelled.splits[mask] == "test", settings, home)
    identity = {"dataset.common_size": list(settings.common_size)} if settings.common_size else {}
    return ImageDataset(
        title,
        parts,
        reader=reader,
        resizing=replace(resizing, ranges=values.ranges),
        max_pixels=settings.max_pixels,
        identity={**identity, **values.identity},
        notices=(*notices, *values.notices),
    )


def _quarantine(
    usable: int, problems: Sequence[Problem], left_out: Sequence[Problem], settings: DatasetSettings, path: Path
) -> tuple[str, ...]:
    """Write what is left out, stop if it is too much, and return what a reader must know of it."""
    path.unlink(missing_ok=True)
    if problems or left_out:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("path", "reason", "row"))
        writer.writerows((item.path, item.reason, item.row or "") for item in (*problems, *left_out))
        write_text(path, stream.getvalue())
    bad = len(problems)
    total = usable + bad
    limit = settings.error_limit if settings.on_error == "quarantine" else 0.0
    shown = "\n".join(f"  {_location(item)}: {item.reason}" for item in problems[:SHOWN])
    if bad and not usable:
        raise PipelineError(f"None of the {bad:,} images can be used:\n{shown}\nAll are listed in {path}. Mend them.")
    if bad > limit * total:
        allowed = (
            f"dataset.error_limit={limit}" if limit or settings.on_error == "quarantine" else "on_error=fail allows"
        )
        raise PipelineError(
            f"{bad:,} of {total:,} images cannot be used, more than {allowed}:\n{shown}\n"
            f"All are listed in {path}. Mend them, or change dataset.on_error or dataset.error_limit."
        )
    notices = (f"Data: {bad:,} of {total:,} images cannot be used and are left out; see {path}.",) if bad else ()
    if not left_out:
        return notices
    return (*notices, f"Data: {len(left_out):,} files without a row, or repeated rows, are left out; see {path}.")


def _location(item: Problem) -> str:
    return f"row {item.row}, {item.path or 'no path'}" if item.row else item.path


def _splits(images: ImageTable, settings: DatasetSettings) -> dict[str, ImageTable]:
    codes = np.maximum(images.splits, SPLIT_NAMES.index("train"))  # what the data do not say of is for training
    given = {name: images.take(codes == code) for code, name in enumerate(SPLIT_NAMES) if (codes == code).any()}
    _require_enough(given.get("train"))
    fraction = settings.test_fraction
    if fraction and "test" in given:
        raise RequestError(
            f"dataset.test_fraction={fraction}: the data bring a test split of {len(given['test']):,} images, so none is drawn. "
            "Leave the setting out, or take the test split away."
        )
    if fraction is None:
        fraction = 0.0 if "test" in given or "validation" in given else DEFAULT_TEST_FRACTION
    if not fraction:
        return given
    whole = given["train"]
    train, test = draw_test(whole.labels, whole.names, whole.groups, fraction)
    return {**given, "train": whole.take(train), "test": whole.take(test)}


def _require_enough(train: ImageTable | None) -> None:
    counts = {train.names[i]: int(n) for i, n in enumerate(np.bincount(train.labels)) if n} if train else {}
    if len(counts) < 2:
        found = (
            f"Only one class has usable training images: {next(iter(counts))!r}"
            if counts
            else "No training image is usable"
        )
        raise RequestError(f"{found}. There must be two classes at least: one folder, or one label, for each.")
    few = sorted((name for name, count in counts.items() if count < FEWEST), key=natural_key)
    if few:
        raise RequestError(
            f"Every class needs at least {FEWEST} usable training images. Too few: {', '.join(few[:10])}. "
            "Add images, or take the class away."
        )


def _require_classes(splits: Mapping[str, ImageTable], location: str) -> None:
    known = _classes(splits["train"])
    for split, part in splits.items():
        strangers = sorted(_classes(part) - known, key=natural_key)
        if strangers:
            raise RequestError(
                f"The {split} split of '{location}' has classes that no usable training image has: {', '.join(strangers[:10])}. "
                f"Training classes: {', '.join(sorted(known, key=natural_key)[:10])}."
            )


def _classes(part: ImageTable) -> set[str]:
    return {part.names[label] for label in np.unique(part.labels)}
