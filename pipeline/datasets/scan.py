"""One look at every file of a data set before anything else: what it is, its SHA-256, and whether it decodes.

What was found is remembered in the artifacts folder by path, size and time of change.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

import PIL

from bottleneck_features.pipeline.datasets.decoding import MAX_PIXELS, UnusableImage, check, decoding_threads, read_file
from bottleneck_features.pipeline.progress import progress
from bottleneck_features.pipeline.results import write_text

FOLDER = "scans"
VERSION = 1
BLOCK = 1024  # files handed to the threads at a time
QUICK = 2000  # so few files need no progress bar


@dataclass(frozen=True)
class FileRecord:
    """What is known of one file.

    Attributes:
        path: relative to the root, with `/`.
        bytes: its size; 0 where it cannot be read.
        modified_ns: when its content changed last, in nanoseconds since 1970.
        sha256: of its bytes; empty where it cannot be read.
        width: in pixels, as stored; 0 where it is no image.
        height: likewise.
        mode: Pillow's, such as `RGB`.
        format: Pillow's, such as `JPEG`.
        problem: why it cannot be used; empty where it can.
    """

    path: str
    bytes: int = 0
    modified_ns: int = 0
    sha256: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    format: str = ""
    problem: str = ""


def scan(root: Path, paths: Sequence[str], home: Path, max_pixels: int = MAX_PIXELS) -> tuple[FileRecord, ...]:
    """Look at files, each read and decoded once.

    Args:
        root: the folder they are in. What a symbolic link leads out of it is not read.
        paths: relative to `root`, with `/`.
        home: the artifacts folder; `scans` in it remembers. `forget_scans` makes every file be read again.
        max_pixels: the largest width x height of an image.

    Returns:
        A `FileRecord` for each path, in order.
    """
    root = root.resolve()
    memory = _memory_file(root, home, max_pixels)
    known = _recall(memory)
    records: dict[str, FileRecord] = {}
    try:
        for record in _looked_at(lambda path: _look(root, path, known.get(path), max_pixels), paths):
            records[record.path] = record
    finally:
        fresh = {path: record for path, record in records.items() if record.sha256}
        if any(known.get(path) != record for path, record in fresh.items()):
            _remember(memory, {**known, **fresh})
    return tuple(records[path] for path in paths)


def forget_scans(home: Path) -> None:
    """Forget what was found in any file, so that the next command reads them all again."""
    shutil.rmtree(home / FOLDER, ignore_errors=True)


def printable(path: str) -> str:
    """Return a path as it can be shown and written: bytes that are no UTF-8 as `\\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _looked_at(look: Callable[[str], FileRecord], paths: Sequence[str]) -> Iterator[FileRecord]:
    bar = progress(total=len(paths), unit="file", desc="scan", disable=len(paths) < QUICK)
    with ThreadPoolExecutor(decoding_threads(), "scan") as pool, bar:
        for start in range(0, len(paths), BLOCK):
            for record in pool.map(look, paths[start : start + BLOCK]):
                bar.update()
                yield record


def _look(root: Path, path: str, known: FileRecord | None, max_pixels: int) -> FileRecord:
    if printable(path) != path:
        return FileRecord(path, problem="its name is not UTF-8")
    where = root / path
    try:
        if not Path(os.path.realpath(where)).is_relative_to(root):
            return FileRecord(path, problem=f"it is outside '{root}' (a symbolic link, or '..')")
        status = where.stat()
        modified_ns = status.st_mtime_ns
        if known and (known.bytes, known.modified_ns) == (status.st_size, modified_ns) and os.access(where, os.R_OK):
            return known
    except (OSError, ValueError):
        modified_ns = 0  # `read_file` says it better
    try:
        content = read_file(where)
    except UnusableImage as problem:
        return FileRecord(path, problem=str(problem))
    found = (path, len(content), modified_ns, hashlib.sha256(content).hexdigest())
    try:
        header = check(content, max_pixels)
    except UnusableImage as problem:
        return FileRecord(*found, problem=str(problem))
    return FileRecord(*found, *astuple(header))


def _memory_file(root: Path, home: Path, max_pixels: int) -> Path:
    state = f"{root}\0{max_pixels}\0{PIL.__version__}\0{VERSION}"
    return home / FOLDER / f"{hashlib.sha256(os.fsencode(state)).hexdigest()[:16]}.json"


def _recall(memory: Path) -> dict[str, FileRecord]:
    try:
        records = [FileRecord(*values) for values in json.loads(memory.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return {}
    return {record.path: record for record in records}


def _remember(memory: Path, records: dict[str, FileRecord]) -> None:
    write_text(memory, json.dumps([astuple(record) for record in records.values()], ensure_ascii=False))
