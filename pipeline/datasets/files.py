"""Image files as a data set: what can be used of them, in splits, decoded one batch at a time."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.base import Dataset, Origin, Samples
from pipeline.datasets.decoding import POINT_SAMPLED, REVISION, Target, UnusableImage, load
from pipeline.datasets.listing import Entry, Listing, Problem, list_folder, natural_key
from pipeline.datasets.partition import draw_test, straddling
from pipeline.datasets.scan import FileRecord, printable, scan, threads
from pipeline.datasets.table import list_table
from pipeline.errors import PipelineError, RequestError
from pipeline.experiment import DatasetSettings, Experiment
from pipeline.results import write_text

QUARANTINE = "quarantine.csv"
SHOWN = 3  # reasons in a message; all are in the quarantine file
FEWEST = 2  # images of a class, so that one can be held out


class FileDataset(Dataset):
    """Images that are decoded and resized when they are asked for.

    Args:
        title: see `Dataset`.
        root: the folder the paths are relative to.
        entries: the images of each split.
        records: what the scan found in the files, by path.
        target: what every image becomes.
        max_pixels: the largest width x height.
        identity: see `Dataset`.
        notices: see `Dataset`.
    """

    def __init__(
        self,
        title: str,
        root: Path,
        entries: Mapping[str, Sequence[Entry]],
        records: Mapping[str, FileRecord],
        target: Target,
        max_pixels: int,
        identity: Mapping[str, Any],
        notices: tuple[str, ...],
    ) -> None:
        self.title = title
        self.notices = notices
        self.class_names = tuple(sorted({entry.label for entry in entries["train"]}, key=natural_key))
        self.image_shape = (*target.size, 3)
        self.identity = {"input.decoding": REVISION, **identity}
        numbers = {name: number for number, name in enumerate(self.class_names)}
        self.splits = {
            split: Samples(
                np.array([entry.path for entry in part]), np.array([numbers[entry.label] for entry in part], np.int64)
            )
            for split, part in entries.items()
        }
        if any(entry.group for part in entries.values() for entry in part):
            self.groups = {split: np.array([entry.group for entry in part]) for split, part in entries.items()}
        self.origins = {
            split: tuple(Origin(root / e.path, records[e.path], _below(e), e.row) for e in part)
            for split, part in entries.items()
        }
        self._target, self._max_pixels = target, max_pixels

    def images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset`.

        Raises:
            PipelineError: a file is no longer what was scanned.
        """
        out = np.empty((len(indices), *self.image_shape), np.uint8)

        def fill(place: int) -> None:
            out[place] = self._image(self.origins[split][indices[place]])

        with ThreadPoolExecutor(threads(), "decode") as pool:
            for _ in pool.map(fill, range(len(indices))):
                pass
        return out

    def content(self, split: str, indices: np.ndarray) -> bytes:
        return "".join(self.origins[split][i].record.sha256 for i in indices).encode()

    def _image(self, origin: Origin) -> np.ndarray:
        try:
            return load(origin.path, self._target, origin.record.sha256, self._max_pixels)
        except UnusableImage as problem:
            raise PipelineError(
                f"'{origin.path}' is no longer what it was at the start: {problem}. Put it back, or start "
                "again with: bottleneck features --rehash"
            ) from problem


def open_folder(experiment: Experiment, home: Path) -> FileDataset:
    """Open `dataset.path` as a folder of classes.

    Args:
        experiment: its `dataset` and `input` sections.
        home: the artifacts folder; files that cannot be used are listed in `runs/<experiment>/quarantine.csv`.

    Raises:
        RequestError: the folder or a setting cannot be right.
        PipelineError: more files than `dataset.error_limit` cannot be used, or any with `on_error = "fail"`.
    """
    return _open(experiment, home, list_folder(experiment.dataset.path, experiment.dataset.group))


def open_table(experiment: Experiment, home: Path) -> FileDataset:
    """Open `dataset.path` as a CSV file that names images; otherwise as `open_folder`."""
    return _open(experiment, home, list_table(experiment.dataset))


