"""From all images that were found to a data set: what cannot be used is put aside, the rest is divided into splits."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bottleneck_features.pipeline.datasets.decoding import POINT_SAMPLED, Resizing
from bottleneck_features.pipeline.datasets.image_dataset import ImageDataset, ImageReader
from bottleneck_features.pipeline.datasets.image_table import SPLIT_NAMES, ImageTable
from bottleneck_features.pipeline.datasets.listing import Problem, natural_key
from bottleneck_features.pipeline.datasets.splitting import draw_test, straddling
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.experiment import DatasetSettings, Experiment
from bottleneck_features.pipeline.results import write_text

QUARANTINE = "quarantine.csv"
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
    return Resizing((height, width), settings.resize, settings.antialias or settings.resize == "area")


def assemble(
    experiment: Experiment,
    home: Path,
    usable: ImageTable,
    problems: Sequence[Problem],
    *,
    left_out: Sequence[Problem] = (),
    reader: ImageReader,
    location: str,
) -> ImageDataset:
    """Make a data set of images that were looked at.

    Args:
        experiment: its `dataset` and `input` sections.
        home: the artifacts folder; what is left out is listed in `runs/<experiment>/quarantine.csv`.
        usable: the images that can be used.
        problems: what cannot, and why.
        left_out: what is left out without being wrong.
        reader: what gives the images' bytes.
        location: the folder or file they are in.

    Raises:
        RequestError: nothing can be learnt from these images, or a setting cannot be right.
        PipelineError: more than `dataset.error_limit` cannot be used, or any with `on_error = "fail"`.
    """
    settings = experiment.dataset
    resizing = resizing_of(experiment)
    notices = _quarantine(len(usable), problems, left_out, settings, home / "runs" / experiment.name / QUARANTINE)
    splits = _splits(usable, settings)
    _require_classes(splits, location)
    across = straddling({split: part.groups for split, part in splits.items()})
    if across:
        notices += (
            f"Data: {across:,} groups have images in more than one split of the data as given. Put all images of a group into "
            "one split; without splits of their own (one folder a class, no split column) dataset.group keeps groups whole.",
        )
    title = f"{Path(location).name} ({sum(len(part) for part in splits.values()):,} image files)"
    identity = {"dataset.common_size": list(settings.common_size)} if settings.common_size else {}
    return ImageDataset(
        title,
        splits,
        reader=reader,
        resizing=resizing,
        max_pixels=settings.max_pixels,
        identity=identity,
        notices=notices,
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
    if bad > limit * total:
        shown = "\n".join(f"  {_location(item)}: {item.reason}" for item in problems[:SHOWN])
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
    if "test" in given or "validation" in given or not settings.test_fraction:
        return given
    whole = given["train"]
    train, test = draw_test(whole.labels, whole.names, whole.groups, settings.test_fraction)
    return {"train": whole.take(train), "test": whole.take(test)}


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
