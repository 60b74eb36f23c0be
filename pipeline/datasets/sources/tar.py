"""Tar archives as data sets: images by their place in the archive, labels beside them or in their folder's name."""

import json
import re
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from bottleneck_features.pipeline.datasets.assembly import LabelledScan, assemble, resizing_of
from bottleneck_features.pipeline.datasets.containers import (
    Container,
    find_containers,
    named_splits,
    not_readable,
    reading_threads,
    unique_ids,
)
from bottleneck_features.pipeline.datasets.decoding import ENDINGS, UnusableImage
from bottleneck_features.pipeline.datasets.file_bytes import MAX_BYTES
from bottleneck_features.pipeline.datasets.folder_convention import convention_of, groups_of
from bottleneck_features.pipeline.datasets.image_dataset import ImageDataset, StoredImage
from bottleneck_features.pipeline.datasets.listing import ignored, printable
from bottleneck_features.pipeline.datasets.scanning import ScanResult, UnscannedImage, scan_containers
from bottleneck_features.pipeline.datasets.texts import text_array
from bottleneck_features.pipeline.experiment import Experiment

_ANNOTATIONS = ("cls", "json", "txt")
LABEL_FIELDS = ("label", "cls", "class")  # looked for in a .json, in this order
LONGEST_LABEL = 200
LARGEST_NOTE = 1 << 20  # bytes of a .cls, .json or .txt
_RECORD = 512


def open_tar(experiment: Experiment, home: Path) -> ImageDataset:
    """Open `dataset.path` as tar archives: images with `.cls`, `.json` or `.txt` files beside them, or in class folders.

    Args:
        experiment: its `dataset` and `input` sections.
        home: the artifacts folder; images that cannot be used are listed in `runs/<experiment>/quarantine.csv`.

    Raises:
        RequestError: the path or a setting cannot be right.
        PipelineError: more images than `dataset.error_limit` cannot be used, or any with `on_error = "fail"`.
        features.StoreError: a URL cannot be opened.
    """
    settings = experiment.dataset
    resizing_of(experiment)  # refuses what cannot be before every image is read
    containers = find_containers(settings.path, ".tar")
    named = named_splits(containers)
    images = partial(tar_images, label_field=settings.label_column, ending=settings.image_column)
    scan = scan_containers(containers, images, _ANNOTATIONS, home, max_pixels=settings.max_pixels, bands=settings.bands)
    owners, usable = scan.images["container"], scan.usable
    ids, repeated = unique_ids(scan.ids, owners, containers)
    convention = convention_of(scan.ids[usable])
    labels, unlabelled = _labels(scan, convention.class_of)
    groups = np.full(len(ids) if settings.group else 0, "", ids.dtype)
    if settings.group:
        groups[usable] = text_array(groups_of(ids[usable], settings.group))
    places = zip(scan.ids, owners, strict=True)
    splits = text_array(convention.split_of(path) or named[owner] for path, owner in places)
    problems = {**unlabelled, **repeated, **scan.problems}
    labelled = LabelledScan(scan, ids, labels, splits, groups, problems)
    return assemble(experiment, home, labelled, reader=TarReader(containers), location=settings.path)


def _labels(scan: ScanResult, class_of: Callable[[str], str]) -> tuple[np.ndarray, dict[int, str]]:
    """Return the label of each image, and why some have none: one kind of note holds for all, else the class folder."""
    kinds = [kind for kind in _ANNOTATIONS if (scan.annotations[kind][scan.usable] != "").any()]
    labels = scan.annotations[kinds[0]] if kinds else text_array(class_of(path) for path in scan.ids)
    unlabelled = np.flatnonzero(labels == "").tolist()
    if not kinds:
        return labels, dict.fromkeys(unlabelled, "it is in no class folder")
    reason = f"its label is missing: no .{kinds[0]} file stands beside it in the archive"
    return labels, {**_crowded(scan), **dict.fromkeys(unlabelled, reason)}


def _crowded(scan: ScanResult) -> dict[int, str]:
    """Return the images that are not the only one of their sample."""
    samples = scan.images[["container", "sample"]]
    _, inverse, counts = np.unique(samples, return_inverse=True, return_counts=True)
    reason = "its sample has several images: name the one to use, such as dataset.image_column=jpg"
    return dict.fromkeys(np.flatnonzero(counts[inverse] > 1).tolist(), reason)


class TarReader:
    """Reads images in tar archives by their place (an `ImageReader`)."""

    def __init__(self, containers: tuple[Container, ...]) -> None:
        self._containers = containers
        self.threads = reading_threads(containers)

    def read(self, image: StoredImage) -> bytes:
        """See `ImageReader`."""
        return _piece(self._containers[image.container], image.offset, image.size)

    def location(self, image: StoredImage) -> str:
        """See `ImageReader`."""
        return f"{self._containers[image.container].url}: {image.id}"


