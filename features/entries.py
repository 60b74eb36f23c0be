"""The finished shards of a split, kept as columns: a million of them are four arrays, not a million objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

UNFINISHED = -1
HASH_BYTES = 32
_NO_HASH = "0" * (2 * HASH_BYTES)


class FileEntry(NamedTuple):
    """A finished file: its size, its SHA-256, and where in it each contiguous dataset begins."""

    bytes: int
    sha256: str
    offsets: Mapping[str, int]


@dataclass(frozen=True)
class FinishedShards:
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
    def of(cls, index: int, entry: FileEntry) -> FinishedShards:
        """Return one finished shard."""
        digest = np.frombuffer(bytes.fromhex(entry.sha256), np.uint8)
        return cls(np.array([index]), np.array([entry.bytes]), digest[None], entry.offsets)


class ShardTable(Mapping[int, FileEntry]):
    """Finished shards by index; unchangeable.

    Args:
        sizes: int64, (shards of the split,), bytes of each shard's file; −1 while it is not finished.
        hashes: uint8, (shards, 32), SHA-256 of each.
        layout_numbers: int64, (shards,), which of `offsets` each one has.
        offsets: the different layouts: where each contiguous dataset begins.
    """

    def __init__(
        self, sizes: np.ndarray, hashes: np.ndarray, layout_numbers: np.ndarray, offsets: Sequence[Mapping[str, int]]
    ) -> None:
        self.sizes = sizes
        self.done: np.ndarray = sizes != UNFINISHED
        self._hashes = hashes
        self._layout_numbers = layout_numbers
        self._offsets = tuple(offsets)

    @classmethod
    def none(cls, count: int) -> ShardTable:
        """Return the table of a split of `count` shards, none of which is finished."""
        hashes = np.zeros((count, HASH_BYTES), np.uint8)
        return cls(np.full(count, UNFINISHED, np.int64), hashes, np.zeros(count, np.int64), ())

    @classmethod
    def from_json(cls, split: Mapping[str, Any]) -> ShardTable:
        """Read what the manifest says of a split.

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
        if len(sizes) != len(hashes) or (done != (sizes >= 0)).any() or (sizes < UNFINISHED).any():
            raise ValueError("its sizes are not those of its shards")
        offsets: list[Mapping[str, int]] = []
        for layout in layouts:
            if layout["offsets"] not in offsets:
                offsets.append(layout["offsets"])
        layout_numbers = np.array([offsets.index(layout["offsets"]) for layout in layouts] or [0], np.int64)[runs]
        return cls(sizes, columns.reshape(len(hashes), HASH_BYTES), layout_numbers, offsets)

    def as_json(self) -> dict[str, Any]:
        """Return `layouts`, `bytes` and `shards` of the manifest."""
        text = self._hashes.tobytes().hex()
        width = 2 * HASH_BYTES
        finished = self.done.tolist()
        return {
            "layouts": self._layouts(),
            "bytes": [size if done else None for size, done in zip(self.sizes.tolist(), finished, strict=True)],
            "shards": [text[i * width : (i + 1) * width] if done else None for i, done in enumerate(finished)],
        }

    def with_finished(self, finished: Iterable[FinishedShards]) -> ShardTable:
        """Return this table with further shards finished."""
        layouts = list(self._offsets)
        sizes, hashes, layout_numbers = self.sizes.copy(), self._hashes.copy(), self._layout_numbers.copy()
        for shards in finished:
            if shards.offsets not in layouts:
                layouts.append(shards.offsets)
            sizes[shards.indices] = shards.sizes
            hashes[shards.indices] = shards.hashes
            layout_numbers[shards.indices] = layouts.index(shards.offsets)
        return ShardTable(sizes, hashes, layout_numbers, layouts)

    def without(self, index: int) -> ShardTable:
        """Return this table with one shard pending again."""
        sizes = self.sizes.copy()
        sizes[index] = UNFINISHED
        return ShardTable(sizes, self._hashes, self._layout_numbers, self._offsets)

    def __getitem__(self, index: int) -> FileEntry:
        if index not in self:
            raise KeyError(index)
        offsets = self._offsets[self._layout_numbers[index]]
        return FileEntry(int(self.sizes[index]), self._hashes[index].tobytes().hex(), offsets)

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and 0 <= index < len(self.done) and bool(self.done[index])

    def __iter__(self) -> Iterator[int]:
        return iter(np.flatnonzero(self.done).tolist())

    def __len__(self) -> int:
        return int(np.count_nonzero(self.done))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ShardTable):
            return super().__eq__(other)
        done = self.done
        return (
            np.array_equal(self.sizes, other.sizes)
            and np.array_equal(self._hashes[done], other._hashes[done])
            and self._layouts() == other._layouts()
        )

    __hash__ = None  # type: ignore[assignment]

    def _layouts(self) -> list[dict[str, Any]]:
        """Return the offsets, one item for each run of finished shards that share them."""
        finished = np.flatnonzero(self.done)
        layout_numbers = self._layout_numbers[finished]
        first = np.flatnonzero(np.diff(layout_numbers, prepend=-1))
        return [{"from": int(finished[i]), "offsets": dict(self._offsets[layout_numbers[i]])} for i in first]
