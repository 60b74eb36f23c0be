"""Cached layers side by side as rows of features, read from the cache a slice at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from bottleneck_features.features import Features
from bottleneck_features.features.arrays import FeatureArray
from bottleneck_features.models.rows import mean_over_positions, mean_over_views
from bottleneck_features.pipeline.evaluation.splits import Subset

SAMPLES_AT_A_TIME = 1024


class LayerRows:
    """`(samples · views, features)` rows of one or several layers; a sample's views lie one after the other.

    Spatial maps (pooling `none`) are averaged over their positions.

    Args:
        cache: the open cache.
        layers: whose features are put side by side.
        parts: the samples, one part after the other.

    Attributes:
        shape: of all rows.
        labels: `(samples,)` integers.
        views: rows of each sample.
    """

    def __init__(self, cache: Features, layers: tuple[str, ...], *parts: Subset) -> None:
        self.views = len(cache.identity["input.views"])
        self.labels = np.concatenate([cache[part.split].y[part.indices] for part in parts])
        self._cache, self._layers, self._parts = cache, layers, parts
        self._reading = Lock()  # threads share a cache's open files
        width = sum(cache[parts[0].split].features[layer].shape[-1] for layer in layers)
        self.shape = (len(self.labels) * self.views, width)

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        first, last = start // self.views, -(-stop // self.views)
        pieces, offset = [], 0
        for part in self._parts:
            chosen = part.indices[max(first - offset, 0) : max(last - offset, 0)]
            if len(chosen):
                pieces.append(self._read(part.split, chosen))
            offset += len(part)
        return np.concatenate(pieces)[start - first * self.views : stop - first * self.views]

    def slices(self) -> Iterator[np.ndarray]:
        """Give `(samples · views, d)` rows, whole samples at a time."""
        step = SAMPLES_AT_A_TIME * self.views
        for start in range(0, self.shape[0], step):
            yield self[start : start + step]

    def by_sample(self) -> np.ndarray:
        """Return `(samples, d)` float32 features, averaged over the views."""
        return np.concatenate([mean_over_views(part.astype(np.float32), self.views) for part in self.slices()])

    def _read(self, split: str, samples: np.ndarray) -> np.ndarray:
        with self._reading:
            maps = [self._cache[split].features[layer][samples] for layer in self._layers]
        return side_by_side(maps, self.views)


@dataclass(frozen=True)
class _SideBySide:
    """Layers of a split side by side, read like the array of one layer; positions are averaged."""

    arrays: Sequence[FeatureArray]
    views: int

    @property
    def shape(self) -> tuple[int, ...]:
        """`(samples, features)`, with several views `(samples, views, features)`."""
        width = sum(array.shape[-1] for array in self.arrays)
        return (len(self.arrays[0]), *((self.views,) if self.views > 1 else ()), width)

    def __getitem__(self, samples: np.ndarray) -> np.ndarray:
        rows = side_by_side([array[samples] for array in self.arrays], self.views)
        return rows.reshape(-1, *self.shape[1:])


def layer_arrays(cache: Features, layers: tuple[str, ...], split: str) -> FeatureArray | _SideBySide:
    """Return the features of a split, read by positions: of one layer as they are kept, of several side by side."""
    arrays = [cache[split].features[layer] for layer in layers]
    return arrays[0] if len(arrays) == 1 else _SideBySide(arrays, len(cache.identity["input.views"]))


def side_by_side(maps: Sequence[np.ndarray], views: int) -> np.ndarray:
    """Return `(n · views, d)` rows of the features of layers.

    Args:
        maps: of each layer `(n, …, channels)`, with several views `(n, views, …, channels)`; positions are averaged.
        views: of each sample.
    """
    return np.concatenate([mean_over_positions(one, views) for one in maps], axis=1)


def layer_sets(layers: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the sets of layers to probe: each layer, the last two together if there are more than two, and all together."""
    sets: list[tuple[str, ...]] = [(layer,) for layer in layers]
    if len(layers) > 2:
        sets.append(layers[-2:])
    if len(layers) > 1:
        sets.append(layers)
    return sets


def is_spatial(cache: Features) -> bool:
    """Tell whether some layer of the cache keeps its positions."""
    views = len(cache.identity["input.views"])
    split = next(iter(cache.values()))
    return any(len(array.shape) > (3 if views > 1 else 2) for array in split.features.values())
