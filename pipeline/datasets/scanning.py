"""One look at every image of a data set before anything else: where it is, its SHA-256, and whether it decodes.

That it decodes is found by decoding it as the experiment wants it. So what later commands would decode it for is kept: see
`PixelMemory`.
"""

import hashlib
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from bottleneck_features.pipeline.datasets.containers import Container
from bottleneck_features.pipeline.datasets.listing import printable
from bottleneck_features.pipeline.datasets.pixel_memory import PixelMemory
from bottleneck_features.pipeline.datasets.pixels.decoding import (
    MAX_PIXELS,
    UnusableImage,
    check_and_load,
    decoding_threads,
)
from bottleneck_features.pipeline.datasets.pixels.file_bytes import MAX_BYTES, read_file
from bottleneck_features.pipeline.datasets.pixels.pillow_settings import decoding_settings
from bottleneck_features.pipeline.datasets.pixels.resizing import Resizing
from bottleneck_features.pipeline.datasets.scan_memory import ScanMemory
from bottleneck_features.pipeline.datasets.scanned import IMAGE, ScanResult, as_arrays, parsed
from bottleneck_features.pipeline.datasets.texts import batches, concatenated, text_array, without_blanks
from bottleneck_features.pipeline.progress import progress

_STATE = ["size", "modified_ns", "changed_ns", "inode"]
_FOUND = [*_STATE, "width", "height", "lowest", "highest", "odd_alpha"]  # as in `_Look`
_HELD = 64  # images of a container whose bytes are in memory
FILES_AT_A_TIME = 1024  # handed to the threads
STATES_AT_A_TIME = 64  # files of which a thread asks the size and the times
UNREADABLE = bytes(32)  # stands for the hash of what cannot be read
QUICK = 2000  # so few files need no progress bar
QUICK_BYTES = 1 << 28  # nor do containers of so few bytes


class FileState(NamedTuple):
    """What tells a file from one that was put in its place: bytes, times in ns since 1970, and its number on the disk."""

    size: int = 0
    modified_ns: int = 0
    changed_ns: int = 0
    inode: int = 0


class UnscannedImage(NamedTuple):
    """One image before it is looked at.

    Attributes:
        id: its name.
        read: returns its bytes, or raises `UnusableImage`.
        offset: where it is in its container, in whatever the source counts by.
        sample: the number of the sample it belongs to, where a sample may have several images.
        annotations: what the container says of it (its label, split and so on), by name.
        state: returns the `FileState` of a file of its own, None where it is not known.
    """

    id: str
    read: Callable[[], bytes]
    offset: int = 0
    sample: int = 0
    annotations: Mapping[str, str] = MappingProxyType({})
    state: Callable[[], FileState | None] = lambda: None


class _Look(NamedTuple):
    """What one look at an image found."""

    size: int = 0
    modified_ns: int = 0
    changed_ns: int = 0
    inode: int = 0
    width: int = 0
    height: int = 0
    lowest: float = 0.0
    highest: float = 0.0
    odd_alpha: bool = False
    sha256: bytes = UNREADABLE
    kind: str = ""
    numbers: str = ""
    problem: str = ""


