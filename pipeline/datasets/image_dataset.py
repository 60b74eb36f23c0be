"""Images that are decoded and resized when they are asked for, wherever their bytes are."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from bottleneck_features.pipeline.datasets.dataset import Dataset, ImageOrigin, RearrangedDataset, Samples
from bottleneck_features.pipeline.datasets.dividing import Divisible, DrawnTest, redrawn
from bottleneck_features.pipeline.datasets.labels.reading import plain_label
from bottleneck_features.pipeline.datasets.layout.tree import plain_name
from bottleneck_features.pipeline.datasets.listing import natural_key
from bottleneck_features.pipeline.datasets.pixel_memory import PixelMemory
from bottleneck_features.pipeline.datasets.pixels.decoding import (
    DECODING,
    RECIPE,
    Header,
    UnusableImage,
    load_both,
    load_bytes,
)
from bottleneck_features.pipeline.datasets.pixels.perceptual import perceptual_hash
from bottleneck_features.pipeline.datasets.pixels.pillow_settings import decoding_settings
from bottleneck_features.pipeline.datasets.pixels.resizing import Decoded, Resizing, resized
from bottleneck_features.pipeline.errors import ChangedImage

T = TypeVar("T")
STORED = ["container", "offset", "size", "sha256", "width", "height"]  # fields of what a scan found


@dataclass(frozen=True)
class ImageTable:
    """What is known of some usable images, in their fixed order, in columns; without `ids`, 62 bytes an image.

    Attributes:
        ids: `(n,)` text, unique.
        labels: `(n,)` int32, indices into `names`.
        names: the classes, sorted as text.
        splits: `(n,)` int8, indices into `SPLIT_NAMES`; 0 where the data do not say.
        groups: `(n,)` text; `(0,)` where there are no groups.
        rows: `(n,)` int32, of the table that names them, counting its header as 1; `(0,)` where there is none.
        images: `(n,)` with the fields `STORED`: the number of the file of many images each is in, where in it, bytes, their
            SHA-256, pixels, upright.
        kinds: `(n,)` uint8, indices into `kind_names`.
        kind_names: Pillow's formats and modes, such as `JPEG RGB`.
    """

    ids: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    splits: np.ndarray
    groups: np.ndarray
    rows: np.ndarray
    images: np.ndarray
    kinds: np.ndarray
    kind_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, chosen: np.ndarray) -> "ImageTable":
        """Return the images at `chosen` (positions, or a mask), in that order."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: array[chosen] for name, array in arrays.items() if isinstance(array, np.ndarray) and len(array)}
        return replace(self, **kept)

    def divisible(self) -> Divisible:
        """Return what their division into splits depends on."""
        return Divisible(self.splits, self.labels, self.names, self.images["sha256"], self.groups)


class StoredImage(NamedTuple):
    """Where the bytes of one image are: `size` of them from `offset` on, in the file with the number `container`."""

    id: str
    container: int
    offset: int
    size: int


class ImageReader(Protocol):
    """What gives the bytes of images; used by several threads at once."""

    @property
    def threads(self) -> int:
        """How many images to read and decode at the same time."""

    def read(self, image: StoredImage) -> bytes:
        """Return an image's bytes, or raise `UnusableImage`."""

    def location(self, image: StoredImage) -> str:
        """Return an image's place as messages name it."""


