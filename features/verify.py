"""Checking every byte of a cache, and putting aside what is not as it was written."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from bottleneck_features.features.errors import CacheDamaged, CacheMissing
from bottleneck_features.features.lock import writer_lock
from bottleneck_features.features.manifest import MANIFEST, Manifest, Shard, load, plan_sha256
from bottleneck_features.features.quarantine import (
    DamagedFile,
    as_it_was,
    file_problem,
    hashes_all,
    quarantine_files,
    quarantine_manifest,
)
from bottleneck_features.features.removed import noticing_removal
from bottleneck_features.features.shards import dataset_name
from bottleneck_features.features.structure import structure_problem
from bottleneck_features.features.targets import TARGETS, read_targets
from bottleneck_features.features.writer import finalise

_BLOCK_BYTES = 16 << 20
_AT_A_TIME = 4  # shards; hashing leaves the interpreter's lock


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found.

    Attributes:
        path: the cache's folder.
        shards: number of finished shards that were checked.
        pending: number of shards that are still to be written.
        bytes: bytes that were hashed.
        problems: one for each damaged file.
        seconds: how long it took.
        shared: how many of the damaged files have other names, as those that other caches share have.
    """

    path: Path
    shards: int
    pending: int
    bytes: int
    problems: tuple[DamagedFile, ...]
    seconds: float
    shared: int = 0

    @property
    def ok(self) -> bool:
        """Whether every file is what was written."""
        return not self.problems


def verify(path: Path | str) -> VerifyReport:
    """Check all that a cache holds: hashes, structure, finiteness, ids, content hashes and labels.

    Args:
        path: the cache's folder, finished or not.

    Returns:
        `VerifyReport`; nothing is changed.

    Raises:
        CacheMissing: if there is no cache at this path.
        CacheRemoved: if it is removed meanwhile.
        CacheVersion: if it has another format version.
        CacheError: if the manifest cannot be read, or the cache is compressed and hdf5plugin is not installed.
    """
    started = time.perf_counter()
    folder = Path(path)
    try:
        manifest = load(folder)
    except CacheDamaged as error:
        return VerifyReport(folder, 0, 0, 0, (DamagedFile(MANIFEST, str(error)),), time.perf_counter() - started)
    with noticing_removal(folder):
        problems = (
            *_targets_problems(folder, manifest),
            *_shard_problems(folder, manifest),
            *_virtual_problems(folder, manifest),
        )
        if problems and not (folder / MANIFEST).exists():
            raise CacheDamaged(str(problems[0]))
    done, total, hashed = manifest.count_finished(), manifest.count(), manifest.bytes_finished()
    shared = sum(_names(folder / problem.file) > 1 for problem in problems)
    return VerifyReport(folder, done, total - done, hashed, problems, time.perf_counter() - started, shared)


def _names(file: Path) -> int:
    try:
        return file.stat().st_nlink
    except OSError:
        return 0


def require_unchanged(path: Path | str) -> None:
    """Refuse a cache whose shards are not what was written, before anything is computed from them.

    Looks at the size of every finished shard, and hashes all of them in a cache of at most 2 GiB. In a larger one it
    hashes those whose file is not older than the manifest, which is written after them; `verify` reads all in any case.

    Args:
        path: the cache's folder.

    Raises:
        CacheDamaged: if a shard is missing, cannot be read, or has another size or SHA-256; names the first one.
        CacheRemoved: if the cache is removed meanwhile.
        CacheMissing: if there is no cache at this path.
        CacheVersion: if it has another format version.
        CacheError: if the manifest cannot be read.
    """
    folder = Path(path)
    manifest = load(folder)
    with noticing_removal(folder):
        _require_unchanged(folder, manifest)