def scan_files(
    root: Path,
    paths: Sequence[str],
    home: Path,
    resizing: Resizing,
    max_pixels: int = MAX_PIXELS,
    *,
    follow_links: bool = True,
) -> ScanResult:
    """Look at files, each decoded once until its bytes are others.

    It is read again where its size, a time or its place on the disk is another.

    Args:
        root: the folder they are in.
        paths: relative to `root`, with `/`.
        home: the artifacts folder, which remembers. `forget_scans` makes every file be read again.
        resizing: what images become; `PixelMemory` keeps what that gives of those that are decoded.
        max_pixels: the largest width x height of an image.
        follow_links: whether a symbolic link stands for the file that it points to, wherever that is.

    Returns:
        The `ScanResult` of the paths, in order; an id is the path as it can be printed.
    """
    root = root.resolve()
    memory = ScanMemory(home, "files", root, max_pixels, *resizing.bands)
    pixels = PixelMemory(home, resizing)
    before = memory.recall("files", parsed) or _batch((), ())
    known = _looks(before)
    images = (_file(root, path, follow_links) for path in paths)
    scanned = [_batch((), ())]
    with progress(total=len(paths), unit="file", desc="scan", disable=len(paths) < QUICK) as bar:
        try:
            look = partial(_look, max_pixels=max_pixels, pixels=pixels, known=known)
            with pixels.keeping():
                scanned.extend(_scan(images, look, FILES_AT_A_TIME, on_image=bar.update, known=known))
        finally:
            found = _one_after_another(scanned)
            fresh = _looks(found)
            if any(known.get(name) != look for name, look in fresh.items()):
                kept = [i for i, name in enumerate(before.ids) if name not in fresh and os.path.lexists(root / name)]
                readable = found.take(np.flatnonzero(found.images["sha256"].any(axis=1)))
                memory.remember("files", as_arrays(_one_after_another([before.take(kept), readable])))
    return found


def scan_containers(
    containers: Sequence[Container],
    images: partial,
    annotations: Sequence[str],
    home: Path,
    resizing: Resizing,
    *,
    max_pixels: int,
) -> ScanResult:
    """Look at every image of containers, each read and decoded once until its container changes.

    Args:
        containers: files of many images.
        images: gives, in order, an `UnscannedImage` for each image of one that is on a disk; another function, or other
            keywords, and every container is read again.
        annotations: the names of what `images` tells of each.
        home: the artifacts folder, which remembers. `forget_scans` makes every container be read again.
        resizing: as of `scan_files`.
        max_pixels: the largest width x height of an image.

    Returns:
        The `ScanResult` of all containers, one after the other.
    """
    folder = posixpath.commonpath([posixpath.dirname(container.url) for container in containers])
    memory = ScanMemory(home, images.func.__qualname__, images.keywords, folder, max_pixels, *resizing.bands)
    pixels = PixelMemory(home, resizing)
    look = partial(_look, max_pixels=max_pixels, pixels=pixels)
    total = sum(container.size for container in containers)
    scanned = []
    bar = progress(total=total, unit="B", unit_scale=True, desc="scan", disable=total < QUICK_BYTES)
    with bar, pixels.keeping():
        for number, container in enumerate(containers):
            state = f"{container.size} {container.version}"
            found = memory.recall(container.url, partial(parsed, annotations=annotations, state=state))
            if found is None:
                with container.nearby() as near:
                    parts = list(_scan(images(near), look, _HELD, annotations))
                found = _one_after_another([_batch((), (), annotations), *parts])
                memory.remember(container.url, as_arrays(found, state))
            found.images["container"] = number
            scanned.append(found)
            bar.update(container.size)
    return _one_after_another(scanned)


def _scan(
    images: Iterable[UnscannedImage],
    look: Callable[[UnscannedImage], _Look],
    at_a_time: int,
    annotations: Sequence[str] = (),
    on_image: Callable[[int], object] = lambda count: None,
    known: Mapping[str, _Look] = MappingProxyType({}),
) -> Iterator[ScanResult]:
    """Look at images, batch by batch; a batch that is interrupted is given as far as it came."""
    with ThreadPoolExecutor(decoding_threads(), "scan") as pool, decoding_settings(MAX_PIXELS):
        for batch in batches(images, at_a_time):
            looks: list[_Look] = []
            try:
                parts = list(batches(batch, STATES_AT_A_TIME if known else len(batch)))
                for part, recalled in zip(parts, pool.map(partial(_recalled, known), parts), strict=True):
                    unknown = [image for image, seen in zip(part, recalled, strict=True) if seen is None]
                    fresh = pool.map(look, unknown)
                    for seen in recalled:
                        looks.append(next(fresh) if seen is None else seen)
                        on_image(1)
            except BaseException:
                yield _batch(batch[: len(looks)], looks, annotations)
                raise
            yield _batch(batch, looks, annotations)


