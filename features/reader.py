"""Opening a finished cache: cheap checks of everything, then arrays that stay on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from features.arrays import FeatureArray
from features.errors import CacheDamaged, CacheIncomplete
from features.manifest import MANIFEST, Manifest, load, plan_sha256
from features.shardfiles import ShardFiles, missing_shard, wrong_size
from features.shards import LABEL, dataset_name


class Split:
    """One split of a cache: features, labels and ids of the same samples in the same order.

    Attributes:
        features: mapping of layer names to `FeatureArray` (n, *shape).
        x: the features of the last layer.
        y: labels, int64, (n,), in 0 … number of classes − 1.
    """

    def __init__(self, folder: Path, manifest: Manifest, name: str) -> None:
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
        self.y, self._ids = _labels_and_ids(folder, manifest, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened_split, (str(self.x._files.folder), self.name)

    @cached_property
    def ids(self) -> np.ndarray:
        """Ids as text, (n,)."""
        try:
            return self._ids.astype(f"U{self._ids.dtype.itemsize}")
        except UnicodeDecodeError:
            return np.char.decode(self._ids, "utf-8")

    def __len__(self) -> int:
        return len(self.y)

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
        complete: True; an unfinished cache does not open.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.identity: dict[str, Any] = dict(manifest.identity)
        self.key = manifest.key
        self.layers = tuple(manifest.layers)
        self.class_names = manifest.class_names
        self.provenance: dict[str, Any] = dict(manifest.provenance)
        self.complete = manifest.complete
        self._splits = {name: Split(path, manifest, name) for name in manifest.splits}

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
    """Opens a finished feature cache without reading its features.

    Args:
        path: a cache's folder, or the manifest in it.

    Returns:
        `Features`, a mapping of split names to `Split`. The manifest's own hash, the presence and the size of
        every shard, and all ids and labels have been checked; `verify` checks every byte.

    Raises:
        CacheMissing: if there is no cache at this path.
        CacheIncomplete: if its extraction has not finished.
        CacheDamaged: if a file is missing, truncated or out of line; the message names it.
        CacheVersion: if the cache has another format version.

    Example:
        train = open_features("artifacts/features/digits-efficientnet-lite0-0f3a9c1e")["train"]
        model.fit(train.x[:], train.y)
    """
    folder = Path(path)
    if folder.name == MANIFEST:
        folder = folder.parent
    manifest = load(folder)
    if not manifest.complete:
        raise _incomplete(folder, manifest)
    return Features(folder, manifest)


def _incomplete(folder: Path, manifest: Manifest) -> CacheIncomplete:
    done, pending = len(manifest.finished()), len(manifest.pending())
    return CacheIncomplete(
        f"The cache {folder} is not finished: {done} of {done + pending} shards are there. "
        "Run the extraction again with the same settings; it computes only what is not there.",
        done=done,
        total=done + pending,
    )


def _labels_and_ids(folder: Path, manifest: Manifest, split: str) -> tuple[np.ndarray, np.ndarray]:
    record = manifest.splits[split]
    labels = np.empty(record.samples, LABEL)
    ids = np.empty(record.samples, f"S{record.id_bytes}")
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
                for name, array in (("labels", labels[part]), ("ids", ids[part])):
                    file.seek(entry.offsets[name])
                    file.readinto(array.view(np.uint8).data)
        except FileNotFoundError:
            raise missing_shard(path) from None
    if plan_sha256(ids.tobytes(), labels.tobytes()) != record.plan_sha256:
        raise CacheDamaged(
            f"The ids or labels in {folder / split} are not those the cache was made with. `cache verify --repair` "
            "finds the damaged shard and puts it aside; then run the extraction again."
        )
    labels.flags.writeable = False
    return labels, ids


def _reopened_split(folder: str, name: str) -> Split:
    return open_features(folder)[name]
