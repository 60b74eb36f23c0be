"""A cache whose splits are drawn anew: the same features on disk, looked at as other splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bottleneck_features.features.arrays import AT_A_TIME, FeatureArray, steps
from bottleneck_features.features.entries import HASH_BYTES
from bottleneck_features.features.reader import Features
from bottleneck_features.features.split import Split


@dataclass(frozen=True)
class Places:
    """Where each row of a new split is kept.

    Attributes:
        names: of the splits that rows are kept in.
        splits: `(n,)` integers, indices into `names`.
        indices: `(n,)` integers, positions in these splits.
    """

    names: tuple[str, ...]
    splits: np.ndarray
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def take(self, rows: np.ndarray) -> Places:
        """Return the places of some rows, in that order."""
        return Places(self.names, self.splits[rows], self.indices[rows])

    def gathered(self, read: Callable[[str, np.ndarray], np.ndarray], like: np.ndarray) -> np.ndarray:
        """Return the rows themselves.

        Args:
            read: returns `(m, …)` the rows at `(m,)` positions of a split.
            like: an array of the dtype and of the shape of a row, `(0, …)`.
        """
        out = np.empty((len(self), *like.shape[1:]), like.dtype)
        for number in np.unique(self.splits):
            own = np.flatnonzero(self.splits == number)
            out[own] = read(self.names[number], self.indices[own])
        return out


def rows_at(places: Places, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the `(n,)` numbers or texts at some places of the arrays of splits; texts may differ in width."""
    like = np.empty(0, np.result_type(*(arrays[split] for split in places.names)))
    return places.gathered(lambda split, rows: arrays[split][rows], like)


class RearrangedArray(FeatureArray):
    """Rows of several arrays as one array, which is read when it is indexed and always a copy.

    Args:
        sources: `(m, …)` arrays of one dtype and row shape, by split.
        places: of the rows in them.
    """

    def __init__(self, sources: Mapping[str, np.ndarray | FeatureArray], places: Places) -> None:
        first = next(iter(sources.values()))
        self.shape = (len(places), *first.shape[1:])
        self.dtype = first.dtype
        self._sources, self._places = sources, places

    def stretches(self) -> Iterator[tuple[int, int]]:
        """Give `start, stop` of the rows that are best read together, one stretch after the other."""
        return steps(len(self), AT_A_TIME)

    def is_view(self, start: int, stop: int) -> bool:
        """Return False: the rows are gathered."""
        return False

    def _slice(self, start: int, stop: int) -> np.ndarray:
        return self._take(np.arange(start, stop))

    def _take(self, positions: np.ndarray) -> np.ndarray:
        like = np.empty((0, *self.shape[1:]), self.dtype)
        return self._places.take(positions).gathered(lambda split, rows: self._sources[split][rows], like)


class RearrangedFeatures(Features):
    """A finished cache with other splits; nothing is copied until it is read.

    Args:
        cache: the cache.
        places: where the rows of each new split are in it; its splits of other names stay.
    """

    def __init__(self, cache: Features, places: Mapping[str, Places]) -> None:
        self.path, self.identity, self.key = cache.path, cache.identity, cache.key
        self.layers, self.class_names, self.provenance = cache.layers, cache.class_names, cache.provenance
        self._splits = {**cache, **{name: _rearranged_split(cache, name, own) for name, own in places.items()}}

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("A rearranged cache cannot be pickled: pickle the cache and its places.")


def _rearranged_split(cache: Features, name: str, places: Places) -> Split:
    """Return rows of other splits as one split."""

    def ids_and_contents() -> tuple[np.ndarray, np.ndarray]:
        own = {split: cache[split].ids_and_contents for split in places.names}
        ids = rows_at(places, {split: found for split, (found, _) in own.items()})
        like = np.empty((0, HASH_BYTES), np.uint8)
        return ids, places.gathered(lambda split, rows: own[split][1][rows], like)

    layers = {layer: {split: cache[split].features[layer] for split in places.names} for layer in cache.layers}
    groups = {split: own for split in places.names if (own := cache[split].groups) is not None}
    return Split(
        name,
        {layer: RearrangedArray(own, places) for layer, own in layers.items()},
        class_names=cache.class_names,
        y=rows_at(places, {split: cache[split].y for split in places.names}),
        groups=rows_at(places, groups) if groups else None,
        read=ids_and_contents,
    )
