"""The open shards of one split: memory maps where the data is contiguous, HDF5 where it is compressed."""

from __future__ import annotations

import math
import mmap
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bottleneck_features.features.errors import CacheDamaged
from bottleneck_features.features.manifest import Manifest
from bottleneck_features.features.removed import noticing_removal
from bottleneck_features.features.shards import blosc2_filter, stored_dataset

SPARSE = 4


def _open_limit() -> int:
    """Return how many shards of a split stay open: an eighth of the descriptors this process may have."""
    try:
        import resource
    except ImportError:
        return 64
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, min(512, soft // 8))


class ShardFiles:
    """The shards of one split, from which rows are read; those used recently stay mapped."""

    def __init__(self, folder: Path, manifest: Manifest, split: str) -> None:
        self.folder = folder
        self.shard_size = manifest.shard_size
        self._split = split
        self._manifest = manifest
        self._entries = manifest.splits[split].shards
        self.compressed = manifest.compression != "none"
        if self.compressed:
            blosc2_filter()
        self._limit = _open_limit()
        self._recent: OrderedDict[int, mmap.mmap | h5py.File] = OrderedDict()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_recent": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())
        if self.compressed:
            blosc2_filter()

    def __len__(self) -> int:
        return len(self._entries)

    def rows(
        self, index: int, dataset: str, shape: tuple[int, ...], dtype: np.dtype, rows: slice | np.ndarray
    ) -> np.ndarray:
        """Read rows of one dataset of one shard.

        Args:
            index: number of the shard.
            dataset: its name in the file.
            shape: shape of one sample.
            dtype: stored dtype.
            rows: slice with step 1, or int64 positions, within the shard.

        Returns:
            Array (rows, *shape); a read-only view of the file for a slice of a contiguous dataset, else a copy.
        """
        opened, shard = self._opened(index), self._manifest.shard(self._split, index)
        try:
            if isinstance(opened, h5py.File):
                return _from_hdf5(stored_dataset(opened, dataset), (len(shard), *shape), rows)
            offset = self._entries[index].offsets[dataset]
            values = np.frombuffer(opened, dtype, len(shard) * math.prod(shape), offset)
        except (KeyError, ValueError, OverflowError, OSError, RuntimeError) as error:
            raise unreadable_shard(self.folder / shard.file, error) from error
        whole: np.ndarray = values.reshape(len(shard), *shape)
        return whole[rows] if isinstance(rows, slice) else whole.take(rows, axis=0)

    def open(self, index: int) -> None:
        """Open a shard: as long as few others are used, it can be read even when its cache is removed.

        Raises:
            CacheDamaged, CacheRemoved: if it cannot be opened.
        """
        self._opened(index)

    def _opened(self, index: int) -> mmap.mmap | h5py.File:
        with self._lock:
            opened = self._recent.get(index)
            if opened is None:
                with noticing_removal(self.folder):
                    opened = self._recent[index] = self._open(index)
                while len(self._recent) > self._limit:
                    self._recent.popitem(last=False)
            else:
                self._recent.move_to_end(index)
            return opened

    def _open(self, index: int) -> mmap.mmap | h5py.File:
        path = self.folder / self._manifest.shard(self._split, index).file
        try:
            size = path.stat().st_size
            if size != self._entries[index].bytes:
                raise wrong_size(path, size, self._entries[index].bytes)
            if self.compressed:
                return h5py.File(path, "r", locking=False)
            with path.open("rb") as file:
                return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise missing_shard(path) from None
        except (OSError, ValueError) as error:
            raise unreadable_shard(path, error) from error


def _from_hdf5(data: h5py.Dataset, shape: tuple[int, ...], rows: slice | np.ndarray) -> np.ndarray:
    """Read rows in any order: HDF5 takes them in increasing order, each once, and reads many faster as one block."""
    if data.shape != shape:
        raise ValueError(f"its {data.name} has the shape {data.shape} instead of {shape}")
    if isinstance(rows, slice):
        sliced: np.ndarray = data[rows]
        return sliced
    wanted, position = np.unique(rows, return_inverse=True)
    low, high = int(wanted[0]), int(wanted[-1]) + 1
    if len(wanted) * SPARSE > high - low:
        block: np.ndarray = data[low:high]
        return block[rows - low]
    chosen: np.ndarray = data[wanted]
    return chosen[position]


def unreadable_shard(path: Path, error: Exception) -> CacheDamaged:
    """Return the error for a shard that is there and cannot be read."""
    return CacheDamaged(f"Cannot read the shard {path}: {error}. Run `cache verify` on it.")


def missing_shard(path: Path) -> CacheDamaged:
    """Return the error for a shard that is in the manifest and not on disk."""
    return CacheDamaged(
        f"The shard {path} is missing. `cache verify --repair` marks it as missing; then run the extraction again, "
        "which computes only what is not there."
    )


def wrong_size(path: Path, found: int, expected: int) -> CacheDamaged:
    """Return the error for a shard whose size is not the one in the manifest."""
    return CacheDamaged(
        f"The shard {path} has {found} bytes, the manifest says {expected}. `cache verify --repair` puts it aside; "
        "then run the extraction again, which computes only what is not there."
    )
