"""The finished shards of a split, kept as one hash each, since size and layout are the same for nearly all."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """A finished file: its size, its SHA-256, and where in it each contiguous dataset begins."""

    bytes: int
    sha256: str
    offsets: Mapping[str, int]


class Entries(Mapping[int, Entry]):
    """Finished shards by index, as they lie in the manifest.

    Args:
        hashes: SHA-256 of each shard of the split, None while it is not finished.
        layouts: `{"from": index, "bytes": …, "offsets": …}` for each run of shards that share size and offsets,
            in order.

    Raises:
        ValueError: if a finished shard has no layout.
    """

    def __init__(self, hashes: Sequence[str | None], layouts: Sequence[Mapping[str, Any]]) -> None:
        self._hashes = hashes
        self._layouts = layouts
        self._starts = [layout["from"] for layout in layouts]
        unknown = hashes[: self._starts[0]] if self._starts else hashes
        if sorted(self._starts) != self._starts or any(unknown):
            raise ValueError("its layouts do not cover its shards")

    def __getitem__(self, index: int) -> Entry:
        sha256 = self._hashes[index] if 0 <= index < len(self._hashes) else None
        if sha256 is None:
            raise KeyError(index)
        layout = self._layouts[bisect_right(self._starts, index) - 1]
        return Entry(layout["bytes"], sha256, layout["offsets"])

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and 0 <= index < len(self._hashes) and self._hashes[index] is not None

    def __iter__(self) -> Iterator[int]:
        return (index for index, sha256 in enumerate(self._hashes) if sha256 is not None)

    def __len__(self) -> int:
        return len(self._hashes) - self._hashes.count(None)


def layouts_of(shards: Mapping[int, Entry]) -> list[dict[str, Any]]:
    """Size and offsets, said once for each run of shards that share them; the inverse of `Entries`."""
    layouts: list[dict[str, Any]] = []
    for index in sorted(shards):
        entry = shards[index]
        if not layouts or (layouts[-1]["bytes"], layouts[-1]["offsets"]) != (entry.bytes, entry.offsets):
            layouts.append({"from": index, "bytes": entry.bytes, "offsets": dict(entry.offsets)})
    return layouts