def _require_unchanged(folder: Path, manifest: Manifest) -> None:
    completed = (folder / MANIFEST).stat().st_mtime_ns
    hashed = hashes_all(manifest)
    doubtful = [
        (folder / shard.file, entry)
        for shard, entry in manifest.finished()
        if hashed or not as_it_was(folder / shard.file, entry, completed)
    ]
    with ThreadPoolExecutor(_AT_A_TIME, "hash") as pool:
        reasons = list(pool.map(lambda item: file_problem(*item), doubtful))
    damaged = [(file, reason) for (file, _), reason in zip(doubtful, reasons, strict=True) if reason]
    if damaged:
        (file, reason), more = damaged[0], len(damaged) - 1
        raise CacheDamaged(
            f"The shard {file} is damaged: {reason}{f'; {more:,} more are damaged too' if more else ''}. "
            f"Type: bottleneck cache verify {shlex.quote(str(folder))} --repair\n"
            "which puts it aside, then the `bottleneck features …` that made this cache: it computes only what is not there. "
            "Results made from it since it was damaged may be wrong: make them again."
        )


def repair(path: Path | str) -> VerifyReport:
    """Verify a cache and move what is damaged to `quarantine/`, so that the next extraction makes it again.

    Args:
        path: the cache's folder.

    Returns:
        `VerifyReport` of what was found and put aside. Virtual files are written anew at once; shards are pending.

    Raises:
        CacheMissing: if there is no cache at this path.
        CacheBusy: if a process is writing to it.
        CacheVersion, CacheError: as for `verify`; also if a file cannot be moved.
    """
    folder = Path(path)
    if not (folder / MANIFEST).exists():
        raise CacheMissing(f"There is no feature cache at {folder} (no {MANIFEST}): nothing to repair.")
    with writer_lock(folder, 0.0):
        report = verify(folder)
        if report.problems and report.problems[0].file == MANIFEST:
            quarantine_manifest(folder)
            return report
        manifest = load(folder)
        was_complete = manifest.complete
        manifest = quarantine_files(folder, manifest, report.problems)
        if was_complete and not manifest.pending() and (folder / TARGETS).exists():
            finalise(folder)
    return report


def _shard_problems(folder: Path, manifest: Manifest) -> Iterator[DamagedFile]:
    for split, record in manifest.splits.items():
        ids, contents = [], []
        for shard in manifest.shards(split):
            entry = record.shards.get(shard.index)
            if entry is None:
                continue
            path = folder / shard.file
            reason = (
                file_problem(path, entry)
                or structure_problem(path, manifest, shard, entry)
                or _values_problem(folder, manifest, shard)
            )
            if reason:
                yield DamagedFile(shard.file, reason, shard)
                continue
            part_ids, part_contents = _ids_and_contents(folder, manifest, shard)
            ids.append(part_ids)
            contents.append(part_contents)
        if len(ids) == len(manifest.shards(split)) and plan_sha256(b"".join(ids), b"".join(contents)) != (
            record.plan_sha256
        ):
            yield from (
                DamagedFile(shard.file, "ids or content hashes of its split are not those of the manifest", shard)
                for shard in manifest.shards(split)
            )


def _targets_problems(folder: Path, manifest: Manifest) -> Iterator[DamagedFile]:
    try:
        read_targets(folder, manifest)
    except CacheDamaged as error:
        yield DamagedFile(TARGETS, str(error))


def _virtual_problems(folder: Path, manifest: Manifest) -> Iterator[DamagedFile]:
    for split, record in manifest.splits.items():
        if record.virtual is None:
            continue
        reason = file_problem(folder / f"{split}.h5", record.virtual)
        if reason:
            yield DamagedFile(f"{split}.h5", reason)


def _values_problem(folder: Path, manifest: Manifest, shard: Shard) -> str:
    try:
        with h5py.File(folder / shard.file, "r", locking=False) as file:
            for name in (dataset_name(layer, manifest.layers) for layer in manifest.layers):
                if not _finite(file[name]):
                    return f"{name} has values that are not finite"
    except (OSError, RuntimeError) as error:
        return f"its values cannot be read ({error})"
    return ""


def _finite(data: h5py.Dataset) -> bool:
    rows = max(1, _BLOCK_BYTES // max(1, data.nbytes // max(1, len(data))))
    return all(np.isfinite(data[start : start + rows]).all() for start in range(0, len(data), rows))


def _ids_and_contents(folder: Path, manifest: Manifest, shard: Shard) -> tuple[bytes, bytes]:
    with h5py.File(folder / shard.file, "r", locking=False) as file:
        ids = file["ids"][:].astype(f"S{manifest.splits[shard.split].id_bytes}")
        return ids.tobytes(), file["contents"][:].tobytes()
