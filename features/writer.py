"""Writing a cache shard by shard, so that whatever happens every finished shard stays usable."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from bottleneck_features.errors import enumerated
from bottleneck_features.features.donors import DONORS, Donor, find_donors
from bottleneck_features.features.entries import FileEntry
from bottleneck_features.features.errors import CacheDamaged, CacheError, CacheIncomplete, FeatureError
from bottleneck_features.features.journal import Journal
from bottleneck_features.features.lock import shared_lock, writer_lock
from bottleneck_features.features.manifest import MANIFEST, ArraySpec, Manifest, Shard, create, load, update
from bottleneck_features.features.partition import WHOLE, Partition
from bottleneck_features.features.plan import SplitPlan, make_plan, require_same
from bottleneck_features.features.quarantine import (
    DamagedFile,
    missing_or_wrong_size,
    quarantine_files,
    size_problem,
)
from bottleneck_features.features.reuse import Draft, Reused, RowSources
from bottleneck_features.features.shards import OVERHEAD_BYTES, encode_shard, encode_virtual, sample_bytes, stored_dtype
from bottleneck_features.features.storage import make_folder, publish_bytes, publish_link, remove_stale, require_space
from bottleneck_features.features.targets import TARGETS, Targets, read_targets

SHOWN_IDS = 3


class CacheWriter:
    """The writer of one feature cache, or of a part of it, new or begun; a context manager.

    The writer of a whole cache has it for itself. The writers of parts work side by side, on one machine or several;
    each enters what it has finished in a journal of its own, so that none depends on locks.

    Args:
        path: the cache's folder, as from `cache_path`; made if missing.
        identity: mapping of all that changes the numbers, as for `identity_key`.
        splits: `SplitPlan` (ids and content hashes in order) by split name.
        arrays: `ArraySpec` (shape of one sample and dtype) by layer name, in order; the last one becomes `x`.
        targets: labels, groups and class names of the same samples.
        shard_size: samples in a shard, ≥ 1; that of an unfinished cache at `path` wins over it.
        provenance: JSON that is kept in the manifest and is no part of the key; `experiment` and `backbone` in it
            are shown by `list_caches`.
        compression: `"none"` (contiguous, memory-mapped when read) or `"blosc2"`; that of an unfinished cache wins.
        wait_seconds: how long to wait for another writer of this cache, ≥ 0; `math.inf` waits for ever.
        part: the shards to be written, `Partition(3, 16)` for every 16th one from the third on; all of them by default.
            `SHARED` is all of them too, but beside others, who have agreed on who writes which.
        recipe: SHA-256 of all that a sample's features depend on but its image and the machine, 64 hexadecimal digits.
        machine: what computes the features here, at most 16 ASCII characters: two of one name give the same bits.
        donors: folders of caches; where one has the features of a content by the same recipe and machine, they are taken from
            there, and equal contents are computed once. None: everything is computed.

    Attributes:
        requeued: tuple of `DamagedFile`, the damaged or missing shards found on entering, which are pending again.

    Raises (on entering):
        CacheBusy: if another process is writing this cache, and one of the two has not only a part of it; the
            message says who and since when.
        CacheMismatch: if the cache at `path` was made from something else.
        DiskFull: if the disk cannot hold what is still to be written.

    Example:
        with CacheWriter(path, identity, splits, arrays, targets, shard_size=1024, provenance={}) as writer:
            for shard in writer.pending:
                writer.write(shard, extract(shard))
            writer.finish()
    """

    def __init__(
        self,
        path: Path | str,
        identity: Mapping[str, Any],
        splits: Mapping[str, SplitPlan],
        arrays: Mapping[str, ArraySpec],
        targets: Targets,
        *,
        shard_size: int,
        provenance: Mapping[str, Any],
        compression: str = "none",
        wait_seconds: float = 0.0,
        part: Partition = WHOLE,
        recipe: str = "",
        machine: str = "",
        donors: Sequence[Path] | None = None,
    ) -> None:
        self.path = Path(path)
        self.requeued: tuple[DamagedFile, ...] = ()
        self._wait_seconds = wait_seconds
        self._plan = make_plan(
            identity,
            splits,
            arrays,
            targets,
            shard_size=shard_size,
            provenance=provenance,
            compression=compression,
            recipe=recipe,
        )
        self._machine, self._donors = machine, donors
        self._sources: RowSources | None = None
        self._manifest = self._plan.manifest
        self._part = part
        self._written: set[Shard] = set()
        self._held = ExitStack()

    def __enter__(self) -> Self:
        make_folder(self.path)
        with ExitStack() as held:
            lock = writer_lock if self._part == WHOLE else shared_lock
            held.enter_context(lock(self.path, self._wait_seconds))
            self._clean()
            self._write_targets()
            self._manifest = create(self.path, self._plan.manifest)
            require_same(self._plan.manifest, self._manifest, self.path)
            self._requeue()
            self._journal = held.enter_context(Journal(self.path, self._manifest.plan_digest))
            if self._donors is not None:
                self._look_for_rows(self._donors)
            require_space(self.path, self._bytes_to_write(), "Extracting the features that are still to be computed")
            held.callback(self._remove_fetched)
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    @property
    def pending(self) -> list[Shard]:
        """The shards (of the part) still to be written, in order."""
        return [shard for shard in self._manifest.pending(self._part) if shard not in self._written]

    @property
    def begun_with(self) -> Mapping[str, Any]:
        """The provenance of whoever began this cache; one's own if the cache is new."""
        return self._manifest.provenance

    @property
    def total_images(self) -> int:
        """Samples of all splits, or of the part."""
        return self._manifest.images(self._part)

    @property
    def done_images(self) -> int:
        """Samples of these in finished shards."""
        return self._manifest.images_done(self._part) + sum(map(len, self._written))

    @property
    def reused(self) -> Reused:
        """What did not have to be computed so far."""
        return self._sources.reused if self._sources else Reused()

    def lacks(self, shard: Shard) -> bool:
        """Return whether rows of a pending shard are to be computed, or copied from rows of this cache that are."""
        return self._sources is None or self._sources.lacks(shard)

    def draft(self, shard: Shard) -> Draft:
        """Return one of `pending` with the rows that are had already; what it lacks is to be computed."""
        if self._sources:
            return self._sources.draft(shard)
        return Draft(shard, np.arange(len(shard)))

    def write(self, shard: Shard, arrays: Mapping[str, np.ndarray]) -> None:
        """Store one shard and enter it in the journal; both are on disk when this returns.

        Args:
            shard: one of `pending`.
            arrays: floats by layer, (len(shard), *shape); converted to the layer's dtype.

        Raises:
            FeatureError: if a layer is missing, has another shape, or has values that are not finite or that its
                dtype cannot hold; names the layer and the ids.
            DiskFull: if the disk fills up; nothing half-written stays.
        """
        part = slice(shard.start, shard.stop)
        ids, contents = self._plan.ids[shard.split][part], self._plan.contents[shard.split][part]
        stored = _stored_arrays(self._manifest.layers, arrays, ids)
        image, entry = encode_shard(stored, ids, contents, self._machine, self._manifest.compression)
        self._keep(shard, image, entry)
        self._written.add(shard)
        if not (self.path / MANIFEST).exists():
            raise CacheError(f"The cache {self.path} was removed while it was being written. Run the extraction again.")

    def is_finished(self, shard: Shard) -> bool:
        """Return whether a shard is entered by now, by this or any other writer, and its file is there and as long as entered."""
        entry = load(self.path).splits[shard.split].shards.get(shard.index)
        return entry is not None and not size_problem(self.path / shard.file, entry)

    def finish(self) -> int:
        """Complete the cache: one virtual HDF5 file for each split, then the mark in the manifest.

        Returns:
            The number of shards that the other parts have still to write: the cache is complete when it is 0.

        Raises:
            CacheIncomplete: if there are shards still to be written here.
        """
        self._journal.restore()
        present = load(self.path)
        pending = present.pending()
        if pending and not present.pending(self._part):
            return len(pending)
        if not pending and self._part != WHOLE and (damaged := len(tuple(missing_or_wrong_size(self.path, present)))):
            return damaged
        self._manifest = finalise(self.path, self._plan.manifest.provenance if self._written else None)
        self._written.clear()
        return 0

    def _keep(self, shard: Shard, image: bytes, entry: FileEntry) -> None:
        publish_bytes(self.path / shard.file, image)
        self._journal.enter(shard.split, shard.index, entry)

    def _look_for_rows(self, donors: Sequence[Path]) -> None:
        """Find rows that are had already; a shard that another cache has as it would be written becomes a link to it."""
        in_order = not self._part.shared
        self._sources = RowSources(self.path, self._plan, self._manifest, in_order=in_order)
        for donor, head in self._sources.look(self._find_donors(donors), self.pending, self._machine):
            self._adopt(head.shard, donor.folder / head.shard.file, head.entry)
            self._written.add(head.shard)
            self._sources.reused.rows[donor.name] += len(head.shard)

    def _find_donors(self, folders: Sequence[Path]) -> list[Donor]:
        others = find_donors([folder for folder in folders if folder != self.path], self._manifest.recipe)
        return [donor for donor in others if dict(donor.manifest.layers) == dict(self._manifest.layers)]

    def _adopt(self, shard: Shard, source: Path, entry: FileEntry) -> None:
        publish_link(self.path / shard.file, source)
        self._journal.enter(shard.split, shard.index, entry)

    def _remove_fetched(self) -> None:
        shutil.rmtree(self.path / DONORS / str(os.getpid()), ignore_errors=True)
        with suppress(OSError):  # another process has its own there
            (self.path / DONORS).rmdir()

    def _clean(self) -> None:
        for folder in (self.path, *(self.path / split for split in self._plan.manifest.splits)):
            make_folder(folder)
            remove_stale(folder)
        if self._part == WHOLE:
            shutil.rmtree(self.path / DONORS, ignore_errors=True)

    def _write_targets(self) -> None:
        """Write the targets where they are missing or damaged; those of another plan stay, and their manifest is refused."""
        manifest = self._plan.manifest
        if (self.path / MANIFEST).exists() and load(self.path).targets != manifest.targets:
            return
        try:
            read_targets(self.path, manifest)
        except CacheDamaged:
            publish_bytes(self.path / TARGETS, self._plan.targets)

    def _requeue(self) -> None:
        """Make damaged shards pending again: on disk if the cache is one's own, else for this part's writer alone."""
        self.requeued = tuple(missing_or_wrong_size(self.path, self._manifest))
        if self._part == WHOLE:
            self._manifest = quarantine_files(self.path, self._manifest, self.requeued)
            return
        for problem in self.requeued:
            if problem.shard is not None:
                self._manifest = self._manifest.without_shard(problem.shard)

    def _bytes_to_write(self) -> int:
        manifest = self._manifest
        left = manifest.unfinished(self._part)
        for split, own in left.items():
            linked = [shard.index for shard in self._written if shard.split == split]  # which take no space
            left[split] = np.setdiff1d(own, linked)
        return sum(
            manifest.samples(split, own) * sample_bytes(manifest.layers, manifest.splits[split].id_bytes)
            + len(own) * OVERHEAD_BYTES
            for split, own in left.items()
        )


