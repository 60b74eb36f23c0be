"""Caches from which rows can be taken instead of being computed: those of the same recipe."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from bottleneck_features.features.entries import HASH_BYTES, FileEntry
from bottleneck_features.features.errors import CacheDamaged, CacheError
from bottleneck_features.features.manifest import MANIFEST, Manifest, Shard, load
from bottleneck_features.features.quarantine import as_it_was, file_problem, hashes_all
from bottleneck_features.features.shardfiles import ShardFiles
from bottleneck_features.features.shards import MACHINE_BYTES, dataset_name, stored_dtype
from bottleneck_features.features.structure import structure_problem

DONORS = ".donors"  # folder of shards that were fetched from other caches of a store, while a cache is written
Reader = Callable[[int, int], bytes]  # from an offset on so many bytes


class Head(NamedTuple):
    """What a finished shard says of its samples: ids as padded bytes, content hashes (n, 32), and what computed them."""

    shard: Shard
    entry: FileEntry
    ids: np.ndarray
    contents: np.ndarray
    machine: str


@dataclass(frozen=True, eq=False)
class Donor:
    """A cache from which rows can be taken.

    Attributes:
        folder: the cache's folder.
        manifest: its manifest.
    """

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @cached_property
    def _files(self) -> dict[str, ShardFiles]:
        return {split: ShardFiles(self.folder, self.manifest, split) for split in self.manifest.splits}

    @cached_property
    def _completed(self) -> int:
        return (self.folder / MANIFEST).stat().st_mtime_ns if self.manifest.complete else 0

    def problem(self, shard: Shard) -> str:
        """Return what is wrong with a shard's file, by the rules of `require_unchanged`, or inside it; empty if nothing is.

        A sound one stays open, so that it can be copied from although its cache is removed meanwhile.
        """
        path, entry = self.folder / shard.file, self.manifest.splits[shard.split].shards[shard.index]
        try:
            trusted = not hashes_all(self.manifest) and as_it_was(path, entry, self._completed)
        except OSError as error:
            return f"its cache cannot be read ({error.strerror})"
        found = "" if trusted else file_problem(path, entry)
        if found := found or structure_problem(path, self.manifest, shard, entry):
            return found
        try:
            self._files[shard.split].open(shard.index)
        except CacheError as error:
            return str(error)
        return ""

    def complaint(self, shard: Shard, problem: str) -> str:
        """Return what to tell a user whose shard has a problem, and what to do about it."""
        if not (self.folder / MANIFEST).exists():
            return f"The cache {self.folder} was removed while rows were copied from it."
        return f"{self.folder / shard.file} is damaged ({problem}): `bottleneck cache verify {self.name} --repair` puts it aside."

    def heads(self) -> Iterator[Head]:
        """Yield the heads of the finished shards, in order; those that cannot be read are left out."""
        for shard, entry in self.manifest.finished():
            with suppress(OSError, KeyError, ValueError), (self.folder / shard.file).open("rb") as file:
                yield head_of(self.manifest, shard, entry, partial(_read, file))

    def copy(self, shard: Shard, rows: np.ndarray, into: Mapping[str, np.ndarray], positions: np.ndarray) -> None:
        """Copy rows of a shard, numbered through all splits, to positions of arrays by layer.

        Raises:
            CacheError: if the shard cannot be read, or values of it are not finite.
        """
        within = rows - spans(self.manifest)[shard.split].start - shard.start
        for layer, spec in self.manifest.layers.items():
            name = dataset_name(layer, self.manifest.layers)
            taken = self._files[shard.split].rows(shard.index, name, spec.shape, stored_dtype(spec), within)
            if not np.isfinite(taken).all():
                raise CacheDamaged(
                    f"The shard {self.folder / shard.file} has values that are not finite. `cache verify --repair` puts it "
                    "aside, and `features` then computes its rows."
                )
            into[layer][positions] = taken


def find_donors(folders: Sequence[Path], recipe: str) -> list[Donor]:
    """Return the caches, finished or not, whose features are made by a recipe, the latest one first; none of an empty one."""
    if not recipe:
        return []
    found = []
    for folder in folders:
        try:
            changed, theirs = (folder / MANIFEST).stat().st_mtime_ns, load(folder)
        except (OSError, CacheError):
            continue
        if theirs.recipe == recipe:
            found.append((changed, Donor(folder, theirs)))
    return [donor for _, donor in sorted(found, key=lambda item: item[0], reverse=True)]


def spans(manifest: Manifest) -> dict[str, range]:
    """Return which rows each split has, where the rows of all splits are numbered one after the other."""
    found, start = {}, 0
    for split, record in manifest.splits.items():
        found[split] = range(start, start + record.samples)
        start += record.samples
    return found


def by_shard(manifest: Manifest, rows: np.ndarray) -> Iterator[tuple[Shard, np.ndarray]]:
    """Yield each shard in which some rows are, and the positions in `rows` of those."""
    for split, span in spans(manifest).items():
        inside = np.flatnonzero((rows >= span.start) & (rows < span.stop))
        numbers = (rows[inside] - span.start) // manifest.shard_size
        for index in np.unique(numbers).tolist():
            yield manifest.shard(split, index), inside[numbers == index]


def head_of(manifest: Manifest, shard: Shard, entry: FileEntry, read: Reader) -> Head:
    """Read the head of a shard.

    Raises:
        ValueError, KeyError: if the file is too short, or its entry does not say where the head is.
    """
    n, width = len(shard), manifest.splits[shard.split].id_bytes
    ids = np.frombuffer(read(entry.offsets["ids"], n * width), f"S{width}")
    contents = np.frombuffer(read(entry.offsets["contents"], n * HASH_BYTES), np.uint8).reshape(n, HASH_BYTES)
    machine = read(entry.offsets["machine"], MACHINE_BYTES).rstrip(b"\0").decode("ascii", "replace")
    if len(ids) != n:
        raise ValueError("the file is too short")
    return Head(shard, entry, ids, contents, machine)


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    if offset + size > os.fstat(file.fileno()).st_size:  # before so much memory is asked for
        raise ValueError("the file is too short")
    file.seek(offset)
    return file.read(size)
