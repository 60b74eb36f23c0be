"""Caches in an object store from which rows can be taken: only the shards that are needed are fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bottleneck_features.features.donors import Donor, Head, Reader, head_of
from bottleneck_features.features.entries import FileEntry
from bottleneck_features.features.errors import CacheError, StoreError
from bottleneck_features.features.manifest import Manifest, Shard
from bottleneck_features.features.quarantine import WRONG_HASH
from bottleneck_features.features.storage import make_folder, publish_bytes
from bottleneck_features.features.store import Store, names_in, published


@dataclass(frozen=True, eq=False)
class StoreDonor(Donor):
    """A cache in a store; `folder` is where the shards that are needed are put.

    Attributes:
        store: what holds it.
    """

    store: Store

    def problem(self, shard: Shard) -> str:
        """Fetch a shard, and return what is wrong with it; empty if nothing is."""
        content = self.store.get(shard.file)
        if content is None:
            return "missing"
        if hashlib.sha256(content).hexdigest() != self.manifest.splits[shard.split].shards[shard.index].sha256:
            return WRONG_HASH
        make_folder((self.folder / shard.file).parent)
        publish_bytes(self.folder / shard.file, content)
        return ""

    def complaint(self, shard: Shard, problem: str) -> str:
        """Return what to tell a user whose shard has a problem."""
        return f"{self.store.url}/{shard.file} is damaged ({problem})."

    def heads(self) -> Iterator[Head]:
        """Yield the heads of the finished shards, in order; those that cannot be read are left out."""
        for shard, entry in self.manifest.finished():
            with suppress(StoreError, ValueError, KeyError):
                yield head_of(self.manifest, shard, entry, self._reader(shard, entry))

    def _reader(self, shard: Shard, entry: FileEntry) -> Reader:
        return lambda offset, size: self.store.get_part(shard.file, offset, min(offset + size, entry.bytes))


def find_store_donors(url: str, manifest: Manifest, folder: Path) -> list[Donor]:
    """Return the other caches beside one in a store whose features are made by the same recipe.

    Args:
        url: of the cache that is written.
        manifest: its manifest.
        folder: where shards are put that are needed, a folder for each cache.
    """
    base, _, own = url.rstrip("/").rpartition("/")
    donors: list[Donor] = []
    for name in names_in(base) if manifest.recipe else ():
        if name == own:
            continue
        store = Store(f"{base}/{name}")
        with suppress(CacheError):
            theirs = published(store)
            if theirs and theirs.recipe == manifest.recipe and dict(theirs.layers) == dict(manifest.layers):
                donors.append(StoreDonor(folder / name, theirs, store))
    return donors
