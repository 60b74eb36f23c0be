"""Writing a cache shard by shard, so that whatever happens every finished shard stays usable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from features.entries import Entry
from features.errors import CacheError, CacheIncomplete, CacheMissing, FeatureError
from features.lock import manifest_lock, writer_lock
from features.manifest import MANIFEST, ArraySpec, Manifest, Shard, load, save, update
from features.plan import SplitPlan, make_plan, require_same
from features.quarantine import Problem, set_aside, shallow_problems
from features.shards import OVERHEAD_BYTES, encode_shard, encode_virtual, sample_bytes, stored_dtype
from features.storage import make_folder, publish_bytes, remove_stale, require_space

SHOWN_IDS = 3


class CacheWriter:
    """Writes, or goes on writing, one feature cache; a context manager that holds the cache's lock.

    Args:
        path: the cache's folder, as from `cache_path`; made if missing.
        identity: mapping of all that changes the numbers, as for `identity_key`.
        splits: `SplitPlan` (ids and labels in order) by split name.
        arrays: `ArraySpec` (shape of one sample and dtype) by layer name, in order; the last one becomes `x`.
        class_names: name of each label, 0 … classes − 1.
        shard_size: samples in a shard, ≥ 1; that of an unfinished cache at `path` wins over it.
        provenance: JSON that is kept in the manifest and is no part of the key; `experiment` and `backbone` in it
            are shown by `list_caches`.
        compression: `"none"` (contiguous, memory-mapped when read) or `"blosc2"`; that of an unfinished cache wins.
        wait_seconds: how long to wait for another writer of this cache, ≥ 0; `math.inf` waits for ever.

    Attributes:
        requeued: tuple of `Problem`, the damaged or missing shards found on entering, which are pending again.

    Raises (on entering):
        CacheBusy: if another process is writing this cache; the message says who and since when.
        CacheMismatch: if the cache at `path` was made from something else.
        DiskFull: if the disk cannot hold what is still to be written.

    Example:
        with CacheWriter(path, identity, splits, arrays, class_names, 1024, {}) as writer:
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
        class_names: Sequence[str],
        shard_size: int,
        provenance: Mapping[str, Any],
        compression: str = "none",
        wait_seconds: float = 0.0,
    ) -> None:
        self.path = Path(path)
        self.requeued: tuple[Problem, ...] = ()
        self._wait_seconds = wait_seconds
        self._plan = make_plan(identity, splits, arrays, class_names, shard_size, provenance, compression)
        self._manifest = self._plan.manifest
        self._written: dict[Shard, Entry] = {}
        self._held = ExitStack()

    def __enter__(self) -> Self:
        make_folder(self.path)
        with ExitStack() as held:
            held.enter_context(writer_lock(self.path, self._wait_seconds))
            self._clean()
            self._manifest = self._begin()
            self.requeued = tuple(shallow_problems(self.path, self._manifest))
            self._manifest = set_aside(self.path, self._manifest, self.requeued)
            require_space(self.path, self._bytes_to_write(), "Extracting the features that are still to be computed")
            self._held = held.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    @property
    def pending(self) -> list[Shard]:
        """The shards still to be written, in order."""
        return self._manifest.pending()

    @property
    def begun_with(self) -> Mapping[str, Any]:
        """The provenance of whoever wrote to this cache last; one's own if the cache is new."""
        return self._manifest.provenance

    @property
    def shard_size(self) -> int:
        """Samples in a shard: what was asked for, or what the unfinished cache has."""
        return self._manifest.shard_size

    @property
    def total_images(self) -> int:
        """Samples of all splits."""
        return sum(record.samples for record in self._manifest.splits.values())

    @property
    def done_images(self) -> int:
        """Samples in finished shards."""
        return sum(len(shard) for shard, _ in self._manifest.finished())

    def write(self, shard: Shard, arrays: Mapping[str, np.ndarray]) -> None:
        """Stores one shard and enters it in the manifest; both are on disk when this returns.

        Args:
            shard: one of `pending`.
            arrays: floats by layer, (len(shard), *shape); converted to the layer's dtype.

        Raises:
            FeatureError: if a layer is missing, has another shape, or has values that are not finite or that its
                dtype cannot hold; names the layer and the ids.
            DiskFull: if the disk fills up; nothing half-written stays.
        """
        part = slice(shard.start, shard.stop)
        ids = self._plan.ids[shard.split][part]
        stored = _stored_arrays(self._manifest.layers, arrays, ids)
        image, entry = encode_shard(stored, self._plan.labels[shard.split][part], ids, self._manifest.compression)
        publish_bytes(self.path / shard.file, image)
        self._written[shard] = entry
        self._manifest = self._enter_written()

    def finish(self) -> None:
        """Writes one virtual HDF5 file for each split and marks the cache as complete; does nothing the second time.

        Raises:
            CacheIncomplete: if there are shards still to be written.
        """
        if self._written:
            self._enter_written()
        self._manifest = finalise(self.path)

    def _clean(self) -> None:
        for folder in (self.path, *(self.path / split for split in self._plan.manifest.splits)):
            make_folder(folder)
            remove_stale(folder)

    def _begin(self) -> Manifest:
        with manifest_lock(self.path):
            if not (self.path / MANIFEST).exists():
                save(self.path, self._plan.manifest)
                return self._plan.manifest
            present = load(self.path)
        require_same(self._plan.manifest, present, self.path)
        return present

    def _enter_written(self) -> Manifest:
        """Enters all that this run has written: where locks do not work, another run may have dropped some of it."""

        def entered(present: Manifest) -> Manifest:
            return replace(present.with_shards(self._written), provenance=self._plan.manifest.provenance)

        try:
            return update(self.path, entered)
        except CacheMissing as error:
            raise CacheError(
                f"The cache {self.path} was removed while it was being written. Run the extraction again."
            ) from error

    def _bytes_to_write(self) -> int:
        size = {
            split: sample_bytes(self._manifest.layers, record.id_bytes)
            for split, record in self._manifest.splits.items()
        }
        return sum(len(shard) * size[shard.split] + OVERHEAD_BYTES for shard in self._manifest.pending())


def finalise(folder: Path) -> Manifest:
    """Completes a cache all of whose shards are there: the virtual files, then the mark in the manifest.

    Raises:
        CacheIncomplete: if shards are missing.
    """
    manifest = load(folder)
    pending, done = manifest.pending(), len(manifest.finished())
    if pending:
        raise CacheIncomplete(
            f"{len(pending)} of {done + len(pending)} shards of {folder} are still to be written, the first is "
            f"{pending[0].file}. Write them before finish().",
            done=done,
            total=done + len(pending),
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
        return replace(present, complete=True)

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
    names = ", ".join(repr(ids[row].decode()) for row in rows[:SHOWN_IDS])
    more = f" and {len(rows) - SHOWN_IDS} more" if len(rows) > SHOWN_IDS else ""
    raise FeatureError(
        f"Layer {layer!r}: {int(bad.sum())} values are not finite or beyond ±{limit:g}, the largest that {spec.dtype} "
        f"holds. The first is {values[bad][0]}; ids concerned: {names}{more}. Nothing of this shard was stored. "
        "Values that are finite fit into float32; if they are not, compute in float32 instead of a lower precision."
    )