class _Member(NamedTuple):
    name: str
    offset: int
    size: int
    problem: str = ""


def tar_images(container: Container, label_field: str, ending: str) -> Iterator[UnscannedImage]:
    """Give the images of an archive in its order.

    Members that follow one another and share their name up to its first dot are one sample (WebDataset's convention):
    `.cls`, `.json` and `.txt` say what its images show.

    Args:
        container: an archive on a disk.
        label_field: of the `.json`, the field with the label; empty: `label`, `cls` or `class`.
        ending: of the images' names after their first dot, where a sample has several; empty: any image's.

    Raises:
        PipelineError: it is no tar archive.
    """
    fields = (label_field,) if label_field else LABEL_FIELDS
    sample, number, notes, images = "", 0, dict.fromkeys(_ANNOTATIONS, ""), list[UnscannedImage]()
    for member in _members(container):
        if _sample(member.name) != sample:
            yield from images  # whose notes may have followed them
            sample, number, notes, images = _sample(member.name), number + 1, dict.fromkeys(_ANNOTATIONS, ""), []
        kind = Path(member.name).suffix.lower()
        if member.problem or (kind in ENDINGS and ending.lower() in ("", _ending(member.name))):
            read = partial(_content, container, member)
            images.append(UnscannedImage(printable(member.name), read, member.offset, number, notes))
        elif kind[1:] in _ANNOTATIONS and member.size <= LARGEST_NOTE:
            notes[kind[1:]] = _note(container.read(member.offset, member.size), kind, fields)
    yield from images


def _content(container: Container, member: _Member) -> bytes:
    if member.problem:
        raise UnusableImage(member.problem)
    if member.size > MAX_BYTES:
        raise UnusableImage(f"a file of {member.size:,} bytes; the limit is {MAX_BYTES:,}")
    return _piece(container, member.offset, member.size)


def _piece(container: Container, offset: int, size: int) -> bytes:
    content = container.read(offset, size)
    if len(content) < size:
        raise UnusableImage(f"truncated: the archive ends after {len(content):,} of {size:,} bytes")
    return content


def _members(container: Container) -> Iterator[_Member]:
    """Return the files in an archive, one header in memory at a time; the last one may say that the rest is damaged."""
    with Path(container.url).open("rb") as stream:
        try:
            archive = tarfile.open(fileobj=stream, mode="r:", errorlevel=1)  # noqa: SIM115
        except (tarfile.TarError, OSError) as error:
            raise not_readable(container, error, "a tar archive") from error
        try:
            while member := archive.next():
                archive.members.clear()  # type: ignore[attr-defined]
                if not ignored(Path(member.name).name) and not member.isdir():
                    yield _Member(_plain(member.name), member.offset_data, member.size, _wrong(member))
            damage = _unfinished(stream, archive.offset)
        except (tarfile.TarError, ValueError, OSError) as error:
            damage = f"the archive is damaged or cut off after byte {archive.offset:,} ({error})"
        if damage:
            yield _Member(f"{container.name}: what follows", container.size, 0, damage)


def _unfinished(stream: BinaryIO, end: int) -> str:
    """Why what ends at a byte is not the end of an archive; tarfile takes a broken header for the end."""
    stream.seek(max(0, end))
    record = stream.read(_RECORD)
    if not record:
        return f"the archive ends after byte {end:,} without the mark of its end: it may be cut off"
    return f"the archive is damaged at byte {end:,}: what follows is not read" if record.strip(b"\0") else ""


def _wrong(member: tarfile.TarInfo) -> str:
    if Path(member.name).suffix.lower() not in ENDINGS:
        return ""
    if printable(member.name) != member.name:
        return "its name is not UTF-8"
    if member.issparse():
        return "a sparse file, whose bytes do not lie together"
    return "" if member.isreg() else "no file but a link or a device"


def _plain(name: str) -> str:
    return re.sub(r"/+", "/", re.sub(r"^(\./)+", "", name)).lstrip("/")


def _sample(name: str) -> str:
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def _ending(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[2].lower()


def _note(content: bytes, kind: str, fields: tuple[str, ...]) -> str:
    note = content.decode("utf-8", "replace")
    if kind == ".json":
        try:
            found = json.loads(note)
        except ValueError:
            return ""
        present = [found[name] for name in fields if name in found] if isinstance(found, dict) else []
        note = str(present[0]) if present and not isinstance(present[0], dict | list | None) else ""
    return " ".join(note.split())[:LONGEST_LABEL]
