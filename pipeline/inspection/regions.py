"""A frame or a stamp on the images of one class: the border and the corners of pictures against what is beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.dataset import stratified_sample

MOST = 5000  # images looked at, drawn stratified
FEWEST = 20  # images of a class
SMALLEST = 32  # pixels a side: with fewer the border is a part of what is shown
_AT_A_TIME = 256
BORDER = "border"
CORNERS = ("top left corner", "top right corner", "bottom left corner", "bottom right corner")
SQUARES = (0.03, 0.05, 0.08, 0.12)  # of the side: corners that are compared with as wide a ring around them
STRIPS = (0.0, 0.01, 0.02, 0.04)  # of the side, a pixel at least: strips compared with as wide ones beside them
# Standard deviations, and how many times the same further inside; docs/results.md has what planted stamps and real data give.
ENOUGH, ABOVE_INSIDE = 0.7, 2.0
GREY_LEVELS = 2.0  # a step of so few is none, however alike the images are


@dataclass(frozen=True)
class Region:
    """The border or a corner.

    Attributes:
        name: of it.
        values: `(n, d)`, by how much it is lighter than what is beside it, in grey levels, at several widths and in each colour.
        marks: by how many standard deviations it sets the images of a class apart, the most first; empty where it does not.
    """

    name: str
    values: np.ndarray
    marks: Mapping[int, float]


def looked_at(labels: np.ndarray) -> np.ndarray:
    """Return the positions of at most 5,000 images, stratified and the same ones every time."""
    return stratified_sample(labels, MOST)


def find_marks(dataset: Dataset, labels: np.ndarray, chosen: np.ndarray) -> tuple[Region, ...]:
    """Compare the border and each corner of images with what is beside them.

    Pictures change little over a short way, and not always in the same direction; a frame or a stamp ends at the same place in
    every image. A region is marked for a class of 20 images or more if its step there is at least 0.7 standard deviations away
    from none and from that of the other classes, and twice as many as in the same regions of the middle of the images; but not if
    another class has more than twice as many, which makes the others differ from it. A border counts by two of its four sides.

    Args:
        dataset: the open data set.
        labels: `(n,)` integers, of the chosen images.
        chosen: `(n,)` positions in the images of all splits, one split after the other, from `looked_at`.

    Returns:
        The border and the four corners; none where images have fewer than 32 pixels a side.
    """
    if min(dataset.image_shape[:2]) < SMALLEST:
        return ()
    blocks = [(_steps(images), _steps(_middle(images))) for images in _images(dataset, chosen)]
    outer, inner = (_joined([block[part] for block in blocks]) for part in (0, 1))
    inside = {label: max(_effects(steps, labels, label) for steps in inner.values()) for label in _large(labels)}
    return tuple(_region(name, steps, labels, inside) for name, steps in outer.items())


def _region(name: str, steps: np.ndarray, labels: np.ndarray, inside: Mapping[int, float]) -> Region:
    effects = {label: _effects(steps, labels, label) for label in inside}
    most = max(effects.values(), default=0.0)
    marked = [label for label, own in effects.items() if own >= max(ENOUGH, ABOVE_INSIDE * inside[label], most / 2)]
    marks = {label: effects[label] for label in sorted(marked, key=effects.__getitem__, reverse=True)}
    return Region(name, steps.reshape(len(steps), -1), marks)


def _large(labels: np.ndarray) -> Sequence[int]:
    return np.flatnonzero(np.bincount(labels) >= FEWEST).tolist()


def _effects(steps: np.ndarray, labels: np.ndarray, label: int) -> float:
    """Return the greatest effect over widths and colours, of `(n, sides, widths, colours)`: that of the second side of four."""
    own, others = steps[labels == label], steps[labels != label]
    if not len(others):
        return 0.0
    spread = np.maximum(own.std(axis=0), GREY_LEVELS)
    both = np.maximum(np.sqrt((own.var(axis=0) + others.var(axis=0)) / 2), GREY_LEVELS)
    from_none, from_others = own.mean(axis=0) / spread, (own.mean(axis=0) - others.mean(axis=0)) / both
    found = np.minimum(np.abs(from_none), np.abs(from_others))
    return float(np.sort(found, axis=0)[-min(2, len(found))].max())


def _images(dataset: Dataset, chosen: np.ndarray) -> Iterator[np.ndarray]:
    start = 0
    for split, samples in dataset.splits.items():
        own = chosen[(chosen >= start) & (chosen < start + len(samples))] - start
        for first in range(0, len(own), _AT_A_TIME):
            yield dataset.whole_images(split, own[first : first + _AT_A_TIME]).astype(np.float32)
        start += len(samples)


def _middle(images: np.ndarray) -> np.ndarray:
    height, width = images.shape[1:3]
    return images[:, height // 4 : height - height // 4, width // 4 : width - width // 4]


def _joined(blocks: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _steps(images: np.ndarray) -> dict[str, np.ndarray]:
    """Return `(n, sides, widths, colours)` of the border, of four sides, and of every corner, of one."""
    corners = {
        name: _corner(images[:, :: -1 if number > 1 else 1, :: -1 if number % 2 else 1])[:, None]
        for number, name in enumerate(CORNERS)
    }
    across = images.swapaxes(1, 2)
    sides = (images, images[:, ::-1], across, across[:, ::-1])
    return {BORDER: np.stack([_side(lines) for lines in sides], axis=1), **corners}


def _side(lines: np.ndarray) -> np.ndarray:
    """Compare strips of several widths, at the start of the second axis, with as wide ones beside them."""
    widths = [max(1, round(share * lines.shape[1])) for share in STRIPS]
    return np.stack(
        [lines[:, :wide].mean(axis=(1, 2)) - lines[:, wide : 2 * wide].mean(axis=(1, 2)) for wide in widths], axis=1
    )


def _corner(images: np.ndarray) -> np.ndarray:
    """Compare squares of several sizes at the top left with the rings around them."""
    found = []
    for share in SQUARES:
        side = max(1, round(share * min(images.shape[1:3])))
        own, both = (images[:, :wide, :wide].mean(axis=(1, 2)) for wide in (side, 2 * side))
        found.append(own - (4 * both - own) / 3)
    return np.stack(found, axis=1)
