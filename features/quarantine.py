"""Putting damaged files aside, so that what they held is pending again and never read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bottleneck_features.features.entries import FileEntry
from bottleneck_features.features.manifest import EAGERLY_CHECKED, MANIFEST, Manifest, Shard, update
from bottleneck_features.features.storage import make_folder, sha256_of, write_error

QUARANTINE = "quarantine"
HASHED_WHOLE = 2 << 30  # bytes of shards
WRONG_HASH = "its SHA-256 is not that of the manifest"


@dataclass(frozen=True)
class DamagedFile:
    """One damaged file.

    Attributes:
        file: path relative to the cache's folder.
        reason: what is wrong with it.
        shard: the shard it holds, or None for the manifest and the virtual files.
    """

    file: str
    reason: str
    shard: Shard | None = None

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


def missing_or_wrong_size(folder: Path, manifest: Manifest) -> Iterator[DamagedFile]:
    """Yield the finished shards that are missing or of another size; none in a cache of more than `EAGERLY_CHECKED`."""
    if manifest.count_finished() > EAGERLY_CHECKED:
        return
    for shard, entry in manifest.finished():
        if reason := size_problem(folder / shard.file, entry):
            yield DamagedFile(shard.file, reason, shard)


def size_problem(path: Path, entry: FileEntry) -> str:
    """Say whether a file is missing or has another size than its entry; empty where neither is so.

    Raises:
        OSError: if its size cannot be read.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return "missing"
    return "" if size == entry.bytes else f"{size} bytes instead of {entry.bytes}"


def file_problem(path: Path, entry: FileEntry) -> str:
    """Return what is wrong with a file that its entry describes, found by its size and hash; else an empty text."""
    try:
        return size_problem(path, entry) or ("" if sha256_of(path) == entry.sha256 else WRONG_HASH)
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def hashes_all(manifest: Manifest) -> bool:
    """Return whether all shards of a cache are hashed before it is used; of a larger one those newer than its manifest."""
    return manifest.bytes_finished() <= HASHED_WHOLE


def as_it_was(path: Path, entry: FileEntry, completed: int) -> bool:
    """Return whether a file has the right size and was last changed before its manifest was completed, in ns."""
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_size == entry.bytes and status.st_mtime_ns < completed


def quarantine_files(folder: Path, manifest: Manifest, problems: Sequence[DamagedFile]) -> Manifest:
    """Take damaged files out of the manifest, then move them to `quarantine/`.

    Args:
        folder: the cache's folder, whose lock the caller holds.
        manifest: its manifest.
        problems: what is damaged; none means that nothing happens.

    Returns:
        The manifest as it now is on disk; the shards concerned are pending in it.
    """
    if not problems:
        return manifest

    def without(present: Manifest) -> Manifest:
        for problem in problems:
            split = problem.file.removesuffix(".h5")
            if problem.shard is not None:
                present = present.without_shard(problem.shard)
            elif split in present.splits:
                present = present.with_virtual(split, None)
            else:  # the targets, which whoever has the data writes anew
                present = replace(present, complete=False)
        return present

    manifest = update(folder, without)
    for problem in problems:
        _move(folder, problem.file)
    return manifest


def quarantine_manifest(folder: Path) -> None:
    """Move a damaged manifest to `quarantine/`; the next extraction then begins anew."""
    _move(folder, MANIFEST)


def _move(folder: Path, file: str) -> None:
    source = folder / file
    if not source.exists():
        return
    make_folder(folder / QUARANTINE)
    name = file.replace("/", "-")
    taken = len(list((folder / QUARANTINE).glob(f"{name}.*")))
    try:
        source.replace(folder / QUARANTINE / f"{name}.{taken}")
    except OSError as error:
        raise write_error(error, source) from error
