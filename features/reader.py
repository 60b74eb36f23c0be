"""Opening a finished cache: cheap checks of everything, then arrays that stay on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bottleneck_features.features.arrays import FeatureArray
from bottleneck_features.features.entries import HASH_BYTES
from bottleneck_features.features.errors import CacheDamaged, CacheIncomplete
from bottleneck_features.features.manifest import EAGERLY_CHECKED, MANIFEST, Manifest, load, plan_sha256
from bottleneck_features.features.publish import local_copy
from bottleneck_features.features.remote import is_url
from bottleneck_features.features.removed import noticing_removal
from bottleneck_features.features.shardfiles import ShardFiles, missing_shard, unreadable_shard, wrong_size
from bottleneck_features.features.shards import dataset_name
from bottleneck_features.features.targets import Targets, read_targets


class Split:
    """One split of a cache: features, labels and ids of the same samples in the same order.

    Attributes:
        features: mapping of layer names to `FeatureArray` (n, *shape).
        x: the features of the last layer.
        y: labels, int64, (n,), in 0 … number of classes − 1.
        groups: text, (n,): samples of one group (a patient, a burst) must not be parted; None where there are no groups.
    """

    def __init__(self, folder: Path, manifest: Manifest, targets: Targets, name: str) -> None:
        self.y, self.groups = targets.labels[name], targets.groups.get(name)
        self._samples = manifest.splits[name].samples
        self._read = partial(_ids_and_contents, folder, manifest, name)
        files = ShardFiles(folder, manifest, name)
        record = manifest.splits[name]
        self.name = name
        self.features: Mapping[str, FeatureArray] = MappingProxyType(
            {
                layer: FeatureArray(files, dataset_name(layer, manifest.layers), spec, record.samples)
                for layer, spec in manifest.layers.items()
            }
        )
        self.x = self.features[list(manifest.layers)[-1]]
        if manifest.count() <= EAGERLY_CHECKED:
            _ = self._ids_and_contents  # reads them, and so looks at every shard

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened_split, (str(self.x._files.folder), self.name)

    @property
    def contents(self) -> np.ndarray:
        """SHA-256 of each sample's image, uint8, (n, 32); zeros where it is not known."""
        return self._ids_and_contents[1]

    @cached_property
    def _ids_and_contents(self) -> tuple[np.ndarray, np.ndarray]:
        with noticing_removal(self.x._files.folder):
            return self._read()

    @cached_property
    def ids(self) -> np.ndarray:
        """Ids as text, (n,)."""
        encoded = self._ids_and_contents[0]
        try:
            return encoded.astype(f"U{encoded.dtype.itemsize}")
        except UnicodeDecodeError:
            return np.char.decode(encoded, "utf-8")

    def __len__(self) -> int:
        return self._samples

    def __repr__(self) -> str:
        layers = ", ".join(f"{layer} {array.shape} {array.dtype.name}" for layer, array in self.features.items())
        return f"Split({self.name}: {layers})"


class Features(Mapping[str, Split]):
    """A finished cache: a mapping of split names to `Split`.

    Attributes:
        path: the cache's folder.
        identity: what the features were made from.
        layers: names of the layers, in the order of extraction.
        class_names: name of each label.
        provenance: what is worth knowing and changes no number (versions, warnings, names).
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.identity: dict[str, Any] = dict(manifest.identity)
        self.key = manifest.key
        self.layers = tuple(manifest.layers)
        self.provenance: dict[str, Any] = dict(manifest.provenance)
        with noticing_removal(path):
            targets = read_targets(path, manifest)
        self.class_names = targets.class_names
        self._splits = {name: Split(path, manifest, targets, name) for name in manifest.splits}

    def __getitem__(self, name: str) -> Split:
        return self._splits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)

    def __reduce__(self) -> tuple[Any, ...]:
        return open_features, (str(self.path),)

    def __repr__(self) -> str:
        return f"Features({str(self.path)!r}, splits={list(self._splits)}, layers={list(self.layers)})"


def open_features(path: Path | str) -> Features:
    """Open a finished feature cache without reading its features.

    Args:
        path: a cache's folder, or the manifest in it; or the URL of a cache in an object store (`s3://…`), which is
            fetched into `features` of the artifacts folder first ($BOTTLENECK_HOME, default `artifacts`).

    Returns:
        `Features`, a mapping of split names to `Split`. The manifest's own hash, the presence and the size of
        every shard, all labels, ids and content hashes have been checked, but not the features themselves:
        `require_unchanged` hashes the shards as the commands do, `verify` checks every byte. In a cache of more than 10,000
        shards each shard is checked when it is first read, and ids and content hashes when they are first used.

    Raises:
        CacheMissing: if there is no cache at this path, or no complete one at this URL.
        CacheIncomplete: if its extraction has not finished.
        CacheDamaged: if a file is missing, truncated or out of line, here or in the store; the message names it.
        CacheRemoved: if it is removed meanwhile.
        CacheVersion: if the cache has another format version.
        CacheError: if the manifest cannot be read, the cache is compressed and hdf5plugin is not installed, or what was
            fetched cannot be written.
        StoreError: if the store does not answer or refuses; `StoreUnavailable` if its kind cannot be opened here.
        DiskFull: if the disk cannot hold what is to be fetched.

    Example:
        train = open_features("artifacts/features/digits-efficientnet-lite0-0f3a9c1e")["train"]
        model.fit(train.x[:], train.y)
    """
    folder = local_copy(str(path)) if is_url(path) else Path(path)
    if folder.name == MANIFEST:
        folder = folder.parent
    manifest = load(folder)
    if not manifest.complete:
        raise _incomplete(folder, manifest)
    return Features(folder, manifest)


def _incomplete(folder: Path, manifest: Manifest) -> CacheIncomplete:
    done, total = manifest.count_finished(), manifest.count()
    return CacheIncomplete(
        f"The cache {folder} is not finished: {done} of {total} shards are there. "
        "Run the extraction again with the same settings; it computes only what is not there.",
        done=done,
        total=total,
    )


def _ids_and_contents(folder: Path, manifest: Manifest, split: str) -> tuple[np.ndarray, np.ndarray]:
    record = manifest.splits[split]
    try:
        ids = np.empty(record.samples, f"S{record.id_bytes}")
        contents = np.empty((record.samples, HASH_BYTES), np.uint8)
    except (MemoryError, ValueError) as error:
        raise CacheDamaged(
            f"The ids of the {record.samples:,} samples that the manifest of {folder} says the split {split!r} has do not fit "
            "into memory."
        ) from error
    for shard in manifest.shards(split):
        entry = record.shards.get(shard.index)
        if entry is None:
            raise missing_shard(folder / shard.file)
        part = slice(shard.start, shard.stop)
        path = folder / shard.file
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                if size != entry.bytes:
                    raise wrong_size(path, size, entry.bytes)
                for name, array in (("ids", ids[part]), ("contents", contents[part])):
                    file.seek(entry.offsets[name])
                    file.readinto(array.view(np.uint8).data)
        except FileNotFoundError:
            raise missing_shard(path) from None
        except (OSError, KeyError) as error:
            raise unreadable_shard(path, error) from error
    if plan_sha256(ids.tobytes(), contents.tobytes()) != record.plan_sha256:
        raise CacheDamaged(
            f"The ids or content hashes in {folder / split} are not those the cache was made with. `cache verify --repair` "
            "finds the damaged shard and puts it aside; then run the extraction again."
        )
    return ids, contents


def _reopened_split(folder: str, name: str) -> Split:
    return open_features(folder)[name]