def _recalled(known: Mapping[str, _Look], images: Sequence[UnscannedImage]) -> list[_Look | None]:
    """Return what is remembered of each of some files that have not changed; None for the others."""
    return [_unchanged(known, image) for image in images]


def _unchanged(known: Mapping[str, _Look], image: UnscannedImage) -> _Look | None:
    remembered = known.get(image.id)
    if remembered is None:
        return None
    try:
        state = image.state()
    except UnusableImage:
        return None  # looking at it says why
    return remembered if remembered[: len(_STATE)] == state else None


def _look(
    image: UnscannedImage, max_pixels: int, pixels: PixelMemory, known: Mapping[str, _Look] = MappingProxyType({})
) -> _Look:
    try:
        state = image.state()
        remembered = known.get(image.id)
        content = image.read()
        if not content or len(content) > MAX_BYTES:
            wrong = f"a file of {len(content):,} bytes; the limit is {MAX_BYTES:,}" if content else "an empty file"
            raise UnusableImage(wrong)
    except UnusableImage as problem:
        return _Look(problem=str(problem))
    state = (state or FileState())._replace(size=len(content))
    look = _Look(*state, sha256=hashlib.sha256(content).digest())
    if remembered and remembered.sha256 == look.sha256:
        return remembered._replace(**state._asdict())
    try:
        found, decoded = check_and_load(content, pixels.resizing, max_pixels)
    except UnusableImage as problem:
        return look._replace(problem=str(problem))
    if decoded is not None:
        pixels.keep(look.sha256, decoded, len(content))
    return look._replace(
        width=found.header.width,
        height=found.header.height,
        lowest=found.lowest,
        highest=found.highest,
        odd_alpha=found.odd_alpha,
        kind=f"{found.header.format} {found.header.mode}",
        numbers=found.numbers,
    )


def _looks(scan: ScanResult) -> dict[str, _Look]:
    """Return what was found in the files that could be read, by their ids."""
    hashes, found = scan.images["sha256"].tobytes(), scan.images[_FOUND].tolist()
    return {
        name: _Look._make((*row, sha256, kind.decode(), numbers.decode(), scan.problems.get(i, "")))
        for i, (name, row, kind, numbers) in enumerate(
            zip(scan.ids, found, scan.kinds, scan.images["numbers"], strict=True)
        )
        if (sha256 := hashes[32 * i : 32 * i + 32]) != UNREADABLE
    }


def _file(root: Path, path: str, follow_links: bool) -> UnscannedImage:
    where, name = root / path, printable(path)
    return UnscannedImage(
        name, partial(read_file, where), state=partial(_file_state, where, root, name == path, follow_links)
    )


def _file_state(where: Path, root: Path, is_utf8: bool, follow_links: bool) -> FileState | None:
    if not is_utf8:
        raise UnusableImage("its name is not UTF-8")
    plain = os.path.normpath(where)
    if not plain.startswith(f"{root}/".replace("//", "/")):
        raise UnusableImage(f"it is outside '{root}'")
    try:
        if not follow_links and os.path.realpath(where) != plain:
            raise UnusableImage("reached by a symbolic link, which dataset.follow_links=false does not follow")
        status = where.stat()
        if not os.access(where, os.R_OK):
            return None
        return FileState(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    except (OSError, ValueError):
        return None  # `read_file` says it better


def _batch(images: Sequence[UnscannedImage], looks: Sequence[_Look], annotations: Sequence[str] = ()) -> ScanResult:
    rows = np.zeros(len(images), IMAGE)
    for name in ("offset", "sample"):
        rows[name] = [getattr(image, name) for image in images]
    for name in _FOUND:
        rows[name] = [getattr(look, name) for look in looks]
    rows["numbers"] = [look.numbers.encode() for look in looks]
    rows["sha256"] = np.frombuffer(b"".join(look.sha256 for look in looks), np.uint8).reshape(-1, 32)
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
