"""The manifest: what a cache holds, shard by shard, sealed with its own SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features.errors import first_line
from bottleneck_features.features.entries import FileEntry, FinishedShards, ShardTable
from bottleneck_features.features.errors import CacheDamaged, CacheError, CacheMissing, CacheVersion
from bottleneck_features.features.identity import canonical_json, identity_key
from bottleneck_features.features.journal import journal_files, read_journals, remove_journals
from bottleneck_features.features.lock import manifest_lock
from bottleneck_features.features.partition import WHOLE, Partition
from bottleneck_features.features.schema import require_manifest
from bottleneck_features.features.storage import publish_bytes, publish_new
from bottleneck_features.foreign import parsed_json

FORMAT = "bottleneck-features"
VERSION = 3
MANIFEST = "manifest.json"
EAGERLY_CHECKED = 10_000  # shards: in larger caches not every file is looked at before any is used


@dataclass(frozen=True)
class ArraySpec:
    """One layer's features.

    Attributes:
        shape: shape of one sample, every axis ≥ 1; `()` for a single number.
        dtype: `"float16"` or `"float32"`.
    """

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Shard:
    """Samples `start:stop` of a split; `index` counts from 0."""

    split: str
    index: int
    start: int
    stop: int

    @property
    def file(self) -> str:
        """Path relative to the cache's folder."""
        return f"{self.split}/{self.index:05d}.h5"

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class SplitRecord:
    """A split: how many samples, how wide an id is, the digest of ids and content hashes, and the finished shards."""

    samples: int
    id_bytes: int
    plan_sha256: str
    shards: ShardTable
    virtual: FileEntry | None = None


@dataclass(frozen=True)
class Manifest:
    """All that is known about a cache without opening a shard.

    Attributes:
        targets: the digest of labels, groups and class names.
        recipe: SHA-256 of all that a sample's features depend on but its image and the machine; empty: not known.
    """

    identity: Mapping[str, Any]
    layers: Mapping[str, ArraySpec]
    targets: str
    recipe: str
    shard_size: int
    compression: str
    splits: Mapping[str, SplitRecord]
    provenance: Mapping[str, Any]
    created: str
    complete: bool = False

    @property
    def key(self) -> str:
        """Key of the identity."""
        return identity_key(self.identity)

    @property
    def plan_digest(self) -> str:
        """SHA-256 of all that decides which shards there are and what is in them."""
        content = {
            "key": self.key,
            "layers": [[layer, list(spec.shape), spec.dtype] for layer, spec in self.layers.items()],
            "shard_size": self.shard_size,
            "compression": self.compression,
            "splits": [[name, rec.samples, rec.id_bytes, rec.plan_sha256] for name, rec in self.splits.items()],
        }
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()

    def shard(self, split: str, index: int) -> Shard:
        """Return one shard of a split, finished or not."""
        start = index * self.shard_size
        return Shard(split, index, start, min(start + self.shard_size, self.splits[split].samples))

    def shards(self, split: str) -> list[Shard]:
        """Return all shards of a split, finished or not, in order."""
        return [self.shard(split, index) for index in range(shard_count(self.splits[split].samples, self.shard_size))]

    def count(self) -> int:
        """Count the shards of all splits, finished or not."""
        return sum(len(record.shards.done) for record in self.splits.values())

    def count_finished(self) -> int:
        """Count the finished shards of all splits."""
        return sum(len(record.shards) for record in self.splits.values())

    def bytes_finished(self) -> int:
        """Return how many bytes the finished shards of all splits have."""
        return sum(int(record.shards.sizes[record.shards.done].sum()) for record in self.splits.values())

    def finished(self) -> Iterator[tuple[Shard, FileEntry]]:
        """Yield the finished shards of all splits, in order."""
        for split, record in self.splits.items():
            for index, entry in record.shards.items():
                yield self.shard(split, index), entry

    def pending(self, part: Partition = WHOLE) -> list[Shard]:
        """Return the shards of a part that are not finished, in order."""
        return [self.shard(split, index) for split, own in self.unfinished(part).items() for index in own.tolist()]

    def unfinished(self, part: Partition = WHOLE) -> dict[str, np.ndarray]:
        """Return the numbers of the shards of a part that are not finished, int64, in order, by split."""
        return {split: own[~self.splits[split].shards.done[own]] for split, own in self._positions(part).items()}

    def images(self, part: Partition = WHOLE) -> int:
        """Count the samples of a part."""
        return sum(self.samples(split, own) for split, own in self._positions(part).items())

    def images_done(self, part: Partition = WHOLE) -> int:
        """Count the samples in the finished shards of a part."""
        return self.images(part) - sum(self.samples(split, own) for split, own in self.unfinished(part).items())

    def samples(self, split: str, indices: np.ndarray) -> int:
        """Count the samples that these shards of a split hold together."""
        starts = indices * self.shard_size
        return int((np.minimum(starts + self.shard_size, self.splits[split].samples) - starts).sum())

    def _positions(self, part: Partition) -> dict[str, np.ndarray]:
        """Return which shards of each split are a part's: every `part.of`-th, counted through all splits."""
        own, before = {}, 0
        for split, record in self.splits.items():
            own[split] = np.arange((part.number - 1 - before) % part.of, len(record.shards.done), part.of)
            before += len(record.shards.done)
        return own

    def with_finished(self, finished: Sequence[tuple[str, FinishedShards]]) -> Manifest:
        """Return this manifest with finished shards entered, by split."""
        splits = dict(self.splits)
        for split in {split for split, _ in finished} & splits.keys():
            entered = splits[split].shards.with_finished(shards for name, shards in finished if name == split)
            splits[split] = replace(splits[split], shards=entered)
        return replace(self, splits=splits)

    def without_shard(self, shard: Shard) -> Manifest:
        """Return this manifest with a shard, and the virtual file of its split, taken out: the shard is pending again."""
        record = self.splits[shard.split]
        kept = record.shards.without(shard.index)
        return replace(self._with(shard.split, replace(record, shards=kept, virtual=None)), complete=False)

    def with_virtual(self, split: str, entry: FileEntry | None) -> Manifest:
        """Return this manifest with a split's virtual file entered, or taken out."""
        return self._with(split, replace(self.splits[split], virtual=entry))

    def _with(self, split: str, record: SplitRecord) -> Manifest:
        return replace(self, splits={**self.splits, split: record})


