"""Which shards of a cache a process computes when several share the work."""

from __future__ import annotations

from dataclasses import dataclass

from bottleneck_features.features.errors import CacheError


@dataclass(frozen=True)
class Partition:
    """Every `of`-th shard of a cache, counted through all its splits.

    Attributes:
        number: 1 … `of`: shard `number` − 1 is the first one of this part.
        of: into how many parts the work is divided, ≥ 1.
        shared: whether others write to the cache at the same time; only where there is a single part they need not.

    Raises:
        CacheError: if there is no such part.
    """

    number: int
    of: int
    shared: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise CacheError(f"A part is I/N with 1 ≤ I ≤ N, such as 3/16. Received: {self}")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


WHOLE = Partition(1, 1)
SHARED = Partition(1, 1, shared=True)