def _open(experiment: Experiment, home: Path, listing: Listing) -> FileDataset:
    settings = experiment.dataset
    target = file_target(experiment)
    found = scan(listing.root, [entry.path for entry in listing.entries], home, settings.max_pixels)
    records = {record.path: record for record in found}
    usable = [entry for entry in listing.entries if not records[entry.path].problem]
    bad = [
        Problem(printable(entry.path), records[entry.path].problem, entry.row)
        for entry in listing.entries
        if records[entry.path].problem
    ]
    complete = replace(listing, entries=tuple(usable), problems=(*listing.problems, *bad))
    notices = _quarantine(complete, settings, home / "runs" / experiment.name / QUARANTINE)
    splits = _splits(usable, settings)
    _require_classes(splits, listing.root)
    across = straddling(splits)
    if across:
        notices += (f"Data: {across:,} groups have images in more than one split of the data as given.",)
    title = f"{Path(settings.path).expanduser().resolve().name} ({sum(len(part) for part in splits.values()):,} image files)"
    identity = {"dataset.common_size": list(settings.common_size)} if settings.common_size else {}
    return FileDataset(title, listing.root, splits, records, target, settings.max_pixels, identity, notices)


def _below(entry: Entry) -> str:
    """The path below the class folder; in a table no folder says the class."""
    folder = f"/{entry.label}/"
    return entry.path if entry.row else f"/{entry.path}".partition(folder)[2]


def file_target(experiment: Experiment) -> Target:
    """Return what an experiment's image files are resized to, and how.

    Raises:
        RequestError: Pillow has no such kernel without antialiasing.
    """
    settings = experiment.input
    if not settings.antialias and settings.resize not in POINT_SAMPLED and settings.resize != "area":
        raise RequestError(
            f"input.antialias=false goes with input.resize={', '.join(POINT_SAMPLED)} for image files. "
            f"Received: {settings.resize!r}"
        )
    height, width = experiment.dataset.common_size or settings.size
    return Target((height, width), settings.resize, settings.antialias or settings.resize == "area")


def _quarantine(listing: Listing, settings: DatasetSettings, path: Path) -> tuple[str, ...]:
    """Write what is left out, stop if it is too much, and return what a reader must know of it.

    Args:
        listing: its `entries` are those that can be used.
        settings: `on_error` and `error_limit`.
        path: of the quarantine file.
    """
    path.unlink(missing_ok=True)
    if listing.problems or listing.noted:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("path", "reason", "row"))
        writer.writerows((item.path, item.reason, item.row or "") for item in (*listing.problems, *listing.noted))
        write_text(path, stream.getvalue())
    bad = len(listing.problems)
    total = len(listing.entries) + bad
    limit = settings.error_limit if settings.on_error == "quarantine" else 0.0
    if bad > limit * total:
        shown = "\n".join(f"  {_where(item)}: {item.reason}" for item in listing.problems[:SHOWN])
        allowed = (
            f"dataset.error_limit={limit}" if limit or settings.on_error == "quarantine" else "on_error=fail allows"
        )
        raise PipelineError(
            f"{bad:,} of {total:,} images cannot be used, more than {allowed}:\n{shown}\n"
            f"All are listed in {path}. Mend them, or change dataset.on_error or dataset.error_limit."
        )
    notices = (f"Data: {bad:,} of {total:,} images cannot be used and are left out; see {path}.",) if bad else ()
    noted = (f"Data: {len(listing.noted):,} files without a row, or repeated rows, are left out; see {path}.",)
    return (*notices, *noted) if listing.noted else notices


def _where(item: Problem) -> str:
    return f"row {item.row}, {item.path or 'no path'}" if item.row else item.path


def _splits(entries: Sequence[Entry], settings: DatasetSettings) -> dict[str, list[Entry]]:
    named = {split: [e for e in entries if (e.split or "train") == split] for split in ("train", "validation", "test")}
    given = {split: part for split, part in named.items() if part}
    train = given.get("train", [])
    _require_enough(train)
    if "test" in given or "validation" in given or not settings.test_fraction:
        return given
    train, test = draw_test(train, settings.test_fraction)
    return {"train": train, "test": test}


def _require_enough(train: Sequence[Entry]) -> None:
    counts = Counter(entry.label for entry in train)
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


def _require_classes(splits: Mapping[str, Sequence[Entry]], root: Path) -> None:
    known = {entry.label for entry in splits["train"]}
    for split, part in splits.items():
        strangers = sorted({entry.label for entry in part} - known, key=natural_key)
        if strangers:
            raise RequestError(
                f"The {split} split of '{root}' has classes that no usable training image has: {', '.join(strangers[:10])}. "
                f"Training classes: {', '.join(sorted(known, key=natural_key)[:10])}."
            )