def shard_count(samples: int, shard_size: int) -> int:
    """Return how many shards hold so many samples."""
    return -(-samples // shard_size)


def plan_sha256(ids: bytes, contents: bytes) -> str:
    """Return the digest of a split's ids and content hashes as they lie in the shards, one after the other.

    Args:
        ids: all ids, each padded with NUL to the split's width.
        contents: all content hashes, 32 bytes each.
    """
    return hashlib.sha256(hashlib.sha256(ids).digest() + hashlib.sha256(contents).digest()).hexdigest()


def load(folder: Path) -> Manifest:
    """Read the manifest of a cache, check it against its own hash, and enter what is in the journals.

    Raises:
        CacheMissing: if the folder has no manifest.
        CacheVersion: if its format version is not one that this release reads.
        CacheDamaged: if it is not what was written.
    """
    journals = read_journals(folder)  # before the manifest: what leaves a journal is in the manifest by then
    manifest = _read(folder)
    if not journals:
        return manifest
    plan_digest, splits = manifest.plan_digest, manifest.splits
    ours = [records for records in journals if records.plan_digest == plan_digest and records.split in splits]
    return manifest.with_finished([(rec.split, rec.finished(len(splits[rec.split].shards.done))) for rec in ours])


def _read(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise CacheMissing(f"There is no feature cache at {folder} (no {MANIFEST}).") from None
    except OSError as error:
        raise CacheError(f"Cannot read {path}: {error.strerror}. Make the file readable.") from error
    return parsed(text, path)


def parsed(text: bytes, path: Path | str) -> Manifest:
    """Read a manifest from the content of its file, and check it against its own hash.

    Args:
        text: what is in the file.
        path: of the file, for messages.

    Raises:
        CacheVersion, CacheDamaged: see `load`.
    """
    try:
        content = parsed_json(text)
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
        _check_version(content, path)
        if seal(content) != content["sha256"]:
            raise ValueError("its hash is not the one written in it")
        require_manifest(content)
        return _from_json(content)
    except CacheVersion:
        raise
    except (CacheError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise CacheDamaged(f"The manifest {path} is damaged ({first_line(error, 200)}). {_remedy(path)}") from error


def _remedy(path: Path | str) -> str:
    if isinstance(path, Path):
        return "`cache verify --repair` puts it aside, so that the features are extracted again."
    return "Remove that cache from the store; `bottleneck features` publishes it again."


def save(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest of a cache in one step."""
    publish_bytes(folder / MANIFEST, encoded(manifest))


def create(folder: Path, manifest: Manifest) -> Manifest:
    """Write the manifest of a new cache, or read the one that is there: of many who try, one succeeds.

    Returns:
        The manifest that is on disk now.
    """
    if not (folder / MANIFEST).exists():
        publish_new(folder / MANIFEST, encoded(manifest))
    return load(folder)


def update(folder: Path, change: Callable[[Manifest], Manifest]) -> Manifest:
    """Apply a change to the manifest that is on disk now and to what the journals add, which it then takes over.

    Args:
        folder: the cache's folder.
        change: function from the present manifest to the new one.

    Returns:
        The manifest as it now is on disk.
    """
    with manifest_lock(folder):
        journals = journal_files(folder)
        present = load(folder)
        changed = change(present)
        if changed != present or journals:
            save(folder, changed)
            remove_journals(folder, journals)
    return changed


def _check_version(content: Mapping[str, Any], path: Path | str) -> None:
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']!r}, not {FORMAT!r}")
    version = content["version"]
    if not isinstance(version, int):
        raise ValueError(f"its version is {version!r}, not a number")
    if version > VERSION:
        raise CacheVersion(
            f"{path} has format version {version}; this release reads version {VERSION}. "
            "Upgrade bottleneck-features, or extract again into another folder."
        )
    if version < VERSION:
        raise CacheVersion(
            f"{path} has format version {version}, which this release (version {VERSION}) does not read. "
            "Remove the cache with `cache rm` and extract again."
        )


def encoded(manifest: Manifest) -> bytes:
    """Return the content of the file of a manifest, sealed."""
    content = _to_json(manifest)
    content["sha256"] = seal(content)
    return json.dumps(content, indent=1).encode() + b"\n"


def seal(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest's content, its entry `sha256` left out."""
    rest = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()


def _to_json(manifest: Manifest) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "key": manifest.key,
        "identity": dict(manifest.identity),
        "layers": [{"name": n, "shape": list(s.shape), "dtype": s.dtype} for n, s in manifest.layers.items()],
        "targets": manifest.targets,
        "recipe": manifest.recipe,
        "shard_size": manifest.shard_size,
        "compression": manifest.compression,
        "splits": [_split_to_json(manifest, split) for split in manifest.splits],
        "complete": manifest.complete,
        "created": manifest.created,
        "provenance": dict(manifest.provenance),
    }


def _split_to_json(manifest: Manifest, split: str) -> dict[str, Any]:
    record = manifest.splits[split]
    return {
        "name": split,
        "samples": record.samples,
        "id_bytes": record.id_bytes,
        "plan_sha256": record.plan_sha256,
        "virtual": None if record.virtual is None else record.virtual._asdict(),
        **record.shards.as_json(),
    }


def _from_json(content: Mapping[str, Any]) -> Manifest:
    if content["key"] != identity_key(content["identity"]):
        raise ValueError("its key is not that of its identity")
    return Manifest(
        identity=content["identity"],
        layers={layer["name"]: ArraySpec(tuple(layer["shape"]), layer["dtype"]) for layer in content["layers"]},
        targets=content["targets"],
        recipe=content["recipe"],
        shard_size=content["shard_size"],
        compression=content["compression"],
        splits={split["name"]: _split_from_json(split, content["shard_size"]) for split in content["splits"]},
        provenance=content["provenance"],
        created=content["created"],
        complete=content["complete"],
    )


def _split_from_json(split: Mapping[str, Any], shard_size: int) -> SplitRecord:
    shards = ShardTable.from_json(split)
    if len(shards.done) != shard_count(split["samples"], shard_size):
        raise ValueError("it does not have an item for each shard")
    if shards.done.all() and int(shards.sizes.sum()) < split["samples"] * split["id_bytes"]:
        raise ValueError("its shards are too small for its samples")
    return SplitRecord(
        samples=split["samples"],
        id_bytes=split["id_bytes"],
        plan_sha256=split["plan_sha256"],
        shards=shards,
        virtual=None if split["virtual"] is None else FileEntry(**split["virtual"]),
    )
