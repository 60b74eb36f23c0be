"""One split of a cache as users see it: features, labels, ids and groups, some samples of it, blocks, and tables."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck_features.cards import Table, card
from bottleneck_features.errors import nearest, quoted
from bottleneck_features.features.arrays import FeatureArray, SelectedArray, positions_of, steps
from bottleneck_features.features.errors import CacheError
from bottleneck_features.features.storage import size_text
from bottleneck_features.features.tabular import arrow_batches, frame

if TYPE_CHECKING:
    import pandas
    import pyarrow

SHOWN_CLASSES = 40  # of a card


class Split:
    """One split of a cache: features, labels and ids of the same samples in the same order.

    Some samples of it are a split too, which reads nothing until it is used: `split[10:20]`, `split[positions]`,
    `split[split.y == 3]`. The features of a slice stay views of the file where those of the split are.

    Args:
        name: of the split.
        features: by layer, in the order of extraction.
        class_names: name of each label.
        y: labels.
        groups: of the samples, if there are any.
        read: returns ids, UTF-8 bytes of fixed width, and content hashes; called when they are first used.
        origin: what pickle keeps in its place: a function, and the arguments with which it returns this split.

    Attributes:
        features: mapping of layer names to `FeatureArray` `(n, *shape)`.
        x: the features of the last layer.
        y: labels, int64, (n,), in 0 … number of classes − 1.
        groups: text, (n,): samples of one group (a patient, a burst) must not be parted; None where there are no groups.
        class_names: name of each label.
    """

    def __init__(
        self,
        name: str,
        features: Mapping[str, FeatureArray],
        *,
        class_names: tuple[str, ...],
        y: np.ndarray,
        groups: np.ndarray | None,
        read: Callable[[], tuple[np.ndarray, np.ndarray]],
        origin: tuple[Callable[..., Split], tuple[Any, ...]] | None = None,
    ) -> None:
        self.name, self.class_names, self.y, self.groups = name, class_names, y, groups
        self.features: Mapping[str, FeatureArray] = MappingProxyType(dict(features))
        self.x = self.features[list(features)[-1]]
        self.y.flags.writeable = False
        self._read, self._origin = read, origin

    def __reduce__(self) -> tuple[Any, ...]:
        if self._origin is None:
            raise TypeError("A rearranged split cannot be pickled: pickle the cache and its places.")
        return self._origin

    @cached_property
    def ids_and_contents(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids as UTF-8 bytes of fixed width, (n,), and `contents`."""
        return self._read()

    @property
    def contents(self) -> np.ndarray:
        """SHA-256 of each sample's image, uint8, (n, 32); zeros where it is not known."""
        return self.ids_and_contents[1]

    @cached_property
    def ids(self) -> np.ndarray:
        """Ids as text, (n,)."""
        encoded = self.ids_and_contents[0]
        try:
            return encoded.astype(f"U{encoded.dtype.itemsize}")
        except UnicodeDecodeError:
            return np.char.decode(encoded, "utf-8")

    def __len__(self) -> int:
        return len(self.y)

    __iter__ = None  # of samples: `blocks` reads many at a time

    def __repr__(self) -> str:
        layers = ", ".join(f"{layer} {array.shape} {array.dtype.name}" for layer, array in self.features.items())
        return f"Split({self.name}: {layers})"

    def _repr_html_(self) -> str:
        """Return the card that notebooks show."""
        counts = np.bincount(self.y, minlength=len(self.class_names))
        classes = [(name, int(count)) for name, count in zip(self.class_names, counts, strict=True)]
        rows: list[tuple[str, object]] = [("samples", len(self))]
        if self.groups is not None:
            rows.append(("groups", len(set(self.groups.tolist()))))
        return card(
            f"Split {self.name}",
            rows=rows,
            tables=[layers_table([self.features])],
            folded=[Table(("class", "samples"), classes[:SHOWN_CLASSES], _classes_title(len(classes)))],
        )

    def __getitem__(self, rows: slice | Sequence[int] | np.ndarray) -> Split:
        """Return some samples, in the order given.

        Args:
            rows: a slice, positions (negative ones count from the end), or a boolean mask (n,).

        Raises:
            IndexError: if it is none of them, or a position is out of bounds.
        """
        chosen = _chosen(rows, len(self))
        own = slice(chosen.start, chosen.stop) if isinstance(chosen, range) else chosen
        return Split(
            self.name,
            {layer: SelectedArray(array, chosen) for layer, array in self.features.items()},
            class_names=self.class_names,
            y=self.y[own],
            groups=None if self.groups is None else self.groups[own],
            read=lambda: (self.ids_and_contents[0][own], self.ids_and_contents[1][own]),
            origin=(operator.getitem, (self, own)),
        )

    def blocks(
        self, size: int = 1024, layers: str | Sequence[str] | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give features and labels, block after block in the order of the samples, so that they need not fit into memory.

        Args:
            size: samples of a block, ≥ 1; the last may have fewer.
            layers: of one layer (the last where none is named) the features are as they are kept, `(m, *shape)`; those of
                several, each in C order, stand side by side, (m, values).

        Returns:
            An iterator of (features, labels (m,)), read-only where they are views of the file.

        Raises:
            ValueError: if the size is no whole number ≥ 1.
            CacheError: if there is no such layer; the message names the nearest.

        Examples:
            >>> for x, y in split.blocks(4096):
            ...     model.partial_fit(x, y, classes=range(10))
        """
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
            raise ValueError(f"A block has a whole number of samples, 1 at least. Received: {size!r}")
        arrays = [self.x] if layers is None else list(self._arrays(layers).values())
        if not arrays:
            raise CacheError(f"Name at least one layer of {quoted(self.features)}. Received: {layers!r}")
        read = arrays[0]._slice if len(arrays) == 1 else lambda start, stop: _side_by_side(arrays, start, stop)
        return ((read(start, stop), self.y[start:stop]) for start, stop in steps(len(self), int(size)))

    def frame(self, layers: str | Sequence[str] = ()) -> pandas.DataFrame:
        """Return a table with a row per sample, as a pandas DataFrame.

        Args:
            layers: whose features become columns too, one per value: `<layer>_0`, `<layer>_1`, … in C order, in the dtype that
                is kept. They are read into memory.

        Returns:
            Columns `id`, `split`, `label` (the name of the class, categorical with all classes), `y`, and `group` where there
            are groups.

        Raises:
            CacheError: if there is no such layer, or pandas is not installed; the message says what to install.
        """
        return frame(self._columns(), self.class_names, self._arrays(layers))

    def arrow_batches(self, layers: str | Sequence[str] | None = None) -> pyarrow.RecordBatchReader:
        """Return the samples in batches of Arrow, one per shard, each made when it is asked for, so that memory stays flat.

        Args:
            layers: whose features become columns; without them all.

        Returns:
            Columns `id`, `split` and `label` (dictionaries), `y`, `group` where there are groups, and one of each layer's name: a
            fixed-size list in C order, whose shape is in the field's metadata. Features of a shard that is not compressed are
            the memory-mapped file itself, without a copy.

        Raises:
            CacheError: if there is no such layer, or pyarrow is not installed; the message says what to install.
        """
        return arrow_batches(self._columns(), self.class_names, self._arrays(layers), self.x.stretches())

    def arrow(self, layers: str | Sequence[str] | None = None) -> pyarrow.Table:
        """Return all batches of `arrow_batches` as one table; it takes memory for what is no view of the file.

        Args:
            layers: whose features become columns; without them all.

        Raises:
            CacheError: as for `arrow_batches`.
        """
        return self.arrow_batches(layers).read_all()

    def _columns(self) -> dict[str, Any]:
        columns = {"id": self.ids, "split": self.name, "y": self.y}
        return columns if self.groups is None else {**columns, "group": self.groups}

    def _arrays(self, layers: str | Sequence[str] | None) -> dict[str, FeatureArray]:
        if layers is None:
            return dict(self.features)
        wanted = (layers,) if isinstance(layers, str) else tuple(layers)
        for layer in wanted:
            if layer not in self.features:
                close = nearest(str(layer), self.features)
                raise CacheError(f"There is no layer {layer!r} in this cache. There is: {quoted(close)}")
        return {layer: self.features[layer] for layer in wanted}


def _classes_title(classes: int) -> str:
    return f"{classes:,} classes" if classes <= SHOWN_CLASSES else f"The first {SHOWN_CLASSES} of {classes:,} classes"


def layers_table(splits: Sequence[Mapping[str, FeatureArray]]) -> Table:
    """Return what a card says of the features of splits by layer."""
    sizes = {layer: sum(features[layer].nbytes for features in splits) for layer in splits[0]}
    return Table(
        ("layer", "shape of a sample", "dtype", "size"),
        [
            (layer, " × ".join(map(str, array.shape[1:])) or "1", array.dtype.name, size_text(sizes[layer]))
            for layer, array in splits[0].items()
        ],
    )


def _chosen(rows: Any, length: int) -> range | np.ndarray:
    """Return the positions that an index means: as a range where they follow one another."""
    if isinstance(rows, slice):
        chosen = range(length)[rows]
        return chosen if chosen.step == 1 else np.array(chosen, np.int64)
    positions = None if isinstance(rows, str | bytes) else positions_of(rows, length)
    if positions is None or positions.ndim != 1:
        raise IndexError(
            f"Index a split with a slice (split[3:4] for one sample), with positions, or with a mask of its {length:,} samples. "
            f"Received: {_described(rows)}"
        )
    return positions


def _described(rows: Any) -> str:
    if isinstance(rows, np.ndarray):
        return f"an array of {rows.dtype} of shape {rows.shape}"
    text = repr(rows)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _side_by_side(arrays: Sequence[FeatureArray], start: int, stop: int) -> np.ndarray:
    return np.concatenate([array._slice(start, stop).reshape(stop - start, -1) for array in arrays], axis=1)
