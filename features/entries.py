"""The finished shards of a split, kept as columns: a million of them are four arrays, not a million objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

UNFINISHED = -1
HASH_BYTES = 32
_NO_HASH = "0" * (2 * HASH_BYTES)


class Entry(NamedTuple):
    """A finished file: its size, its SHA-256, and where in it each contiguous dataset begins."""

    bytes: int
    sha256: str
    offsets: Mapping[str, int]


@dataclass(frozen=True)
class Batch:
    """Finished shards that share their layout.

    Attributes:
        indices: integers, (shards,).
        sizes: bytes of each file, (shards,).
        hashes: uint8, (shards, 32).
        offsets: where in each file each contiguous dataset begins.
    """

    indices: np.ndarray
    sizes: np.ndarray
    hashes: np.ndarray
    offsets: Mapping[str, int]

    @classmethod
    def of(cls, index: int, entry: Entry) -> Batch:
        """A batch of one."""
        digest = np.frombuffer(bytes.fromhex(entry.sha256), np.uint8)
        return cls(np.array([index]), np.array([entry.bytes]), digest[None], entry.offsets)


class Entries(Mapping[int, Entry]):
    """Finished shards by index; unchangeable.

    Args:
        sizes: int64, (shards of the split,), bytes of each shard's file; −1 while it is not finished.
        hashes: uint8, (shards, 32), SHA-256 of each.
        kinds: int64, (shards,), which of `offsets` each one has.
        offsets: the different layouts: where each contiguous dataset begins.
    """

    def __init__(
        self, sizes: np.ndarray, hashes: np.ndarray, kinds: np.ndarray, offsets: Sequence[Mapping[str, int]]
    ) -> None:
        self.sizes = sizes
        self.done: np.ndarray = sizes != UNFINISHED
        self._hashes = hashes
        self._kinds = kinds
        self._offsets = tuple(offsets)

    @classmethod
    def none(cls, count: int) -> Entries:
        """A split of `count` shards, none of which is finished."""
        hashes = np.zeros((count, HASH_BYTES), np.uint8)
        return cls(np.full(count, UNFINISHED, np.int64), hashes, np.zeros(count, np.int64), ())

    @classmethod
    def from_json(cls, split: Mapping[str, Any]) -> Entries:
        """What the manifest says of a split.

        Raises:
            ValueError: if its sizes, hashes and layouts do not fit together.
        """
        hashes, layouts = split["shards"], split["layouts"]
        done = np.array([sha256 is not None for sha256 in hashes], bool)
        columns = np.frombuffer(bytes.fromhex("".join(sha256 or _NO_HASH for sha256 in hashes)), np.uint8)
        starts = np.array([layout["from"] for layout in layouts], np.int64)
        runs = np.searchsorted(starts, np.arange(len(hashes)), side="right") - 1
        if (np.diff(starts) <= 0).any() or (runs[done] < 0).any():
            raise ValueError("its layouts do not cover its shards")
        sizes = np.array([UNFINISHED if size is None else size for size in split["bytes"]], np.int64)
        if len(sizes) != len(hashes) or (done != (sizes != UNFINISHED)).any():
            raise ValueError("its sizes are not those of its shards")
        offsets: list[Mapping[str, int]] = []
        for layout in layouts:
            if layout["offsets"] not in offsets:
                offsets.append(layout["offsets"])
        kinds = np.array([offsets.index(layout["offsets"]) for layout in layouts] or [0], np.int64)[runs]
        return cls(sizes, columns.reshape(len(hashes), HASH_BYTES), kinds, offsets)

    def as_json(self) -> dict[str, Any]:
        """`layouts`, `bytes` and `shards` of the manifest."""
        text = self._hashes.tobytes().hex()
        width = 2 * HASH_BYTES
        finished = self.done.tolist()
        return {
            "layouts": self._layouts(),
            "bytes": [size if done else None for size, done in zip(self.sizes.tolist(), finished, strict=True)],
            "shards": [text[i * width : (i + 1) * width] if done else None for i, done in enumerate(finished)],
        }

    def with_batches(self, batches: Iterable[Batch]) -> Entries:
        """These entries with further shards finished."""
        layouts = list(self._offsets)
        sizes, hashes, kinds = self.sizes.copy(), self._hashes.copy(), self._kinds.copy()
        for batch in batches:
            if batch.offsets not in layouts:
                layouts.append(batch.offsets)
            sizes[batch.indices] = batch.sizes
            hashes[batch.indices] = batch.hashes
            kinds[batch.indices] = layouts.index(batch.offsets)
        return Entries(sizes, hashes, kinds, layouts)

    def without(self, index: int) -> Entries:
        """These entries with one shard pending again."""
        sizes = self.sizes.copy()
        sizes[index] = UNFINISHED
        return Entries(sizes, self._hashes, self._kinds, self._offsets)

    def __getitem__(self, index: int) -> Entry:
        if index not in self:
            raise KeyError(index)
        offsets = self._offsets[self._kinds[index]]
        return Entry(int(self.sizes[index]), self._hashes[index].tobytes().hex(), offsets)

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and 0 <= index < len(self.done) and bool(self.done[index])

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self.done).tolist())

    def __len__(self) -> int:
        return int(np.count_nonzero(self.done))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Entries):
            return super().__eq__(other)
        done = self.done
        return (
            np.array_equal(self.sizes, other.sizes)
            and np.array_equal(self._hashes[done], other._hashes[done])
            and self._layouts() == other._layouts()
        )

    __hash__ = None  # type: ignore[assignment]

    def _layouts(self) -> list[dict[str, Any]]:
        """Offsets, said once for each run of finished shards that share them."""
        finished = np.flatnonzero(self.done)
        kinds = self._kinds[finished]
        first = np.flatnonzero(np.diff(kinds, prepend=-1))
        return [{"from": int(finished[i]), "offsets": dict(self._offsets[kinds[i]])} for i in first]
