"""One layer's features of a split, or some rows of them, as an array that stays on disk until it is sliced."""

from __future__ import annotations

from collections.abc import Iterator
from types import EllipsisType
from typing import Any

import numpy as np

from bottleneck_features.features.manifest import ArraySpec
from bottleneck_features.features.shardfiles import ShardFiles
from bottleneck_features.features.shards import stored_dtype


class FeatureArray:
    """Read-only features `(n, *shape)` that lie in shards on disk; nothing is read until it is indexed.

    Indexing follows NumPy: integers, slices, integer and boolean arrays on the first axis, and tuples with
    further axes. In a cache that is not compressed an integer, or a slice within one shard, is a read-only view of the
    memory-mapped file; everything else is a copy. Such a view is a NumPy array, whose buffer others take without a copy
    (`memoryview`, `pyarrow.py_buffer`, `torch.from_numpy`, which warns that it must not be written to).

    Attributes:
        shape: `(samples, *sample shape)`.
        dtype: float16 or float32.
    """

    def __init__(self, files: ShardFiles, dataset: str, spec: ArraySpec, samples: int) -> None:
        self.shape: tuple[int, ...] = (samples, *spec.shape)
        self.dtype: np.dtype = stored_dtype(spec)
        self._files = files
        self._dataset = dataset

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes the whole array takes in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"FeatureArray(shape={self.shape}, dtype={self.dtype.name!r})"

    def __iter__(self) -> Iterator[np.ndarray]:
        for start, stop in self.stretches():
            yield from self._slice(start, stop)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False and not (self.is_view(0, len(self)) and (dtype is None or np.dtype(dtype) == self.dtype)):
            raise ValueError(
                "A cache that is compressed, of several shards, or in another dtype cannot become an array without a copy."
            )
        whole = self._slice(0, len(self))
        converted = whole if dtype is None else whole.astype(dtype, copy=False)
        return converted.copy() if copy and converted is whole else converted

    def __getitem__(self, key: Any) -> np.ndarray:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        if isinstance(first, slice):
            start, stop, step = first.indices(len(self))
            rows = self._slice(start, max(start, stop)) if step == 1 else self._take(np.arange(start, stop, step))
            return rows[(slice(None), *rest)] if rest else rows
        if _is_plain_integer(first):
            row: np.ndarray = self._slice(*_one(int(first), len(self)))[(0, *rest)]
            return row
        positions = positions_of(first, len(self))
        if positions is None:
            exotic: np.ndarray = np.asarray(self)[key]
            return exotic
        taken = self._take(positions.ravel())
        if not rest:
            return taken.reshape(*positions.shape, *self.shape[1:])
        return taken[(np.arange(positions.size).reshape(positions.shape), *rest)]

    def stretches(self) -> Iterator[tuple[int, int]]:
        """Give `start, stop` of the rows that are best read together, one stretch after the other: those of a shard."""
        return steps(len(self), self._files.shard_size)

    def is_view(self, start: int, stop: int) -> bool:
        """Tell whether the rows `start:stop` are a view of a memory-mapped file: they lie in one shard, not compressed."""
        return not self._files.compressed and self._in_one_shard(start, stop)

    def _in_one_shard(self, start: int, stop: int) -> bool:
        return start < stop and start // self._files.shard_size == (stop - 1) // self._files.shard_size

    def _rows(self, shard: int, rows: slice | np.ndarray) -> np.ndarray:
        return self._files.rows(shard, self._dataset, self.shape[1:], self.dtype, rows)

    def _slice(self, start: int, stop: int) -> np.ndarray:
        size = self._files.shard_size
        if self._in_one_shard(start, stop):
            first = start // size
            return self._rows(first, slice(start - first * size, stop - first * size))
        out = np.empty((stop - start, *self.shape[1:]), self.dtype)
        for shard in range(start // size, -(-stop // size) if start < stop else 0):
            low, high = max(start, shard * size), min(stop, (shard + 1) * size)
            out[low - start : high - start] = self._rows(shard, slice(low - shard * size, high - shard * size))
        return out

    def _take(self, positions: np.ndarray) -> np.ndarray:
        if len(positions) == 0:
            return self._slice(0, 0)
        size = self._files.shard_size
        order = np.argsort(positions, kind="stable")
        ordered = positions[order]
        shards, starts = np.unique(ordered // size, return_index=True)
        out = np.empty((len(positions), *self.shape[1:]), self.dtype)
        for shard, start, stop in zip(shards, starts, [*starts[1:], len(ordered)], strict=True):
            out[order[start:stop]] = self._rows(int(shard), ordered[start:stop] - shard * size)
        return out


class SelectedArray(FeatureArray):
    """Some rows of an array, read when it is indexed; what was a view of the file stays one where the rows are a slice.

    Args:
        whole: the array.
        rows: their positions in it, in any order, each ≥ 0.
    """

    def __init__(self, whole: FeatureArray, rows: range | np.ndarray) -> None:
        self.shape = (len(rows), *whole.shape[1:])
        self.dtype = whole.dtype
        self._whole, self._chosen = whole, rows
        self._start = rows.start if isinstance(rows, range) and rows.step == 1 else None

    def stretches(self) -> Iterator[tuple[int, int]]:
        """Give `start, stop` of the rows that are best read together, one stretch after the other."""
        if self._start is None:
            yield from steps(len(self), AT_A_TIME)
            return
        for start, stop in self._whole.stretches():
            first, last = max(start - self._start, 0), min(stop - self._start, len(self))
            if first < last:
                yield first, last

    def is_view(self, start: int, stop: int) -> bool:
        """Tell whether the rows `start:stop` are a view of a memory-mapped file."""
        return self._start is not None and self._whole.is_view(self._start + start, self._start + stop)

    def _slice(self, start: int, stop: int) -> np.ndarray:
        if self._start is None:
            return self._whole._take(np.asarray(self._chosen[start:stop], np.int64))
        return self._whole._slice(self._start + start, self._start + stop)

    def _take(self, positions: np.ndarray) -> np.ndarray:
        return self._whole._take(np.asarray(self._chosen, np.int64)[positions])


AT_A_TIME = 1024  # rows that lie in no order


def steps(rows: int, size: int) -> Iterator[tuple[int, int]]:
    """Give `start, stop` of every `size` rows; the last may be fewer."""
    return ((start, min(start + size, rows)) for start in range(0, rows, size))


def _is_plain_integer(key: Any) -> bool:
    return isinstance(key, int | np.integer) and not isinstance(key, bool | np.bool_)


def _one(index: int, length: int) -> tuple[int, int]:
    if not -length <= index < length:
        raise IndexError(f"Index {index} is out of bounds for {length} samples.")
    start = index % length
    return start, start + 1


def positions_of(key: Any, length: int) -> np.ndarray | None:
    """Return positions ≥ 0 for an integer or boolean array; None for keys that only a whole array understands."""
    if key is None or isinstance(key, EllipsisType | bool | np.bool_ | tuple):
        return None
    array = np.asarray(key)
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.int64)
    if array.dtype.kind == "b":
        if array.shape != (length,):
            return None
        return np.flatnonzero(array)
    if array.dtype.kind not in "iu":
        raise IndexError(
            "Index with integers, slices, or integer or boolean arrays. "
            f"Received: {type(key).__name__} of {array.dtype}"
        )
    positions = array.astype(np.int64)
    wrong = (positions < -length) | (positions >= length)
    if wrong.any():
        raise IndexError(f"Index {positions[wrong].flat[0]} is out of bounds for {length} samples.")
    return np.where(positions < 0, positions + length, positions)
