"""One look at every image of a data set before anything else: where it is, its SHA-256, and whether it decodes."""

import hashlib
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bottleneck_features.pipeline.datasets.containers import Container
from bottleneck_features.pipeline.datasets.decoding import (
    MAX_BYTES,
    MAX_PIXELS,
    UnusableImage,
    check,
    decoding_threads,
    read_file,
)
from bottleneck_features.pipeline.datasets.listing import printable
from bottleneck_features.pipeline.datasets.scan_memory import ScanMemory
from bottleneck_features.pipeline.datasets.texts import TEXT, batches, concatenated, text_array, utf8, without_blanks
from bottleneck_features.pipeline.progress import progress

IMAGE = np.dtype(
    [
        ("container", "<i4"), ("offset", "<i8"), ("sample", "<i8"), ("size", "<u4"), ("modified_ns", "<i8"),
        ("sha256", "u1", 32), ("width", "<u4"), ("height", "<u4"),
    ]
)  # fmt: skip
HELD = 64  # images of a container whose bytes are in memory
FILES_AT_A_TIME = 1024  # handed to the threads
QUICK = 2000  # so few files need no progress bar
QUICK_BYTES = 1 << 28  # nor do containers of so few bytes


@dataclass(frozen=True, slots=True)
class UnscannedImage:
    """One image before it is looked at.

    Attributes:
        id: its name.
        read: returns its bytes, or raises `UnusableImage`.
        offset: where it is in its container, in whatever the source counts by.
        sample: the number of the sample it belongs to, where a sample may have several images.
        annotations: what the container says of it (its label, split and so on), by name.
        state: returns the size and the time of change (ns since 1970) of a file of its own, None where they are not known.
    """

    id: str
    read: Callable[[], bytes]
    offset: int = 0
    sample: int = 0
    annotations: Mapping[str, str] = field(default_factory=dict)
    state: Callable[[], tuple[int, int] | None] = lambda: None


