"""A frame or a stamp on the images of one class: edges that lie at the same place, near the border or in a corner of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.dataset import stratified_sample

MOST, EACH = 1000, 40  # images looked at, drawn stratified: so many, or so many for each class where that is more
FEWEST = 20  # images of a class
FEWEST_TOLD = 10  # of them, in as many groups
SMALLEST = 32  # pixels a side: with fewer the border is a part of what is shown
_AT_A_TIME = 256
BORDER = "border"
CORNERS = ("top left corner", "top right corner", "bottom left corner", "bottom right corner")
# Shares of the side: how far from it edges are looked for, along it and in corners; where the strips begin that the border is
# compared with; how long the edges of stamps are.
DEPTH, REACH, FURTHER_IN, BANDS = 0.08, 0.20, (0.10, 0.30), (0.05, 0.10)
GREY_LEVELS = 10 * 224  # over the side: the least edge; in smaller pictures neighbouring pixels differ more
# The class against those that have the edge least: on the images that it was chosen on, and on others.
RIGHT, STILL_RIGHT = 0.90, 0.80
TRIED = 100  # limits of each edge
# How many more of its images a region tells than parts like it; docs/results.md has what planted marks and real data give.
ENOUGH = 0.20


@dataclass(frozen=True)
class Region:
    """The border or a corner.

    Attributes:
        name: of it.
        values: `(n, classes)` 0 or 1, which images have the edge of each class, chosen on other images.
        marks: of a class the share of its images that has its edge, 0..1; of those that a frame or a stamp there gives away, the
            most first.
        inside: the largest share of such a class that parts like it tell, 0..1.
    """

    name: str
    values: np.ndarray
    marks: Mapping[int, float]
    inside: float


def looked_at(labels: np.ndarray) -> np.ndarray:
    """Return the positions of at most 1,000 images, or 40 for each class, stratified and the same ones every time."""
    return stratified_sample(labels, max(MOST, EACH * len(np.unique(labels))))


def find_marks(
    dataset: Dataset, labels: np.ndarray, groups: np.ndarray | None, chosen: np.ndarray
) -> tuple[Region, ...]:
    """Look for edges at the same place in the images of one class, near the border and in each corner.

    A frame or a stamp ends at the same pixels in every image; what pictures show does not. An edge is the difference of
    neighbouring lines of pixels, averaged along a side, or along a short part of it in corners. For each class of 20 images or
    more the one edge and limit are taken that the most of its images exceed, and a third of the classes hardly does: a rule of
    one property (R. C. Holte, Very Simple Classification Rules Perform Well, 1993). It is chosen on one half of the images and
    counted on the other, groups are not parted. A class is marked if 10 of its images (or groups) have the edge, and 20 % more of
    them than have the best edge of parts of the same form where no mark is: strips further in for the border, the middles of the
    two sides for a corner; and than have the usual edge of the region. So plain backgrounds and objects that fill the picture
    mark no class.

    Args:
        dataset: the open data set.
        labels: `(n,)` integers, of the chosen images.
        groups: `(n,)`, of images that are not independent; None: all are.
        chosen: `(n,)` positions in the images of all splits, one split after the other, from `looked_at`.

    Returns:
        The border and the four corners; none where images have fewer than 32 pixels a side, or fewer than two classes are large
        enough.
    """
    classes = np.flatnonzero(np.bincount(labels) >= FEWEST)
    if min(dataset.image_shape[:2]) < SMALLEST or len(classes) < 2:
        return ()
    blocks = [_edges(images) for images in _images(dataset, chosen)]
    units = np.arange(len(labels)) if groups is None else groups
    folds = StratifiedGroupKFold(2, shuffle=True, random_state=0).split(labels, labels, units)
    halves = [half for half, _ in folds]
    least = GREY_LEVELS / min(dataset.image_shape[:2])
    found = []
    for name in (BORDER, *CORNERS):
        parts = (np.concatenate(part) for part in zip(*(block[name] for block in blocks), strict=True))
        own, *beside = (_told(part, labels, classes, halves, least) for part in parts)
        found.append(_region(name, own, beside, labels, units))
    return tuple(found)


class _Told(NamedTuple):
    """What each class's edge tells: `(n, classes)` bool, and the share of a class that has the usual edge, `(classes,)`."""

    has_it: np.ndarray
    usual: np.ndarray


