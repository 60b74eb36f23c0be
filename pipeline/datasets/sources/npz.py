"""An .npz of arrays as a data set: images, labels, and perhaps groups, ids and splits."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bottleneck_features.errors import enumerated
from bottleneck_features.features.labels import Labels, class_names, numbered, read_labels, require_trained_classes
from bottleneck_features.features.npyfiles import SavedArray
from bottleneck_features.pipeline.datasets.corrections.arrays import usable_arrays
from bottleneck_features.pipeline.datasets.dataset import Dataset, Samples
from bottleneck_features.pipeline.datasets.divided_arrays import divided_arrays
from bottleneck_features.pipeline.datasets.pixels.array_values import BRIGHT
from bottleneck_features.pipeline.datasets.sources.npz_arrays import FoundArrays, ImageArrays, find_arrays
from bottleneck_features.pipeline.datasets.sources.npz_pixels import ArrayPixels
from bottleneck_features.pipeline.datasets.texts import factorized, text_array
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment

SHOWN = 5


def open_npz(experiment: Experiment, home: Path) -> Dataset:
    """Open `dataset.path` as an .npz of arrays; a test split is drawn by the rules of image files.

    Args:
        experiment: its `dataset` section.
        home: the artifacts folder, where what was found in the images is remembered.

    Raises:
        RequestError: images or labels cannot be found, or are none; or nothing can be learnt from them.
        features.ImportRefused: the file is no .npz or is damaged, or the labels are no classes.
    """
    settings = experiment.dataset
    found = find_arrays(settings.path, ("train",) if settings.learned else ())
    labels = {split: read_labels(own.labels) for split, own in found.splits.items()}
    if settings.learned:
        require_trained_classes(labels)
    whole = ArrayFile(found, labels, home)
    return divided_arrays(usable_arrays(whole, settings), settings)


class ArrayFile(Dataset):
    """The images of an .npz in the splits that the names of its arrays say; all are for training where they say none.

    Args:
        found: its arrays.
        labels: of each split.
        home: see `ArrayPixels`.

    Raises:
        RequestError: see `open_npz`.
    """

    def __init__(self, found: FoundArrays, labels: Mapping[str, Labels], home: Path) -> None:
        self._pixels = {split: ArrayPixels(own.images, home) for split, own in found.splits.items()}
        _require_alike(found, self._pixels)
        self.class_names = class_names(labels)
        ids = {split: _ids(own, split if found.named else "image") for split, own in found.splits.items()}
        _require_unique(ids)
        self.splits = {split: Samples(ids[split], numbered(own, self.class_names)) for split, own in labels.items()}
        groups = {split: _texts(own.groups) for split, own in found.splits.items() if own.groups}
        if groups and len(groups) < len(found.splits):
            raise RequestError(
                f"'{found.path}' says the groups of some splits only: give `groups` for each, or for none."
            )
        self.groups = groups
        self.title = f"{found.path.name} ({sum(map(len, self.splits.values())):,} images)"
        self.image_shape = next(iter(self._pixels.values())).shape
        self.notices = (*found.notices, *_dark(self._pixels))

    def images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.images`."""
        return self._pixels[split].rows(indices)

    def contents(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.contents`; they are remembered, and the pixels not read again."""
        hashes: np.ndarray = self._pixels[split].looked.contents[indices]
        return hashes


def _require_alike(found: FoundArrays, pixels: Mapping[str, ArrayPixels]) -> None:
    """Refuse splits whose images differ in size, or in what is white."""
    for what, of in (("size", lambda own: own.shape[:2]), ("range of values", lambda own: own.looked.white)):
        if len({of(own) for own in pixels.values()}) > 1:
            said = ", ".join(
                f"{found.splits[split].images} up to {own.looked.largest:g}" for split, own in pixels.items()
            )
            raise RequestError(
                f"The images of all splits of '{found.path}' must have one {what}: save them alike, or leave out a split. "
                f"Received: {said}"
            )


def _ids(own: ImageArrays, prefix: str) -> np.ndarray:
    if own.ids is not None:
        return _texts(own.ids)
    return np.array([f"{prefix}-{row:05d}" for row in range(own.images.shape[0])])


def _require_unique(ids: Mapping[str, np.ndarray]) -> None:
    names, codes = factorized(text_array(str(name) for own in ids.values() for name in own))
    counts = np.bincount(codes)
    if twice := [names[i] for i in np.flatnonzero(counts > 1)]:
        raise RequestError(f"`ids` must differ. There more than once: {enumerated(map(repr, twice), SHOWN)}")


def _texts(array: SavedArray) -> np.ndarray:
    """Return `(n,)` texts or whole numbers as text."""
    if len(array.shape) != 1 or array.dtype.kind not in "iuUS":
        raise RequestError(
            f"`groups` and `ids` are texts or whole numbers, one for each image. Received: {array.place}, {array.dtype} of "
            f"shape {array.shape}"
        )
    (values,) = array.rows([slice(0, array.shape[0])])
    try:
        texts = values.astype("U") if array.dtype.kind != "S" else np.strings.decode(values, "utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(f"{array.place} is no valid text (UTF-8).") from error
    if not np.strings.str_len(texts).all():
        raise RequestError(f"{array.place} is empty in row {int(np.argmin(np.strings.str_len(texts))):,}.")
    return text_array(texts.tolist())


def _dark(pixels: Mapping[str, ArrayPixels]) -> tuple[str, ...]:
    largest = max(own.looked.largest for own in pixels.values())
    if any(own.looked.white == 1 for own in pixels.values()) or largest >= BRIGHT:
        return ()
    return (
        f"Data: the largest value of all images is {largest:g}, and white is 255. If {largest:g} is meant to be white, save "
        f"(x.astype(float) * 255 / {largest:g}).round().astype('uint8').",
    )
