"""What every data set offers: ids, labels, class names, and images one batch at a time."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from bottleneck_features.pipeline.datasets.pixels.decoding import Header
from bottleneck_features.pipeline.datasets.pixels.perceptual import hash_type, perceptual_hash
from bottleneck_features.pipeline.datasets.splitting import stratified_draw
from bottleneck_features.pipeline.datasets.texts import joined

FINGERPRINT_BATCH = 2048
HASHED_BYTES = 8 << 20  # of the images that are in memory while they are hashed
LIMIT_SEED = 0


@dataclass(frozen=True)
class Samples:
    """The samples of one split in their fixed order.

    Attributes:
        ids: `(n,)` array of unique strings, stable between runs.
        labels: `(n,)` int64 array, indices into the data set's class names.
    """

    ids: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, indices: np.ndarray) -> "Samples":
        """Return the samples at `indices`, in that order."""
        return Samples(self.ids[indices], self.labels[indices])


@dataclass(frozen=True)
class ImageOrigin:
    """The file, or the place in a file of many images, that an image comes from.

    Attributes:
        location: as a message names it.
        path_in_class: its path below the folder that says its class, which is the whole path where none does.
        row: of the table that names it, counting its header as 1; 0 where there is none.
        size: in bytes.
        sha256: of its bytes, in hexadecimal digits.
        header: what the file says of its picture.
        read: returns its bytes; raises `UnusableImage`.
        pixels: returns its picture, upright, as `(height, width, 3)` uint8 of a size `(height, width)`; raises `UnusableImage`.
    """

    location: str
    path_in_class: str
    row: int
    size: int
    sha256: str
    header: Header
    read: Callable[[], bytes]
    pixels: Callable[[tuple[int, int]], np.ndarray]


class Dataset(ABC):
    """Images of one size with ids and labels, in splits.

    Attributes:
        title: how reports name the data, such as `CIFAR-10`.
        class_names: the classes; a label is an index into them.
        image_shape: `(height, width, 3)` of every image.
        splits: the samples of each split, by its name (`train`, perhaps `validation` and `test`).
        files: the files the content comes from; empty for data that are made.
        groups: `(n,)` strings a split, where samples of the same group must not be parted; empty where there are none.
        identity: what else, besides the content, changes the pixels that `images` gives.
        notices: sentences a reader of any number from these data must know.
        group_candidates: columns that look like groups, where no groups were asked for.
    """

    title: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    splits: Mapping[str, Samples]
    files: tuple[Path, ...] = ()
    groups: Mapping[str, np.ndarray] = MappingProxyType({})
    identity: Mapping[str, Any] = MappingProxyType({})
    notices: tuple[str, ...] = ()
    group_candidates: tuple[str, ...] = ()

    @abstractmethod
    def images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """Return the images at `indices` of a split as a `(len(indices), height, width, 3)` uint8 RGB array."""

    def perceptual_hashes(self, split: str, indices: np.ndarray) -> np.ndarray:
        """Return the perceptual hash (see `perceptual_hash`) of the images at `indices` of a split; `(len(indices),)` records."""
        out = np.empty(len(indices), hash_type(*self.image_shape[:2]))
        step = max(1, HASHED_BYTES // int(np.prod(self.image_shape)))
        with threadpool_limits(1, user_api="blas"):  # threads would wait for one another at each small image
            for start in range(0, len(indices), step):
                out[start : start + step] = perceptual_hash(self.images(split, indices[start : start + step]))
        return out

    def origin(self, split: str, index: int) -> ImageOrigin | None:
        """Return where a sample comes from; None for data that are no image files."""
        return None

    def origins(self) -> Iterator[ImageOrigin]:
        """Give where every sample of every split comes from; nothing for data that are no image files."""
        for split, samples in self.splits.items():
            for index in range(len(samples)):
                if origin := self.origin(split, index):
                    yield origin

    def content(self, split: str, indices: np.ndarray) -> bytes:
        """Return what stands for the content of some images in a fingerprint: their pixels, or a hash of their files."""
        return self.images(split, indices).tobytes()

    def fingerprint(self, split: str) -> str:
        """Return the SHA-256 of the split's ids, labels, class names and content, read one batch at a time."""
        samples = self.splits[split]
        digest = hashlib.sha256(repr((self.class_names, self.image_shape)).encode())
        for block in joined(samples.ids):
            digest.update(block)
        digest.update(samples.labels.astype("<i8").tobytes())
        for start in range(0, len(samples), FINGERPRINT_BATCH):
            indices = np.arange(start, min(start + FINGERPRINT_BATCH, len(samples)))
            digest.update(self.content(split, indices))
        return digest.hexdigest()


class ArrayDataset(Dataset):
    """A data set small enough to be held as arrays.

    Args:
        title: see `Dataset`.
        class_names: see `Dataset`.
        images: uint8 arrays `(n, height, width, 3)` by split.
        splits: see `Dataset`.
        groups: see `Dataset`.
    """

    def __init__(
        self,
        title: str,
        class_names: tuple[str, ...],
        images: Mapping[str, np.ndarray],
        splits: Mapping[str, Samples],
        groups: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> None:
        self.title = title
        self.class_names = class_names
        self.image_shape = next(iter(images.values())).shape[1:]
        self.splits = splits
        self.groups = groups
        self._images = images

    def images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.images`."""
        return self._images[split][indices]


class LimitedDataset(Dataset):
    """At most `limit` images a split of another data set, stratified and the same ones every time."""

    def __init__(self, whole: Dataset, limit: int) -> None:
        self.title = f"{whole.title}, at most {limit:,} images a split"
        self.class_names = whole.class_names
        self.image_shape = whole.image_shape
        self.files = whole.files
        self.identity = whole.identity
        self.notices = whole.notices
        self.group_candidates = whole.group_candidates
        self._whole = whole
        self._kept = {split: stratified_sample(samples.labels, limit) for split, samples in whole.splits.items()}
        self.splits = {split: samples.take(self._kept[split]) for split, samples in whole.splits.items()}
        self.groups = {split: groups[self._kept[split]] for split, groups in whole.groups.items()}

    def images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.images`."""
        return self._whole.images(split, self._kept[split][indices])

    def perceptual_hashes(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.perceptual_hashes`."""
        return self._whole.perceptual_hashes(split, self._kept[split][indices])

    def origin(self, split: str, index: int) -> ImageOrigin | None:
        """See `Dataset.origin`."""
        return self._whole.origin(split, int(self._kept[split][index]))

    def content(self, split: str, indices: np.ndarray) -> bytes:
        """See `Dataset.content`."""
        return self._whole.content(split, self._kept[split][indices])


def stratified_sample(labels: np.ndarray, limit: int) -> np.ndarray:
    """Return sorted indices of at most `limit` samples, each class as frequent as in `labels`, and at least once.

    Args:
        labels: `(n,)` integer array.
        limit: the number of samples wanted, at least the number of classes.
    """
    if limit >= len(labels):
        return np.arange(len(labels))
    return stratified_draw(labels, limit, LIMIT_SEED, left=0)