def finalise(folder: Path, provenance: Mapping[str, Any] | None = None) -> Manifest:
    """Complete a cache all of whose shards are there: the virtual files, then the mark in the manifest.

    Args:
        folder: the cache's folder.
        provenance: what the manifest shall say of whoever completed it; None leaves what it says.

    Raises:
        CacheIncomplete: if shards are missing.
    """
    manifest = load(folder)
    pending, total = manifest.pending(), manifest.count()
    if pending:
        raise CacheIncomplete(
            f"{len(pending)} of {total} shards of {folder} are still to be written, the first is "
            f"{pending[0].file}. Write them before finish().",
            done=total - len(pending),
            total=total,
        )
    for split, record in manifest.splits.items():
        if record.virtual is None or not (folder / f"{split}.h5").exists():
            image, entry = encode_virtual(manifest, split)
            publish_bytes(folder / f"{split}.h5", image)
            manifest = manifest.with_virtual(split, entry)
    virtual = {split: record.virtual for split, record in manifest.splits.items()}

    def completed(present: Manifest) -> Manifest:
        for split, entry in virtual.items():
            present = present.with_virtual(split, entry)
        finisher = present.provenance if present.complete or provenance is None else provenance
        return replace(present, complete=True, provenance=finisher)

    return update(folder, completed)


