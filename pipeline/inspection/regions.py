"""How the border and the corners of pictures differ from what is beside them: a frame or a stamp on the images of one class."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.dataset import stratified_sample
from bottleneck_features.pipeline.inspection.hints import Hint

MOST = 5000  # images looked at, drawn stratified
_AT_A_TIME = 256
CORNERS = ("top left", "top right", "bottom left", "bottom right")
STAMPS = (0.05, 0.12)  # of the side: corners that are looked at, the size of a stamp
BESIDE = 2.5  # their own size further in: what a corner is compared with
INSIDE = 0.25  # of the side: so far inside lies what pictures tell there without border and corners
DEEP = 0.08  # of the side: how far from the outermost pixels the strip is that these are compared with


def looked_at(labels: np.ndarray) -> np.ndarray:
    """Return the positions of at most 5,000 images, stratified and the same ones every time."""
    return stratified_sample(labels, MOST)


def region_hints(dataset: Dataset, chosen: np.ndarray) -> tuple[Hint, ...]:
    """Return what the border and each corner of images tell, and what parts as large further inside tell.

    Each part is compared with the same image further in: pictures change little over a short way, while a frame or a stamp
    ends. So what a picture shows near its border is hardly in these numbers, and what of it is, is in those of the inner parts
    too.

    Args:
        dataset: the open data set.
        chosen: `(n,)` positions in the images of all splits, one split after the other, from `looked_at`.
    """
    rows = [np.concatenate(own) for own in zip(*map(_described, _images(dataset, chosen)), strict=True)]
    names = ("border of the pictures", *(f"{name} corner of the pictures" for name in CORNERS))
    outer, inner = rows[: len(names)], rows[len(names) :]
    return tuple(Hint(name, own, control=beside) for name, own, beside in zip(names, outer, inner, strict=True))


def _images(dataset: Dataset, chosen: np.ndarray) -> Iterator[np.ndarray]:
    start = 0
    for split, samples in dataset.splits.items():
        own = chosen[(chosen >= start) & (chosen < start + len(samples))] - start
        for first in range(0, len(own), _AT_A_TIME):
            yield dataset.whole_images(split, own[first : first + _AT_A_TIME]).astype(np.float32)
        start += len(samples)


def _described(images: np.ndarray) -> list[np.ndarray]:
    """Return the numbers of the border and of each corner, then those of the parts further inside, each `(n, d)`."""
    every = [_turned(images, number) for number in range(len(CORNERS))]
    return [
        part
        for inside in (0.0, INSIDE)
        for part in (_border(images, inside), *map(partial(_corner, inside=inside), every))
    ]


def _turned(images: np.ndarray, corner: int) -> np.ndarray:
    """Return the images with a corner, by its number in `CORNERS`, at the top left."""
    return images[:, :: -1 if corner > 1 else 1, :: -1 if corner % 2 else 1]


def _border(images: np.ndarray, inside: float) -> np.ndarray:
    """Compare a line of pixels on each side with one further in."""
    height, width = images.shape[1:3]
    found = []
    for lines, side in ((images, height), (images.swapaxes(1, 2), width)):
        near = round(inside * side)
        far = near + max(2, round(DEEP * side))
        for own, beside in ((lines[:, near], lines[:, far]), (lines[:, side - 1 - near], lines[:, side - 1 - far])):
            found += [own.mean(axis=1) - beside.mean(axis=1), _spread(own, (1,)) - _spread(beside, (1,))]
    return np.concatenate(found, axis=1)


def _corner(images: np.ndarray, inside: float) -> np.ndarray:
    """Compare squares of two sizes at the top left with squares diagonally further in."""
    height, width = images.shape[1:3]
    found = []
    for share in STAMPS:
        own, beside = (
            _square(images, (round(start * height), round(start * width)), max(2, round(share * min(height, width))))
            for start in (inside, inside + BESIDE * share)
        )
        found += [own.mean(axis=(1, 2)) - beside.mean(axis=(1, 2)), _spread(own, (1, 2)) - _spread(beside, (1, 2))]
    return np.concatenate(found, axis=1)


def _square(images: np.ndarray, place: tuple[int, int], side: int) -> np.ndarray:
    top, left = place
    return images[:, top : top + side, left : left + side]


def _spread(part: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return part.std(axis=axes).mean(axis=1, keepdims=True)
