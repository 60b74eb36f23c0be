"""Images that are decoded and resized when they are asked for, wherever their bytes are."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np

from bottleneck_features.pipeline.datasets.base import Dataset, Origin, Origins, Samples
from bottleneck_features.pipeline.datasets.columns import Columns
from bottleneck_features.pipeline.datasets.decoding import REVISION, Resizing, UnusableImage, load_bytes
from bottleneck_features.pipeline.datasets.listing import natural_key
from bottleneck_features.pipeline.datasets.scan import FileRecord
from bottleneck_features.pipeline.errors import ChangedImage


class Stored(NamedTuple):
    """Where the bytes of one image are: `size` of them from `offset` on, in the file with the number `container`."""

    id: str
    container: int
    offset: int
    size: int


class Source(Protocol):
    """What gives the bytes of images; used by several threads at once."""

    @property
    def threads(self) -> int:
        """How many images to read and decode at the same time."""

    def read(self, image: Stored) -> bytes:
        """Return an image's bytes, or raise `UnusableImage`."""

    def where(self, image: Stored) -> str:
        """Return an image's place as messages name it."""


class ImageDataset(Dataset):
    """Images that are decoded and resized when they are asked for.

    Args:
        title: see `Dataset`.
        columns: the images of each split.
        source: what gives their bytes.
        resizing: what every image becomes.
        max_pixels: the largest width x height.
        identity: see `Dataset`.
        notices: see `Dataset`.
    """

    def __init__(
        self,
        title: str,
        columns: Mapping[str, Columns],
        source: Source,
        resizing: Resizing,
        max_pixels: int,
        identity: Mapping[str, Any],
        notices: tuple[str, ...],
    ) -> None:
        self.title = title
        self.notices = notices
        train = columns["train"]
        self.class_names = tuple(sorted((train.names[i] for i in np.unique(train.labels)), key=natural_key))
        self.image_shape = (*resizing.size, 3)
        self.identity = {"input.decoding": REVISION, **identity}
        self.splits = {split: Samples(part.ids, self._numbered(part)) for split, part in columns.items()}
        if any(len(part.groups) for part in columns.values()):
            self.groups = {split: part.groups for split, part in columns.items()}
        self.origins = {
            split: Origins(partial(self._origin, part), range(len(part))) for split, part in columns.items()
        }
        self._columns = columns
        self._source, self._resizing, self._max_pixels = source, resizing, max_pixels

    def images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset`.

        Raises:
            ChangedImage: an image is no longer what was scanned.
        """
        out = np.empty((len(indices), *self.image_shape), np.uint8)

        def fill(place: int) -> None:
            out[place] = self._image(self._columns[split], int(indices[place]))

        with ThreadPoolExecutor(self._source.threads, "decode") as pool:
            for _ in pool.map(fill, range(len(indices))):
                pass
        return out

    def content(self, split: str, indices: np.ndarray) -> bytes:
        return self._columns[split].sha256[indices].tobytes().hex().encode()

    def _numbered(self, part: Columns) -> np.ndarray:
        numbers = {name: number for number, name in enumerate(self.class_names)}
        return np.array([numbers.get(name, -1) for name in part.names], np.int64)[part.labels]

    def _image(self, part: Columns, index: int) -> np.ndarray:
        stored = _stored(part, index)
        try:
            content = self._source.read(stored)
            return load_bytes(content, self._resizing, part.sha256[index].tobytes().hex(), self._max_pixels)
        except UnusableImage as problem:
            raise ChangedImage(
                f"'{self._source.where(stored)}' is no longer what it was at the start: {problem}. Put it back."
            ) from problem

    def _origin(self, part: Columns, index: int) -> Origin:
        stored = _stored(part, index)
        row = int(part.rows[index]) if len(part.rows) else 0
        format, _, mode = part.kind_names[part.kinds[index]].partition(" ")
        record = FileRecord(
            stored.id, stored.size, 0, part.sha256[index].tobytes().hex(),
            int(part.widths[index]), int(part.heights[index]), mode, format,
        )  # fmt: skip
        below = stored.id if row else _below(stored.id, part.names[part.labels[index]])
        return Origin(self._source.where(stored), record, below, row, partial(self._source.read, stored))


def _stored(part: Columns, index: int) -> Stored:
    return Stored(str(part.ids[index]), int(part.containers[index]), int(part.offsets[index]), int(part.sizes[index]))


def _below(identifier: str, label: str) -> str:
    """The path below the class folder; all of it where no folder says the class."""
    _, folder, below = f"/{identifier}".partition(f"/{label}/")
    return below if folder else identifier
