"""What every data set offers: ids, labels, class names, and images one batch at a time."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from bottleneck_features.features import Places, rows_at
from bottleneck_features.pipeline.datasets.pixels.decoding import Header
from bottleneck_features.pipeline.datasets.pixels.perceptual import hash_type, perceptual_hash
from bottleneck_features.pipeline.datasets.splitting import stratified_draw
from bottleneck_features.pipeline.datasets.texts import joined

HASHED_AT_ONCE = 2048  # images
SHA256_BYTES = 32
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
        groups: `(n,)` strings a split, where samples of the same group must not be parted; empty where there are none.
        identity: what else, besides the content, changes the pixels that `images` gives.
        notices: sentences a reader of any number from these data must know.
        group_candidates: columns that look like groups, where no groups were asked for.
        drawn_test: whether the test split was drawn; else the data bring one, or there is none.
        places: where the images of each split are in the data set that this one rearranges; empty for any other.
    """

    title: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    splits: Mapping[str, Samples]
    groups: Mapping[str, np.ndarray] = MappingProxyType({})
    identity: Mapping[str, Any] = MappingProxyType({})
    notices: tuple[str, ...] = ()
    group_candidates: tuple[str, ...] = ()
    drawn_test: bool = False
    places: Mapping[str, Places] = MappingProxyType({})

    @abstractmethod
    def images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """Return the images at `indices` of a split as a `(len(indices), height, width, 3)` uint8 RGB array."""

    def whole_images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """Return the same, but all of each image where `images` crops or pads: its aspect is lost."""
        return self.images(split, indices)

    def perceptual_hashes(self, split: str, indices: np.ndarray) -> np.ndarray:
        """Return the perceptual hashes (see `perceptual_hash`) of whole images at `indices` of a split, `(len(indices),)`."""
        out = np.empty(len(indices), hash_type(*self.image_shape[:2]))
        step = max(1, HASHED_BYTES // int(np.prod(self.image_shape)))
        with threadpool_limits(1, user_api="blas"):  # threads would wait for one another at each small image
            for start in range(0, len(indices), step):
                out[start : start + step] = perceptual_hash(self.whole_images(split, indices[start : start + step]))
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

    @property
    def redrawable(self) -> bool:
        """Whether the test split was drawn from all images, so that another one can be."""
        return False

    def redrawn(self, seed: int) -> "Dataset":
        """Return the data set that another `dataset.split_seed` makes of the same images, where it is `redrawable`."""
        raise NotImplementedError

    def contents(self, split: str, indices: np.ndarray) -> np.ndarray:
        """Return the SHA-256 of what each of some images is made from, its pixels or its file, as `(n, 32)` uint8."""
        starts = range(0, len(indices), HASHED_AT_ONCE)
        hashes = [content_hashes(self.images(split, indices[start : start + HASHED_AT_ONCE])) for start in starts]
        return np.concatenate(hashes) if hashes else np.empty((0, SHA256_BYTES), np.uint8)

    def fingerprint(self, split: str) -> str:
        """Return the SHA-256 of the ids and the contents of a split, 64 hexadecimal digits."""
        samples = self.splits[split]
        digest = hashlib.sha256(repr(len(samples)).encode())
        for block in joined(samples.ids):
            digest.update(block)
        digest.update(self.contents(split, np.arange(len(samples))).tobytes())
        return digest.hexdigest()


def content_hashes(images: np.ndarray) -> np.ndarray:
    """Return the SHA-256 of each of `(n, height, width, 3)` uint8 images and of their shape, as `(n, 32)` uint8."""
    shape = repr(images.shape[1:]).encode()
    hashes = b"".join(hashlib.sha256(shape + image.tobytes()).digest() for image in images)
    return np.frombuffer(hashes, np.uint8).reshape(-1, SHA256_BYTES)


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


class SelectedDataset(Dataset):
    """Some images of another data set.

    Args:
        whole: the other one.
        kept: `(n,)` sorted positions of each split.
    """

    def __init__(self, whole: Dataset, kept: Mapping[str, np.ndarray]) -> None:
        self.title = whole.title
        self.class_names = whole.class_names
        self.image_shape = whole.image_shape
        self.identity = whole.identity
        self.notices = whole.notices
        self.group_candidates = whole.group_candidates
        self.drawn_test = whole.drawn_test
        self.splits = {split: whole.splits[split].take(places) for split, places in kept.items()}
        self.groups = {split: whole.groups[split][places] for split, places in kept.items() if split in whole.groups}
        self._whole, self._kept = whole, kept

    def images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.images`."""
        return self._whole.images(split, self._kept[split][indices])

    def whole_images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.whole_images`."""
        return self._whole.whole_images(split, self._kept[split][indices])

    def perceptual_hashes(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.perceptual_hashes`."""
        return self._whole.perceptual_hashes(split, self._kept[split][indices])

    def origin(self, split: str, index: int) -> ImageOrigin | None:
        """See `Dataset.origin`."""
        return self._whole.origin(split, int(self._kept[split][index]))

    def contents(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.contents`."""
        return self._whole.contents(split, self._kept[split][indices])


class LimitedDataset(SelectedDataset):
    """At most `limit` images a split of another data set, stratified and the same ones every time."""

    def __init__(self, whole: Dataset, limit: int) -> None:
        kept = {split: stratified_sample(samples.labels, limit) for split, samples in whole.splits.items()}
        super().__init__(whole, kept)
        self.title = f"{whole.title}, at most {limit:,} images a split"


class RearrangedDataset(Dataset):
    """The images of another data set in other splits.

    Args:
        whole: the other data set.
        places: where the images of each new split are in it; its splits of other names stay.
    """

    def __init__(self, whole: Dataset, places: Mapping[str, Places]) -> None:
        self.title, self.class_names, self.image_shape = whole.title, whole.class_names, whole.image_shape
        self.identity, self.notices = whole.identity, whole.notices
        self.group_candidates, self.drawn_test, self.places = whole.group_candidates, whole.drawn_test, places
        self._whole, self._places = whole, places
        self.splits = {**whole.splits, **{split: self._samples(own) for split, own in places.items()}}
        new = {split: rows_at(own, whole.groups) for split, own in places.items()} if whole.groups else {}
        self.groups = {**whole.groups, **new}

    def images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.images`."""
        return self._gathered(self._whole.images, split, indices, np.empty((0, *self.image_shape), np.uint8))

    def whole_images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.whole_images`."""
        return self._gathered(self._whole.whole_images, split, indices, np.empty((0, *self.image_shape), np.uint8))

    def perceptual_hashes(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.perceptual_hashes`."""
        like = np.empty(0, hash_type(*self.image_shape[:2]))
        return self._gathered(self._whole.perceptual_hashes, split, indices, like)

    def origin(self, split: str, index: int) -> ImageOrigin | None:
        """See `Dataset.origin`."""
        return self._whole.origin(*self._place(split, index))

    def contents(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.contents`."""
        return self._gathered(self._whole.contents, split, indices, np.empty((0, SHA256_BYTES), np.uint8))

    def _gathered(
        self, read: Callable[[str, np.ndarray], np.ndarray], split: str, indices: np.ndarray, like: np.ndarray
    ) -> np.ndarray:
        if split not in self._places:
            return read(split, indices)
        return self._places[split].take(indices).gathered(read, like)

    def _place(self, split: str, index: int) -> tuple[str, int]:
        if split not in self._places:
            return split, index
        places = self._places[split]
        return places.names[places.splits[index]], int(places.indices[index])

    def _samples(self, places: Places) -> Samples:
        own = {split: self._whole.splits[split] for split in places.names}
        ids = rows_at(places, {split: samples.ids for split, samples in own.items()})
        return Samples(ids, rows_at(places, {split: samples.labels for split, samples in own.items()}))


def stratified_sample(labels: np.ndarray, limit: int) -> np.ndarray:
    """Return sorted indices of at most `limit` samples, each class as frequent as in `labels`, and at least once.

    Args:
        labels: `(n,)` integer array.
        limit: the number of samples wanted, at least the number of classes.
    """
    if limit >= len(labels):
        return np.arange(len(labels))
    return stratified_draw(labels, limit, LIMIT_SEED, left=0)