def _stored_arrays(
    layers: Mapping[str, ArraySpec], arrays: Mapping[str, np.ndarray], ids: np.ndarray
) -> dict[str, np.ndarray]:
    if arrays.keys() != layers.keys():
        raise FeatureError(f"A shard needs the layers {list(layers)}. Received: {list(arrays)}")
    return {layer: _stored(layer, spec, np.asarray(arrays[layer]), ids) for layer, spec in layers.items()}


def _stored(layer: str, spec: ArraySpec, array: np.ndarray, ids: np.ndarray) -> np.ndarray:
    if array.shape != (len(ids), *spec.shape) or array.dtype.kind != "f":
        raise FeatureError(
            f"Layer {layer!r}: expected floats of shape {(len(ids), *spec.shape)}. "
            f"Received: {array.dtype} of shape {array.shape}"
        )
    dtype = stored_dtype(spec)
    limit = float(np.finfo(dtype).max)
    low, high = float(array.min()), float(array.max())
    if low >= -limit and high <= limit:
        return np.ascontiguousarray(array, dtype)
    values = array.reshape(len(ids), -1)
    bad = ~(np.abs(values) <= limit)
    rows = np.flatnonzero(bad.any(axis=1))
    names = enumerated((repr(ids[row].decode()) for row in rows), SHOWN_IDS)
    raise FeatureError(
        f"Layer {layer!r}: {int(bad.sum())} values are not finite or beyond ±{limit:g}, the largest that {spec.dtype} "
        f"holds. The first is {values[bad][0]}; ids concerned: {names}. Nothing of this shard was stored. "
        "Values that are finite fit into float32; if they are not, compute in float32 instead of a lower precision."
    )