def _region(name: str, own: _Told, beside: Sequence[_Told], labels: np.ndarray, units: np.ndarray) -> Region:
    marks, inside = {}, 0.0
    for label in range(own.has_it.shape[1]):
        hits = own.has_it[:, label] & (labels == label)
        if len(np.unique(units[hits])) < FEWEST_TOLD:
            continue
        shares = _shares(own.has_it[:, label], labels)
        elsewhere = max(own.usual[label], *(_shares(part.has_it[:, label], labels)[label] for part in beside))
        right = shares[label] >= STILL_RIGHT * (shares[label] + _least(shares))
        if right and shares[label] - elsewhere >= ENOUGH:
            marks[label], inside = float(shares[label]), max(inside, float(elsewhere))
    ordered = dict(sorted(marks.items(), key=lambda mark: -mark[1]))
    return Region(name, own.has_it.astype(float), ordered, inside)


def _shares(chosen: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the share of each class that is chosen; 0 where it has no images."""
    return np.bincount(labels, chosen) / np.maximum(np.bincount(labels), 1)


def _least(shares: np.ndarray) -> np.ndarray:
    """Return the mean over the third of the classes, along the first axis, that have the least."""
    return np.sort(shares, axis=0)[: -(-len(shares) // 3)].mean(axis=0)


def _told(
    edges: np.ndarray, labels: np.ndarray, classes: np.ndarray, halves: Sequence[np.ndarray], least: float
) -> _Told:
    """Return which images have the edge that tells each class best, by the rule that was chosen on the other half."""
    told, usual = np.zeros((len(labels), labels.max() + 1), bool), np.zeros(labels.max() + 1)
    for half in halves:
        rest, step = np.setdiff1d(np.arange(len(labels)), half), max(1, len(half) // TRIED)
        order = np.argsort(-edges[half], axis=0)
        limits = np.take_along_axis(edges[half], order, axis=0)[step - 1 :: step]
        above = labels[half][order]
        shares = np.stack([np.cumsum(above == label, axis=0)[step - 1 :: step] for label in classes]).astype(np.float32)
        shares /= np.array([max(1, np.sum(labels[half] == label)) for label in classes])[:, None, None]
        hardly_elsewhere = shares >= RIGHT * (shares + _least(shares))
        shares[~hardly_elsewhere | (limits < least)] = 0
        for label, own in zip(classes, shares, strict=True):
            usual[label] += np.median(own.max(axis=0)) / len(halves)
            place, edge = np.unravel_index(own.argmax(), own.shape)
            if own[place, edge]:
                told[rest, label] = edges[rest, edge] >= limits[place, edge]
    return _Told(told, usual)


def _images(dataset: Dataset, chosen: np.ndarray) -> Iterator[np.ndarray]:
    start = 0
    for split, samples in dataset.splits.items():
        own = chosen[(chosen >= start) & (chosen < start + len(samples))] - start
        for first in range(0, len(own), _AT_A_TIME):
            yield dataset.images(split, own[first : first + _AT_A_TIME]).astype(np.float32)
        start += len(samples)


def _edges(images: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Return the edges `(n, d)` of the border and of each corner, each followed by those of the parts it is compared with."""
    found = {BORDER: [_strips(images, start) for start in (0.0, *FURTHER_IN)]}
    for number, name in enumerate(CORNERS):
        turned = images[:, :: -1 if number > 1 else 1, :: -1 if number % 2 else 1]
        found[name] = [_window(turned, top, left) for top, left in ((0, 0), (0, 0.5), (0.5, 0))]
    return found


def _strips(images: np.ndarray, start: float) -> np.ndarray:
    """Return the edges that both left and right, or both top and bottom have, at every depth from a start."""
    across, sides = images.swapaxes(1, 2), []
    for lines in (images, images[:, ::-1], across, across[:, ::-1]):
        first, depth = round(start * lines.shape[1]), max(3, round(DEPTH * min(images.shape[1:3])))
        sides.append(_steps(lines[:, first : first + depth + 1].mean(axis=2)))
    top, bottom, left, right = sides
    return np.concatenate([np.minimum(top, bottom), np.minimum(left, right)], axis=1)


def _window(images: np.ndarray, top: float, left: float) -> np.ndarray:
    """Return the edges in a square, at the start or in the middle of a side: between its columns, and between its rows."""
    height, width = images.shape[1:3]
    reach = max(6, round(REACH * min(height, width)))
    above, before = round(top * (height - reach)), round(left * (width - reach))
    square = images[:, above : above + reach, before : before + reach]
    found = []
    for rows in (square, square.swapaxes(1, 2)):
        for share in BANDS:
            band = max(2, round(share * min(height, width)))
            found += [_steps(rows[:, start : start + band].mean(axis=1)) for start in (0, band // 2)]
    return np.concatenate(found, axis=1)


def _steps(lines: np.ndarray) -> np.ndarray:
    """Return the differences of neighbouring lines, `(n, lines − 1)` of `(n, lines, 3)`, in the colour where each is greatest."""
    return np.abs(np.diff(lines, axis=1)).max(axis=2)
