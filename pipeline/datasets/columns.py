"""Images in columns: a million of them are a few arrays, not a million objects."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from typing import TypeVar

import numpy as np

from bottleneck_features.pipeline.datasets.listing import Entry
from bottleneck_features.pipeline.datasets.scan import FileRecord

TEXT = np.dtypes.StringDType()
SPLIT_NAMES = ("", "train", "validation", "test")
BLOCK = 1 << 16  # texts that are Python objects at a time
HASH_BYTES = 32
Item = TypeVar("Item")


@dataclass(frozen=True)
class Columns:
    """What is known of some images, in their fixed order; without `ids`, 62 bytes an image.

    Attributes:
        ids: `(n,)` text, unique.
        labels: `(n,)` int32, indices into `names`.
        names: the classes, sorted as text.
        splits: `(n,)` int8, indices into `SPLIT_NAMES`; 0 where the data do not say.
        groups: `(n,)` text; `(0,)` where there are no groups.
        rows: `(n,)` int32, of the table that names them, counting its header as 1; `(0,)` where there is none.
        containers: `(n,)` int32, the number of the file of many images each is in.
        offsets: `(n,)` int64, where in it.
        sizes: `(n,)` uint32, bytes.
        sha256: `(n, 32)` uint8, of their bytes.
        widths: `(n,)` uint32, in pixels, as stored.
        heights: likewise.
        kinds: `(n,)` uint8, indices into `kind_names`.
        kind_names: Pillow's formats and modes, such as `JPEG RGB`.
    """

    ids: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    splits: np.ndarray
    groups: np.ndarray
    rows: np.ndarray
    containers: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    sha256: np.ndarray
    widths: np.ndarray
    heights: np.ndarray
    kinds: np.ndarray
    kind_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, chosen: np.ndarray) -> "Columns":
        """Return the images at `chosen` (positions, or a mask), in that order."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: array[chosen] for name, array in arrays.items() if isinstance(array, np.ndarray) and len(array)}
        return replace(self, **kept)


def of_entries(entries: Sequence[Entry], records: Mapping[str, FileRecord]) -> Columns:
    """Return the columns of image files, each a container of its own.

    Args:
        entries: what names them.
        records: what the scan found in them, by path.
    """
    found = [records[entry.path] for entry in entries]
    names, labels = codes(text(entry.label for entry in entries))
    kinds, kind = codes(text(f"{record.format} {record.mode}" for record in found))
    rows = np.array([entry.row for entry in entries], np.int32)
    groups = text(entry.group for entry in entries)
    return Columns(
        ids=text(entry.path for entry in entries),
        labels=labels.astype(np.int32),
        names=names,
        splits=np.array([SPLIT_NAMES.index(entry.split) for entry in entries], np.int8),
        groups=groups if (groups != "").any() else groups[:0],
        rows=rows if rows.any() else rows[:0],
        containers=np.zeros(len(entries), np.int32),
        offsets=np.zeros(len(entries), np.int64),
        sizes=np.array([record.bytes for record in found], np.uint32),
        sha256=np.frombuffer(bytes.fromhex("".join(r.sha256 for r in found)), np.uint8).reshape(-1, HASH_BYTES),
        widths=np.array([record.width for record in found], np.uint32),
        heights=np.array([record.height for record in found], np.uint32),
        kinds=kind.astype(np.uint8),
        kind_names=kinds,
    )


def text(values: Iterable[str]) -> np.ndarray:
    """Return texts as a `(n,)` array of variable width, a block of them in Python's hands at a time."""
    arrays = [np.array(block, TEXT) for block in blocks(values)]
    return np.concatenate(arrays) if arrays else np.empty(0, TEXT)


def mapped(function: Callable[[str], str], values: np.ndarray) -> np.ndarray:
    """Return the text that `function` makes of each of `(n,)` texts."""
    return text(function(str(value)) for value in values)


def blank(count: int) -> np.ndarray:
    """Return `(count,)` empty texts that take no memory."""
    return np.broadcast_to(np.array("", TEXT), count)


def one_after_another(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return `(n,)` texts of several arrays; `blank` ones stay so."""
    if all(part.strides == (0,) for part in parts):
        return blank(sum(map(len, parts)))
    return np.concatenate(parts)


def codes(values: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the different texts, sorted, and `(n,)` indices into them."""
    names, inverse = np.unique(values, return_inverse=True)
    return tuple(names.tolist()), inverse


def joined(values: np.ndarray) -> Iterator[bytes]:
    """Give `(n,)` texts joined by zeros, in UTF-8, block by block."""
    for start in range(0, len(values), BLOCK):
        block = "\0".join(values[start : start + BLOCK].tolist())
        yield (("\0" if start else "") + block).encode()


def blocks(values: Iterable[Item], size: int = BLOCK) -> Iterator[list[Item]]:
    """Give values in lists of at most `size`, in their order."""
    iterator = iter(values)
    while block := list(islice(iterator, size)):
        yield block
