"""Opening a finished cache: cheap checks of everything, then arrays that stay on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bottleneck_features.cards import Table, card
from bottleneck_features.features.arrays import FeatureArray
from bottleneck_features.features.entries import HASH_BYTES
from bottleneck_features.features.errors import CacheDamaged, CacheError, CacheIncomplete
from bottleneck_features.features.manifest import EAGERLY_CHECKED, MANIFEST, Manifest, load, plan_sha256
from bottleneck_features.features.publish import local_copy
from bottleneck_features.features.remote import is_url
from bottleneck_features.features.removed import noticing_removal
from bottleneck_features.features.shardfiles import ShardFiles, missing_shard, unreadable_shard, wrong_size
from bottleneck_features.features.shards import dataset_name
from bottleneck_features.features.split import Split, layers_table
from bottleneck_features.features.targets import Targets, read_targets


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
        self._splits = {name: _split(path, manifest, targets, name) for name in manifest.splits}
        if manifest.count() <= EAGERLY_CHECKED:
            for split in self._splits.values():
                _ = split.contents  # reads them, and so looks at every shard

    def __getitem__(self, name: str) -> Split:
        return self._splits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._splits)

    def __len__(self) -> int:
        return len(self._splits)

    def _repr_html_(self) -> str:
        """Return the card that notebooks show."""
        warnings = self.provenance.get("warnings")
        rows = [
            ("backbone", self.provenance.get("backbone", self.identity.get("backbone.name", ""))),
            ("recipe", _recipe(self.identity)),
            ("folder", self.path),
        ]
        return card(
            f"Features {self.path.name}",
            notes=[str(warning) for warning in warnings] if isinstance(warnings, list) else (),
            rows=[(name, value) for name, value in rows if value],
            tables=[
                Table(
                    ("split", "samples", "classes"),
                    [(name, len(split), len(np.unique(split.y))) for name, split in self.items()],
                ),
                layers_table([split.features for split in self.values()]),
            ],
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return open_features, (str(self.path),)

    def __repr__(self) -> str:
        return f"Features({str(self.path)!r}, splits={list(self._splits)}, layers={list(self.layers)})"


F = TypeVar("F", bound=Features)


def open_features(path: str | PathLike[str]) -> Features:
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
        CacheError: if this is no path, the manifest cannot be read, the cache is compressed and hdf5plugin is not installed, or
            what was fetched cannot be written.
        StoreError: if the store does not answer or refuses; `StoreUnavailable` if its kind cannot be opened here.
        DiskFull: if the disk cannot hold what is to be fetched.

    Examples:
        >>> train = open_features("artifacts/features/digits-efficientnet-lite0-0f3a9c1e")["train"]
        >>> model.fit(train.x[:], train.y)
    """
    return open_as(Features, path)


def open_as(kind: type[F], path: str | PathLike[str]) -> F:
    """Open a finished feature cache, as `open_features`, as a class derived from `Features`."""
    if not isinstance(path, str | PathLike) or not str(path):
        raise CacheError(f"path takes the folder of a cache, its manifest, or a URL. Received: {path!r}")
    folder = local_copy(str(path)) if is_url(str(path)) else Path(path)
    if folder.name == MANIFEST:
        folder = folder.parent
    manifest = load(folder)
    if not manifest.complete:
        raise _incomplete(folder, manifest)
    return kind(folder, manifest)


def _recipe(identity: Mapping[str, Any]) -> str:
    """Return in words how images became features, as far as an identity says it."""
    parts = [
        ("input.size", "×"), ("input.fit", ""), ("features.pooling", "+"), ("compute.engine", ""), ("compute.precision", ""),
    ]  # fmt: skip
    known = [(key, identity[key], between) for key, between in parts if key in identity]
    return ", ".join(
        f"{key.partition('.')[2]} {between.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value, between in known
    )


def _split(folder: Path, manifest: Manifest, targets: Targets, name: str) -> Split:
    files, samples = ShardFiles(folder, manifest, name), manifest.splits[name].samples
    return Split(
        name,
        {
            layer: FeatureArray(files, dataset_name(layer, manifest.layers), spec, samples)
            for layer, spec in manifest.layers.items()
        },
        class_names=targets.class_names,
        y=targets.labels[name],
        groups=targets.groups.get(name),
        read=partial(_ids_and_contents, folder, manifest, name),
        origin=(_reopened_split, (str(folder), name)),
    )


def _incomplete(folder: Path, manifest: Manifest) -> CacheIncomplete:
    done, total = manifest.count_finished(), manifest.count()
    return CacheIncomplete(
        f"The cache {folder} is not finished: {done} of {total} shards are there. "
        "Run the extraction again with the same settings; it computes only what is not there.",
        done=done,
        total=total,
    )


def _ids_and_contents(folder: Path, manifest: Manifest, split: str) -> tuple[np.ndarray, np.ndarray]:
    with noticing_removal(folder):
        return _read_ids_and_contents(folder, manifest, split)


def _read_ids_and_contents(folder: Path, manifest: Manifest, split: str) -> tuple[np.ndarray, np.ndarray]:
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