@dataclass(frozen=True)
class ScanResult:
    """What was found in images, in their fixed order.

    Attributes:
        ids: `(n,)` text.
        images: `(n,)` of the type `IMAGE`: the number of the container, where in it, the number of the sample; bytes, time
            of change in ns (0 in containers), SHA-256 (zeros where it cannot be read); pixels as stored (0 where it is no
            image).
        kinds: `(n,)` bytes, Pillow's format and mode, such as `JPEG RGB`.
        annotations: `(n,)` text by name, what the containers say of each.
        problems: why images cannot be used, by position.
    """

    ids: np.ndarray
    images: np.ndarray
    kinds: np.ndarray
    annotations: Mapping[str, np.ndarray] = field(default_factory=dict)
    problems: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def usable(self) -> np.ndarray:
        """A mask of the images without a problem."""
        return ~np.isin(np.arange(len(self)), list(self.problems))

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The position of each id."""
        return {name: place for place, name in enumerate(self.ids.tolist())}

    def take(self, places: Sequence[int] | np.ndarray) -> "ScanResult":
        """Return the images of files at some positions, in that order."""
        chosen = np.asarray(places, int)
        problems = {new: self.problems[old] for new, old in enumerate(chosen.tolist()) if old in self.problems}
        return ScanResult(self.ids[chosen], self.images[chosen], self.kinds[chosen], problems=problems)


class _Look(NamedTuple):
    """What one look at an image found."""

    size: int = 0
    modified_ns: int = 0
    sha256: bytes = bytes(32)
    width: int = 0
    height: int = 0
    kind: str = ""
    problem: str = ""


def scan_files(root: Path, paths: Sequence[str], home: Path, max_pixels: int = MAX_PIXELS) -> ScanResult:
    """Look at files, each read and decoded once until its size or its time of change is another.

    Args:
        root: the folder they are in. What a symbolic link leads out of it is not read.
        paths: relative to `root`, with `/`.
        home: the artifacts folder, which remembers. `forget_scans` makes every file be read again.
        max_pixels: the largest width x height of an image.

    Returns:
        The `ScanResult` of the paths, in order; an id is the path as it can be printed.
    """
    root = root.resolve()
    memory = ScanMemory(home, "files", root, max_pixels)
    known = memory.recall("files", _parsed) or _batch((), ())
    images = (
        UnscannedImage(printable(path), partial(read_file, root / path), state=partial(_file_state, root, path))
        for path in paths
    )
    scanned = [_batch((), ())]
    with progress(total=len(paths), unit="file", desc="scan", disable=len(paths) < QUICK) as bar:
        try:
            look = partial(_look, max_pixels=max_pixels, recall=partial(_recall, known=known, places=known.places))
            scanned.extend(_scan(images, look, FILES_AT_A_TIME, on_image=bar.update))
        finally:
            _remember_files(memory, known, _one_after_another(scanned), root)
    return _one_after_another(scanned)


def scan_containers(
    containers: Sequence[Container], images: partial, annotations: Sequence[str], home: Path, max_pixels: int
) -> ScanResult:
    """Look at every image of containers, each read and decoded once until its container changes.

    Args:
        containers: files of many images.
        images: gives, in order, an `UnscannedImage` for each image of one that is on a disk; another function, or other
            keywords, and every container is read again.
        annotations: the names of what `images` tells of each.
        home: the artifacts folder, which remembers. `forget_scans` makes every container be read again.
        max_pixels: the largest width x height of an image.

    Returns:
        The `ScanResult` of all containers, one after the other.
    """
    folder = posixpath.commonpath([posixpath.dirname(container.url) for container in containers])
    memory = ScanMemory(home, images.func.__qualname__, images.keywords, folder, max_pixels)
    total = sum(container.size for container in containers)
    scanned = []
    with progress(total=total, unit="B", unit_scale=True, desc="scan", disable=total < QUICK_BYTES) as bar:
        for number, container in enumerate(containers):
            state = f"{container.size} {container.version}"
            found = memory.recall(container.url, partial(_parsed, annotations=annotations, state=state))
            if found is None:
                with container.nearby() as near:
                    parts = list(_scan(images(near), partial(_look, max_pixels=max_pixels), HELD, annotations))
                found = _one_after_another([_batch((), (), annotations), *parts])
                memory.remember(container.url, _as_arrays(found, state))
            found.images["container"] = number
            scanned.append(found)
            bar.update(container.size)
    return _one_after_another(scanned)


def _scan(
    images: Iterable[UnscannedImage],
    look: Callable[[UnscannedImage], _Look],
    at_a_time: int,
    annotations: Sequence[str] = (),
    on_image: Callable[[], object] = lambda: None,
) -> Iterator[ScanResult]:
    """Look at images, batch by batch; a batch that is interrupted is given as far as it came."""
    with ThreadPoolExecutor(decoding_threads(), "scan") as pool:
        for batch in batches(images, at_a_time):
            looks = []
            try:
                for found in pool.map(look, batch):
                    looks.append(found)
                    on_image()
            except BaseException:
                yield _batch(batch[: len(looks)], looks, annotations)
                raise
            yield _batch(batch, looks, annotations)


def _look(image: UnscannedImage, max_pixels: int, recall: Callable[..., _Look | None] = lambda *_: None) -> _Look:
    try:
        state = image.state()
        if state and (remembered := recall(image.id, state)):
            return remembered
        content = image.read()
        if not content or len(content) > MAX_BYTES:
            wrong = f"a file of {len(content):,} bytes; the limit is {MAX_BYTES:,}" if content else "an empty file"
            raise UnusableImage(wrong)
    except UnusableImage as problem:
        return _Look(problem=str(problem))
    look = _Look(len(content), state[1] if state else 0, hashlib.sha256(content).digest())
    try:
        header = check(content, max_pixels)
    except UnusableImage as problem:
        return look._replace(problem=str(problem))
    return look._replace(width=header.width, height=header.height, kind=f"{header.format} {header.mode}")


def _recall(name: str, state: tuple[int, int], known: ScanResult, places: Mapping[str, int]) -> _Look | None:
    """Return what an earlier scan found in a file that has not changed since."""
    place = places.get(name)
    if place is None or known.images[["size", "modified_ns"]][place].item() != state:
        return None
    image, kind, problem = known.images[place], known.kinds[place].decode(), known.problems.get(place, "")
    return _Look(*state, image["sha256"].tobytes(), int(image["width"]), int(image["height"]), kind, problem)


def _file_state(root: Path, path: str) -> tuple[int, int] | None:
    if printable(path) != path:
        raise UnusableImage("its name is not UTF-8")
    where = root / path
    try:
        if not Path(os.path.realpath(where)).is_relative_to(root):
            raise UnusableImage(f"it is outside '{root}' (a symbolic link, or '..')")
        status = where.stat()
        return (status.st_size, status.st_mtime_ns) if os.access(where, os.R_OK) else None
    except (OSError, ValueError):
        return None  # `read_file` says it better


def _batch(images: Sequence[UnscannedImage], looks: Sequence[_Look], annotations: Sequence[str] = ()) -> ScanResult:
    return ScanResult(
        text_array(image.id for image in images),
        np.array([_row(image, look) for image, look in zip(images, looks, strict=True)], IMAGE),
        np.array([look.kind.encode() for look in looks], np.bytes_),
        {name: without_blanks(text_array(image.annotations[name] for image in images)) for name in annotations},
        {place: look.problem for place, look in enumerate(looks) if look.problem},
    )


def _row(image: UnscannedImage, look: _Look) -> tuple[object, ...]:
    return (0, image.offset, image.sample, *look[:2], np.frombuffer(look.sha256, np.uint8), look.width, look.height)


def _one_after_another(parts: Sequence[ScanResult]) -> ScanResult:
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    return ScanResult(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.kinds for part in parts]),
        {name: concatenated([part.annotations[name] for part in parts]) for name in parts[0].annotations},
        {start + i: why for start, part in zip(starts, parts, strict=False) for i, why in part.problems.items()},
    )


def _remember_files(memory: ScanMemory, known: ScanResult, scanned: ScanResult, root: Path) -> None:
    """Remember all that could be read, and what was known of other files that are still there."""
    fresh = scanned.take(np.flatnonzero(scanned.images["sha256"].any(axis=1)))
    if all(name in known.places for name in fresh.places):
        before = known.images[[known.places[name] for name in fresh.places]]
        if before.tobytes() == fresh.images.tobytes():
            return
    others = [i for name, i in known.places.items() if name not in fresh.places and os.path.lexists(root / name)]
    memory.remember("files", _as_arrays(_one_after_another([known.take(others), fresh])))


def _as_arrays(scan: ScanResult, state: str = "") -> dict[str, np.ndarray]:
    return {
        "state": np.array(state.encode()),
        "ids": utf8(scan.ids),
        "images": scan.images,
        "kinds": scan.kinds,
        "unusable": np.array(list(scan.problems), np.int64),
        "reasons": utf8(text_array(scan.problems.values())),
        **{f"annotation {name}": utf8(texts) for name, texts in scan.annotations.items()},
    }


def _parsed(arrays: Mapping[str, np.ndarray], annotations: Sequence[str] = (), state: str = "") -> ScanResult:
    if arrays["state"].item().decode() != state:
        raise ValueError("of another state of the file")
    reasons = arrays["reasons"].astype(TEXT).tolist()
    return ScanResult(
        arrays["ids"].astype(TEXT),
        arrays["images"].astype(IMAGE, copy=False),
        arrays["kinds"],
        {name: without_blanks(arrays[f"annotation {name}"].astype(TEXT)) for name in annotations},
        dict(zip(arrays["unusable"].tolist(), reasons, strict=True)),
    )