class ImageDataset(Dataset):
    """Images that are decoded and resized when they are asked for.

    Args:
        title: see `Dataset`.
        tables: the images of each split.
        reader: what gives their bytes.
        resizing: what every image becomes.
        memory: what decoding them gave before; of the same resizing, but for the ranges.
        max_pixels: the largest width x height.
        identity: see `Dataset`.
        notices: see `Dataset`.
        group_candidates: see `Dataset`.
        drawn: how the test split was drawn; None where it was not.
    """

    def __init__(
        self,
        title: str,
        tables: Mapping[str, ImageTable],
        *,
        reader: ImageReader,
        resizing: Resizing,
        memory: PixelMemory,
        max_pixels: int,
        identity: Mapping[str, Any],
        notices: tuple[str, ...],
        group_candidates: tuple[str, ...] = (),
        drawn: DrawnTest | None = None,
    ) -> None:
        self.title = title
        self.notices = notices
        self.drawn_test = drawn is not None
        self._drawn = drawn
        self.group_candidates = group_candidates
        names = {table.names[i] for table in tables.values() for i in np.unique(table.labels)}
        self.class_names = tuple(sorted(names, key=natural_key))
        self.image_shape = (*resizing.size, 3)
        self.identity = {DECODING: RECIPE, **identity}
        self.splits = {split: Samples(table.ids, self._labels(table)) for split, table in tables.items()}
        if any(len(table.groups) for table in tables.values()):
            self.groups = {split: table.groups for split, table in tables.items()}
        self._tables = tables
        self._reader, self._resizing, self._memory, self._max_pixels = reader, resizing, memory, max_pixels

    def images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset`.

        Raises:
            ChangedImage: an image that is not in the memory is no longer what was scanned.
        """
        out = np.empty((len(indices), *self.image_shape), np.uint8)

        def fill(place: int) -> None:
            out[place] = self._image(self._tables[split], int(indices[place]))

        self._for_each(range(len(indices)), fill)
        return out

    def whole_images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset`.

        Raises:
            ChangedImage: see `images`.
        """
        if self._resizing.shows_all:
            return self.images(split, indices)
        out, table = np.empty((len(indices), *self.image_shape), np.uint8), self._tables[split]

        def fill(place: int) -> None:
            out[place] = self._fitted_and_whole(table, int(indices[place])).whole

        self._for_each(range(len(indices)), fill)
        return out

    def perceptual_hashes(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset`; each image is hashed once, for good.

        Raises:
            ChangedImage: see `images`.
        """
        table = self._tables[split]
        known, out = self._memory.hashes(table.images["sha256"][indices])

        def fill(place: int) -> None:
            index = int(indices[place])
            decoded, stored = self._fitted_and_whole(table, index), table.images[index]
            if self._resizing.ranges:  # which the memory does not know
                out[place] = perceptual_hash(decoded.whole[None])[0]
            else:
                out[place] = self._memory.keep(stored["sha256"].tobytes(), decoded, int(stored["size"]))

        if not known.all():
            with self._memory.keeping():
                self._for_each(np.flatnonzero(~known).tolist(), fill)
        return out

    def _for_each(self, places: Iterable[int], work: Callable[[int], None]) -> None:
        with ThreadPoolExecutor(self._reader.threads, "decode") as pool, decoding_settings(self._max_pixels):
            for _ in pool.map(work, places):
                pass

    def origin(self, split: str, index: int) -> ImageOrigin:
        """See `Dataset.origin`."""
        table, stored = self._tables[split], _stored(self._tables[split], index)
        row = int(table.rows[index]) if len(table.rows) else 0
        image, (format, _, mode) = table.images[index], table.kind_names[table.kinds[index]].partition(" ")
        return ImageOrigin(
            location=self._reader.location(stored),
            path_in_class=stored.id if row else path_in_class(stored.id, table.names[table.labels[index]]),
            row=row,
            size=stored.size,
            sha256=image["sha256"].tobytes().hex(),
            header=Header(int(image["width"]), int(image["height"]), mode, format),
            read=partial(self._reader.read, stored),
            pixels=lambda size: self._small(table, index, size),
        )

    @property
    def redrawable(self) -> bool:
        """See `Dataset.redrawable`."""
        return self._drawn is not None

    def redrawn(self, seed: int) -> RearrangedDataset:
        """See `Dataset.redrawn`.

        Raises:
            RequestError: this draw has no test split with images of every class; see `draw_test`.
        """
        assert self._drawn
        labels = {split: table.labels for split, table in self._tables.items()}
        return redrawn(self, labels, self._tables["train"].names, self._drawn, seed)

    def contents(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.contents`."""
        hashes: np.ndarray = self._tables[split].images["sha256"][indices]
        return hashes

    def _labels(self, table: ImageTable) -> np.ndarray:
        """Return the labels as indices into the class names, in their natural order."""
        numbers = {name: number for number, name in enumerate(self.class_names)}
        return np.array([numbers.get(name, -1) for name in table.names], np.int64)[table.labels]

    def _image(self, table: ImageTable, index: int) -> np.ndarray:
        kept = self._kept(table, index)
        with self._unchanged(table, index):
            return self._loaded(load_bytes, table, index, self._resizing) if kept is None else kept

    def _fitted_and_whole(self, table: ImageTable, index: int) -> Decoded:
        kept = self._kept(table, index) if self._resizing.shows_all else None
        with self._unchanged(table, index):
            return self._loaded(load_both, table, index, self._resizing) if kept is None else Decoded(kept, kept)

    def _small(self, table: ImageTable, index: int, size: tuple[int, int]) -> np.ndarray:
        """Return all of an image in another size, to be looked at: from the memory where it has enough pixels."""
        resizing, kept = replace(self._resizing.whole, size=size), self._memory.whole(_content(table, index))
        if kept is None or np.greater(size, kept.shape[:2]).any():
            return self._loaded(load_bytes, table, index, resizing)
        return resized(kept, resizing)

    def _kept(self, table: ImageTable, index: int) -> np.ndarray | None:
        return self._memory.pixels(_content(table, index))

    def _loaded(
        self, load: Callable[[bytes, Resizing, str, int], T], table: ImageTable, index: int, resizing: Resizing
    ) -> T:
        content = self._reader.read(_stored(table, index))
        return load(content, resizing, _content(table, index).hex(), self._max_pixels)

    @contextmanager
    def _unchanged(self, table: ImageTable, index: int) -> Iterator[None]:
        try:
            yield
        except UnusableImage as problem:
            location = self._reader.location(_stored(table, index))
            raise ChangedImage(
                f"'{location}' is no longer what it was at the start: {problem}. Put it back."
            ) from problem


def _stored(table: ImageTable, index: int) -> StoredImage:
    return StoredImage(str(table.ids[index]), *table.images[["container", "offset", "size"]][index].item())


def _content(table: ImageTable, index: int) -> bytes:
    found: bytes = table.images["sha256"][index].tobytes()
    return found


def path_in_class(identifier: str, label: str) -> str:
    """Return the path below the class folder; all of it where no folder says the class."""
    *folders, _ = identifier.split("/")
    for alike in (plain_label, plain_name):
        found = [place for place, name in enumerate(folders) if alike(name) == alike(label)]
        if found:
            return "/".join(identifier.split("/")[found[0] + 1 :])
    return identifier
