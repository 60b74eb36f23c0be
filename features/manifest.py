"""The manifest: what a cache holds, shard by shard, sealed with its own SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from features.entries import Entries, Entry, layouts_of
from features.errors import CacheDamaged, CacheError, CacheMissing, CacheVersion
from features.identity import canonical_json, identity_key
from features.lock import manifest_lock
from features.storage import publish_bytes

FORMAT = "bottleneck-features"
VERSION = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ArraySpec:
    """One layer's features.

    Attributes:
        shape: shape of one sample, every axis ≥ 1; `()` for a single number.
        dtype: `"float16"` or `"float32"`.
    """

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
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
    """A split: how many samples, how wide an id is, the digest of ids and labels, and the finished shards."""

    samples: int
    id_bytes: int
    plan_sha256: str
    shards: Mapping[int, Entry] = field(default_factory=dict)
    virtual: Entry | None = None


@dataclass(frozen=True)
class Manifest:
    """All that is known about a cache without opening a shard."""

    identity: Mapping[str, Any]
    layers: Mapping[str, ArraySpec]
    class_names: tuple[str, ...]
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

    def shards(self, split: str) -> list[Shard]:
        """All shards of a split, finished or not, in order."""
        samples = self.splits[split].samples
        starts = range(0, samples, self.shard_size)
        return [Shard(split, i, start, min(start + self.shard_size, samples)) for i, start in enumerate(starts)]

    def finished(self) -> list[tuple[Shard, Entry]]:
        """The finished shards of all splits, in order."""
        return [
            (shard, record.shards[shard.index])
            for split, record in self.splits.items()
            for shard in self.shards(split)
            if shard.index in record.shards
        ]

    def pending(self) -> list[Shard]:
        """The shards that are not finished, in order."""
        return [
            shard
            for split, record in self.splits.items()
            for shard in self.shards(split)
            if shard.index not in record.shards
        ]

    def with_shards(self, entries: Mapping[Shard, Entry]) -> Manifest:
        """This manifest with finished shards entered."""
        shards = {split: dict(record.shards) for split, record in self.splits.items()}
        for shard, entry in entries.items():
            shards[shard.split][shard.index] = entry
        return replace(self, splits={name: replace(rec, shards=shards[name]) for name, rec in self.splits.items()})

    def without_shard(self, shard: Shard) -> Manifest:
        """This manifest with a shard, and the virtual file of its split, taken out: the shard is pending again."""
        record = self.splits[shard.split]
        kept = {index: entry for index, entry in record.shards.items() if index != shard.index}
        return replace(self._with(shard.split, replace(record, shards=kept, virtual=None)), complete=False)

    def with_virtual(self, split: str, entry: Entry | None) -> Manifest:
        """This manifest with a split's virtual file entered, or taken out."""
        return self._with(split, replace(self.splits[split], virtual=entry))

    def _with(self, split: str, record: SplitRecord) -> Manifest:
        return replace(self, splits={**self.splits, split: record})


def plan_sha256(ids: bytes, labels: bytes) -> str:
    """Digest of a split's ids and labels as they lie in the shards, one after the other.

    Args:
        ids: all ids, each padded with NUL to the split's width.
        labels: all labels as little-endian int64.
    """
    return hashlib.sha256(hashlib.sha256(ids).digest() + hashlib.sha256(labels).digest()).hexdigest()


def load(folder: Path) -> Manifest:
    """Reads the manifest of a cache and checks it against its own hash.

    Raises:
        CacheMissing: if the folder has no manifest.
        CacheVersion: if its format version is not the one that this release reads.
        CacheDamaged: if it is not what was written.
    """
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise CacheMissing(f"There is no feature cache at {folder} (no {MANIFEST}).") from None
    except OSError as error:
        raise CacheError(f"Cannot read {path}: {error.strerror}. Make the file readable.") from error
    try:
        content = json.loads(text)
        _check_version(content, folder)
        if _seal(content) != content["sha256"]:
            raise ValueError("its hash is not the one written in it")
        return _from_json(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CacheDamaged(
            f"The manifest {path} is damaged ({error}). `cache verify --repair` puts it aside, so that the features "
            "are extracted again."
        ) from error


def save(folder: Path, manifest: Manifest) -> None:
    """Replaces the manifest of a cache in one step."""
    content = _to_json(manifest)
    content["sha256"] = _seal(content)
    publish_bytes(folder / MANIFEST, json.dumps(content, indent=1).encode() + b"\n")


def update(folder: Path, change: Callable[[Manifest], Manifest]) -> Manifest:
    """Applies a change to the manifest that is on disk now, so that no concurrent writer's entries are lost.

    Args:
        folder: the cache's folder.
        change: function from the present manifest to the new one.

    Returns:
        The manifest as it now is on disk.
    """
    with manifest_lock(folder):
        present = load(folder)
        changed = change(present)
        if changed != present:
            save(folder, changed)
    return changed


def _check_version(content: Mapping[str, Any], folder: Path) -> None:
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']!r}, not {FORMAT!r}")
    version = content["version"]
    if version == VERSION:
        return
    if version > VERSION:
        raise CacheVersion(
            f"The cache {folder} has format version {version}; this release reads version {VERSION}. "
            "Upgrade bottleneck-features, or extract again into another folder."
        )
    raise CacheVersion(
        f"The cache {folder} has format version {version}, which this release (version {VERSION}) no longer reads. "
        "Remove it with `cache rm` and extract again, or export it with the release that wrote it."
    )


def _seal(content: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()


def _to_json(manifest: Manifest) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "key": manifest.key,
        "identity": dict(manifest.identity),
        "layers": [{"name": n, "shape": list(s.shape), "dtype": s.dtype} for n, s in manifest.layers.items()],
        "class_names": list(manifest.class_names),
        "shard_size": manifest.shard_size,
        "compression": manifest.compression,
        "splits": [_split_to_json(manifest, split) for split in manifest.splits],
        "complete": manifest.complete,
        "created": manifest.created,
        "provenance": dict(manifest.provenance),
    }


def _split_to_json(manifest: Manifest, split: str) -> dict[str, Any]:
    record = manifest.splits[split]
    count = -(-record.samples // manifest.shard_size)
    return {
        "name": split,
        "samples": record.samples,
        "id_bytes": record.id_bytes,
        "plan_sha256": record.plan_sha256,
        "virtual": None if record.virtual is None else record.virtual._asdict(),
        "layouts": layouts_of(record.shards),
        "shards": [record.shards[i].sha256 if i in record.shards else None for i in range(count)],
    }


def _from_json(content: Mapping[str, Any]) -> Manifest:
    return Manifest(
        identity=content["identity"],
        layers={layer["name"]: ArraySpec(tuple(layer["shape"]), layer["dtype"]) for layer in content["layers"]},
        class_names=tuple(content["class_names"]),
        shard_size=content["shard_size"],
        compression=content["compression"],
        splits={split["name"]: _split_from_json(split) for split in content["splits"]},
        provenance=content["provenance"],
        created=content["created"],
        complete=content["complete"],
    )


def _split_from_json(split: Mapping[str, Any]) -> SplitRecord:
    return SplitRecord(
        samples=split["samples"],
        id_bytes=split["id_bytes"],
        plan_sha256=split["plan_sha256"],
        shards=Entries(split["shards"], split["layouts"]),
        virtual=None if split["virtual"] is None else Entry(**split["virtual"]),
    )
