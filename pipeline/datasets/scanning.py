"""One look at every image of a data set before anything else: where it is, its SHA-256, and whether it decodes."""

import hashlib
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

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
        ("container", "<i4"), ("offset", "<i8"), ("size", "<u4"), ("modified_ns", "<i8"), ("sha256", "u1", 32),
        ("width", "<u4"), ("height", "<u4"), ("sample", "<i8"),
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
        images: `(n,)` of the type `IMAGE`: the number of the container and where in it, bytes, time of change in ns (0 in
            containers), SHA-256 of the bytes (zeros where they cannot be read), pixels as stored (0 where it is no image),
            number of the sample.
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
        mask = np.ones(len(self), bool)
        mask[list(self.problems)] = False
        return mask

    def take(self, places: np.ndarray) -> "ScanResult":
        """Return the images at some positions, in that order."""
        found = {new: self.problems[old] for new, old in enumerate(places.tolist()) if old in self.problems}
        annotations = {name: texts[places] for name, texts in self.annotations.items()}
        return ScanResult(self.ids[places], self.images[places], self.kinds[places], annotations, found)


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at an image found."""

    size: int = 0
    modified_ns: int = 0
    sha256: bytes = bytes(32)
    width: int = 0
    height: int = 0
    kind: str = ""
    problem: str = ""


class _Known:
    """What an earlier scan found in files, by their ids."""

    def __init__(self, scan: ScanResult) -> None:
        self.scan = scan
        self.places = {name: place for place, name in enumerate(scan.ids.tolist())}

    def look(self, name: str, state: tuple[int, int]) -> _Look | None:
        """Return what was found in a file that has not changed since."""
        place = self.places.get(name)
        if place is None:
            return None
        image = self.scan.images[place]
        if (int(image["size"]), int(image["modified_ns"])) != state:
            return None
        kind, problem = self.scan.kinds[place].decode(), self.scan.problems.get(place, "")
        return _Look(*state, image["sha256"].tobytes(), int(image["width"]), int(image["height"]), kind, problem)


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
    known = _Known(memory.recall("files", _parsed) or _batch([], [], ()))
    images = (
        UnscannedImage(printable(path), partial(read_file, root / path), state=partial(_file_state, root, path))
        for path in paths
    )
    scanned = [_batch([], [], ())]
    batch, looks = list[UnscannedImage](), list[_Look]()
    bar = progress(total=len(paths), unit="file", desc="scan", disable=len(paths) < QUICK)
    with ThreadPoolExecutor(decoding_threads(), "scan") as pool, bar:
        try:
            for batch in batches(images, FILES_AT_A_TIME):
                for look in pool.map(lambda image: _look(image, known, max_pixels), batch):
                    looks.append(look)
                    bar.update()
                scanned.append(_batch(batch, looks, ()))
                looks = []
        finally:
            interrupted = _batch(batch[: len(looks)], looks, ())
            _remember_files(memory, known, _one_after_another([*scanned, interrupted]), root)
    return _one_after_another(scanned)


def scan_containers(
    containers: Sequence[Container],
    images: Callable[[Container], Iterator[UnscannedImage]],
    *,
    annotations: Sequence[str],
    recipe: str,
    home: Path,
    max_pixels: int,
) -> ScanResult:
    """Look at every image of containers, each read and decoded once until its container changes.

    Args:
        containers: files of many images.
        images: gives the images of one that is on a disk, in order.
        annotations: the names of what `images` tells of each.
        recipe: names `images` and all settings that change what it gives.
        home: the artifacts folder, which remembers. `forget_scans` makes every container be read again.
        max_pixels: the largest width x height of an image.

    Returns:
        The `ScanResult` of all containers, one after the other.
    """
    folder = posixpath.commonpath([posixpath.dirname(container.url) for container in containers])
    memory = ScanMemory(home, recipe, folder, max_pixels)
    total = sum(container.size for container in containers)
    bar = progress(total=total, unit="B", unit_scale=True, desc="scan", disable=total < QUICK_BYTES)
    scanned = []
    with ThreadPoolExecutor(decoding_threads(), "scan") as pool, bar:
        for number, container in enumerate(containers):
            state = f"{container.size} {container.version}"
            found = memory.recall(container.url, partial(_parsed, annotations=annotations, state=state))
            if found is None:
                with container.nearby() as near:
                    found = _scan_container(images(near), annotations, pool, max_pixels)
                memory.remember(container.url, _as_arrays(found, state))
            found.images["container"] = number
            scanned.append(found)
            bar.update(container.size)
    return _one_after_another(scanned)


def _scan_container(
    images: Iterable[UnscannedImage], annotations: Sequence[str], pool: ThreadPoolExecutor, max_pixels: int
) -> ScanResult:
    scanned, nothing = [_batch([], [], annotations)], _Known(_batch([], [], ()))
    for batch in batches(images, HELD):
        looks = list(pool.map(lambda image: _look(image, nothing, max_pixels), batch))
        scanned.append(_batch(batch, looks, annotations))
    return _one_after_another(scanned)


def _look(image: UnscannedImage, known: _Known, max_pixels: int) -> _Look:
    try:
        state = image.state()
        if state and (remembered := known.look(image.id, state)):
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
        return replace(look, problem=str(problem))
    return replace(look, width=header.width, height=header.height, kind=f"{header.format} {header.mode}")


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


def _batch(images: Sequence[UnscannedImage], looks: Sequence[_Look], annotations: Sequence[str]) -> ScanResult:
    rows = np.zeros(len(images), IMAGE)
    for row, image, look in zip(rows, images, looks, strict=True):
        row["offset"], row["sample"] = image.offset, image.sample
        row["size"], row["modified_ns"], row["width"], row["height"] = (
            look.size, look.modified_ns, look.width, look.height,
        )  # fmt: skip
        row["sha256"] = np.frombuffer(look.sha256, np.uint8)
    return ScanResult(
        text_array(image.id for image in images),
        rows,
        np.array([look.kind.encode() for look in looks], np.bytes_),
        {name: without_blanks(text_array(image.annotations[name] for image in images)) for name in annotations},
        {place: look.problem for place, look in enumerate(looks) if look.problem},
    )


def _one_after_another(parts: Sequence[ScanResult]) -> ScanResult:
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    return ScanResult(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.kinds for part in parts]),
        {name: concatenated([part.annotations[name] for part in parts]) for name in parts[0].annotations},
        {start + i: why for start, part in zip(starts, parts, strict=False) for i, why in part.problems.items()},
    )


def _remember_files(memory: ScanMemory, known: _Known, scanned: ScanResult, root: Path) -> None:
    """Remember all that could be read, and what was known of other files that are still there."""
    fresh = scanned.take(np.flatnonzero(scanned.images["sha256"].any(axis=1)))
    names = fresh.ids.tolist()
    if all(name in known.places for name in names):
        before = known.scan.images[[known.places[name] for name in names]]
        if before.tobytes() == fresh.images.tobytes():
            return
    listed = set(names)
    others = [i for name, i in known.places.items() if name not in listed and os.path.lexists(root / name)]
    memory.remember("files", _as_arrays(_one_after_another([known.scan.take(np.array(others, int)), fresh])))


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
