"""The members of tar archives: images by their place, with what the notes beside them say."""

import json
import posixpath
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bottleneck_features.pipeline.datasets.containers import Container, not_readable, reading_threads
from bottleneck_features.pipeline.datasets.image_dataset import StoredImage
from bottleneck_features.pipeline.datasets.layout.sample_names import ANNOTATIONS, name_parting
from bottleneck_features.pipeline.datasets.listing import ignored, printable
from bottleneck_features.pipeline.datasets.pixels.decoding import UnusableImage
from bottleneck_features.pipeline.datasets.pixels.file_bytes import MAX_BYTES
from bottleneck_features.pipeline.datasets.pixels.file_kinds import ENDINGS
from bottleneck_features.pipeline.datasets.scanning import UnscannedImage

LABEL_FIELDS = ("label", "cls", "class")  # looked for in a .json, in this order
LONGEST_LABEL = 200
LARGEST_NOTE = 1 << 20  # bytes of a .cls, .json or .txt
BESIDE = "beside"  # what an archive's first image is told of all its members that are neither images nor notes
_RECORD = 512


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


def images_in_tar(container: Container, label_field: str, ending: str) -> Iterator[UnscannedImage]:
    """Give the images of an archive in its order.

    Members that follow one another and share their name up to its first dot are one sample (WebDataset's convention), or up
    to its last dot where names have dots of their own: `.cls`, `.json` and `.txt` say what its images show.

    Args:
        container: an archive on a disk.
        label_field: of the `.json`, the field with the label; empty: `label`, `cls` or `class`.
        ending: of the images' names after the sample's, where a sample has several; empty: any image's.

    Raises:
        PipelineError: it is no tar archive.
    """
    fields = (label_field,) if label_field else LABEL_FIELDS
    names = [member.name for member in _members(container) if not member.problem]
    parted, beside = name_parting(names), _beside(names)
    sample, number, notes, images = "", 0, _notes(), list[UnscannedImage]()
    for member in _members(container):
        own_sample, own_ending = parted(member.name)
        if own_sample != sample:
            yield from images  # whose notes may have followed them
            sample, number, notes, images = own_sample, number + 1, _notes(), []
        kind = _kind(member.name)
        if member.problem or (kind in ENDINGS and ending.lower() in ("", own_ending)):
            read = partial(_content, container, member)
            images.append(UnscannedImage(printable(member.name), read, member.offset, number, notes))
            notes[BESIDE], beside = notes[BESIDE] or beside, ""
        elif kind[1:] in ANNOTATIONS and member.size <= LARGEST_NOTE:
            notes[kind[1:]] = _note(container.read(member.offset, member.size), kind, fields)
    yield from images


def _notes() -> dict[str, str]:
    return dict.fromkeys((*ANNOTATIONS, BESIDE), "")


def _beside(names: Sequence[str]) -> str:
    """Return, as JSON, how many members of each ending lie beside images and are neither images nor notes."""
    folders = {posixpath.dirname(name) for name in names if _kind(name) in ENDINGS}
    others = [_kind(name) for name in names if posixpath.dirname(name) in folders]
    counts = Counter(kind for kind in others if kind not in ENDINGS and kind[1:] not in ANNOTATIONS)
    return json.dumps(counts) if counts else ""


def _kind(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


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
    if _kind(member.name) not in ENDINGS:
        return ""
    if printable(member.name) != member.name:
        return "its name is not UTF-8"
    if member.issparse():
        return "a sparse file, whose bytes do not lie together"
    return "" if member.isreg() else "no file but a link or a device"


def _plain(name: str) -> str:
    return re.sub(r"/+", "/", re.sub(r"^(\./)+", "", name)).lstrip("/")


def _note(content: bytes, kind: str, fields: tuple[str, ...]) -> str:
    note = content.decode("utf-8", "replace")
    if kind == ".json":
        try:
            found = json.loads(note)
        except (ValueError, RecursionError):
            return ""
        present = [found[name] for name in fields if name in found] if isinstance(found, dict) else []
        label = present[0] if present and not isinstance(present[0], dict) else None
        note = json.dumps(label) if isinstance(label, list) else "" if label is None else str(label)
    return " ".join(note.split())[:LONGEST_LABEL]
