"""Publishing a cache in an object store as it is extracted, and fetching it from there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from bottleneck_features.features.donors import DONORS, Donor
from bottleneck_features.features.entries import FileEntry, ShardTable
from bottleneck_features.features.errors import CacheDamaged, CacheIncomplete, CacheMismatch, CacheMissing
from bottleneck_features.features.journal import journal_files, remove_journals
from bottleneck_features.features.manifest import MANIFEST, Manifest, Shard, encoded, load
from bottleneck_features.features.partition import WHOLE
from bottleneck_features.features.plan import require_same
from bottleneck_features.features.quarantine import WRONG_HASH, DamagedFile, file_problem
from bottleneck_features.features.storage import make_folder, publish_bytes, publish_new, require_space
from bottleneck_features.features.store import Store, begin, complete, published, put_shard, reopen
from bottleneck_features.features.store_donors import find_store_donors
from bottleneck_features.features.targets import TARGETS, decoded, read_targets
from bottleneck_features.features.writer import CacheWriter

_AT_A_TIME = 8  # objects


class PublishingWriter(CacheWriter):
    """A `CacheWriter` whose shards also go into an object store, each as soon as it is finished.

    A run goes on where the store says that the last one stopped, on this machine or another; what is in the cache's
    folder and not in the store yet is published on entering. The folder needs space for what is computed here.

    Args:
        url: of the cache in the store.
        writer, settings: as for `CacheWriter`.

    Raises (on entering): as `CacheWriter`, and
        StoreError: if the store does not answer or refuses.
    """

    def __init__(self, url: str, *writer: Any, **settings: Any) -> None:
        super().__init__(*writer, **settings)
        self._store = Store(url)
        self._published = self._plan.manifest

    def __enter__(self) -> Self:
        self._published = self._begun()
        make_folder(self.path)
        if not (self.path / MANIFEST).exists():
            publish_new(self.path / MANIFEST, encoded(_without_shards(self._published)))
        super().__enter__()
        try:
            self._catch_up()
        except BaseException:
            self._held.close()
            raise
        return self

    @property
    def pending(self) -> list[Shard]:
        """The shards (of the part) that the store lacks, in order."""
        return [shard for shard in self._published.pending(self._part) if shard not in self._written]

    @property
    def begun_with(self) -> Mapping[str, Any]:
        """The provenance of whoever began this cache."""
        return self._published.provenance

    @property
    def done_images(self) -> int:
        """Samples (of the part) in published shards."""
        return self.total_images - sum(map(len, self.pending))

    def finish(self) -> int:
        """Complete the cache in the store when nothing is missing there, and in its folder (but not for a part).

        Returns:
            The number of shards that the other parts have still to publish.

        Raises:
            CacheIncomplete: if there are shards still to be written here.
        """
        present = published(self._store) or self._published
        own, total = present.pending(self._part), present.count()
        if own:
            raise CacheIncomplete(
                f"{len(own)} shards of {self._store.url} are still to be written, the first is {own[0].file}.",
                done=total - len(own),
                total=total,
            )
        if pending := present.pending():
            return len(pending)
        if not present.complete:
            complete(self._store, present, self._plan.manifest.provenance if self._written else None)
        if self._part == WHOLE:
            fetch(self._store.url, self.path)
        self._written.clear()
        return 0

    def _begun(self) -> Manifest:
        found = begin(self._store, self._plan.manifest)
        require_same(self._plan.manifest, found, self._store.url)
        if found.complete and (damaged := _fetched(self._store, found, self.path)):
            found = reopen(self._store, found, damaged)
        if not found.complete:
            self._store.put_new(TARGETS, self._plan.targets)
        return found

    def _catch_up(self) -> None:
        if self._manifest.plan_digest != self._published.plan_digest:
            raise CacheMismatch(
                f"{self.path} is cut into other shards than {self._store.url}. Remove it with `cache rm`, and what the "
                "store has is used."
            )
        for shard, entry in _not_in(self._published, self._manifest):
            _put_if_right(self._store, self.path, shard, entry)
        self._published = published(self._store) or self._published

    def _find_donors(self, folders: Sequence[Path]) -> list[Donor]:
        there = find_store_donors(self._store.url, self._manifest, self.path / DONORS / str(os.getpid()))
        here = super()._find_donors(folders)
        names = {donor.name for donor in here if donor.manifest.complete}
        return [*here, *(donor for donor in there if donor.name not in names)]

    def _adopt(self, shard: Shard, source: Path, entry: FileEntry) -> None:
        super()._adopt(shard, source, entry)
        there, theirs = put_shard(self._store, shard, (self.path / shard.file).read_bytes(), entry)
        if theirs != entry:
            super()._keep(shard, there, theirs)

    def _keep(self, shard: Shard, image: bytes, entry: FileEntry) -> None:
        super()._keep(shard, image, entry)
        there, theirs = put_shard(self._store, shard, image, entry)
        if theirs != entry:
            super()._keep(shard, there, theirs)


def fetch(url: str, folder: Path) -> Path:
    """Fetch a complete cache from an object store; what is there already with the right SHA-256 is not fetched again.

    Args:
        url: of the cache in the store.
        folder: where it goes.

    Returns:
        `folder`.

    Raises:
        CacheMissing: the store has no such cache, or an incomplete one.
        CacheDamaged: an object is missing or not what the manifest says.
        CacheVersion: the cache has another format version.
        StoreError: the store does not answer or refuses; `StoreUnavailable` if its kind cannot be opened here.
        DiskFull: the disk cannot hold it.
        CacheError: the folder cannot be written.
    """
    store = Store(url)
    manifest = published(store)
    if manifest is None or not manifest.complete:
        state = "no" if manifest is None else "only an unfinished"
        raise CacheMissing(f"There is {state} feature cache at {url}. Extract the features first.")
    damaged = _fetched(store, manifest, folder)
    if damaged:
        raise CacheDamaged(
            f"{len(damaged)} objects of {url} are damaged, the first is {damaged[0]}. Run `bottleneck features` with the "
            "settings that made this cache: it computes them again."
        )
    return folder


def share(url: str, folder: Path) -> bool:
    """Bring a complete cache to where it is missing: from the store into its folder, or from there into the store.

    Does nothing when neither has it, or both, or when an object of the store or a file of the folder is damaged or lost
    (`PublishingWriter` mends it).

    Args:
        url: of the cache in the store.
        folder: of the cache here, which may be missing.

    Returns:
        Whether both have it now.

    Raises:
        CacheMismatch: if what the store has is cut into other shards.
        CacheDamaged, CacheVersion: if the manifest of either is not what was written, or has another format version.
        StoreError: if the store does not answer or refuses; `StoreUnavailable` if its kind cannot be opened here.
        DiskFull: if the disk cannot hold what is to be fetched.
        CacheError: if the folder cannot be read or written.
    """
    store = Store(url)
    there = published(store)
    here = load(folder) if (folder / MANIFEST).exists() else None
    if there is not None and there.complete:
        return (here is not None and here.complete) or not _fetched(store, there, folder)
    if here is None or not here.complete:
        return False
    if any(file_problem(folder / shard.file, entry) for shard, entry in here.finished()):
        return False
    try:
        targets = read_targets(folder, here)
    except CacheDamaged:
        return False
    begun = begin(store, _without_shards(here))
    store.put_new(TARGETS, targets.encoded())
    if begun.plan_digest != here.plan_digest:
        raise CacheMismatch(f"{folder} is cut into other shards than {url}. Remove it with `cache rm`.")
    if not all(_put_if_right(store, folder, shard, entry) for shard, entry in _not_in(begun, here)):
        return False
    complete(store, published(store) or here, here.provenance)
    return True


def local_copy(url: str) -> Path:
    """Fetch a cache into `features` of the artifacts folder (`$BOTTLENECK_HOME`, default `artifacts`)."""
    home = Path(os.environ.get("BOTTLENECK_HOME", "artifacts"))
    return fetch(url, home / "features" / url.rstrip("/").rpartition("/")[2])


def _fetched(store: Store, manifest: Manifest, folder: Path) -> list[DamagedFile]:
    """Fetch what is missing, the manifest last, if all the rest is right; else return what is damaged in the store."""
    if problem := _fetch_targets(store, manifest, folder):
        return [problem]
    wanted = list(_files(manifest))
    missing = [(problem, entry) for problem, entry in wanted if file_problem(folder / problem.file, entry)]
    require_space(folder, sum(entry.bytes for _, entry in missing), f"Fetching {store.url}")
    for split in manifest.splits:
        make_folder(folder / split)
    with ThreadPoolExecutor(_AT_A_TIME, "fetch") as pool:
        found = list(pool.map(lambda item: _fetch_one(store, folder, *item), missing))
    damaged = [problem for problem in found if problem]
    if not damaged:
        journals = journal_files(folder)
        publish_bytes(folder / MANIFEST, encoded(manifest))
        remove_journals(folder, journals)
    return damaged


def _fetch_targets(store: Store, manifest: Manifest, folder: Path) -> DamagedFile | None:
    with suppress(CacheDamaged):
        read_targets(folder, manifest)
        return None
    content = store.get(TARGETS)
    if content is None:
        return DamagedFile(TARGETS, "missing")
    try:
        decoded(content, manifest)
    except ValueError as error:
        return DamagedFile(TARGETS, str(error))
    make_folder(folder)
    publish_bytes(folder / TARGETS, content)
    return None


def _files(manifest: Manifest) -> Iterator[tuple[DamagedFile, FileEntry]]:
    for shard, entry in manifest.finished():
        yield DamagedFile(shard.file, "", shard), entry
    for split, record in manifest.splits.items():
        if record.virtual is not None:
            yield DamagedFile(f"{split}.h5", ""), record.virtual


def _fetch_one(store: Store, folder: Path, wanted: DamagedFile, entry: FileEntry) -> DamagedFile | None:
    content = store.get(wanted.file)
    if content is None:
        return DamagedFile(wanted.file, "missing", wanted.shard)
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        return DamagedFile(wanted.file, WRONG_HASH, wanted.shard)
    publish_bytes(folder / wanted.file, content)
    return None


def _not_in(there: Manifest, here: Manifest) -> list[tuple[Shard, FileEntry]]:
    return [(shard, entry) for shard, entry in here.finished() if shard.index not in there.splits[shard.split].shards]


def _put_if_right(store: Store, folder: Path, shard: Shard, entry: FileEntry) -> bool:
    """Publish a shard of a folder if its file is there and what its entry says; return whether it is."""
    try:
        content = (folder / shard.file).read_bytes()
    except OSError:
        return False
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        return False
    put_shard(store, shard, content, entry)
    return True


def _without_shards(manifest: Manifest) -> Manifest:
    splits = {
        split: replace(record, shards=ShardTable.none(len(record.shards.done)), virtual=None)
        for split, record in manifest.splits.items()
    }
    return replace(manifest, splits=splits, complete=False)
