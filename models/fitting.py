"""Where the pixels of an image come out in the network's input: stretched over it, cropped to it, or padded to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Fit = Literal["stretch", "crop", "pad"]
FITS: tuple[Fit, ...] = get_args(Fit)


@dataclass(frozen=True)
class Axis:
    """What becomes of one axis of an image: all of it is resized, then some of it comes out.

    Attributes:
        length: pixels of the image.
        resized: what all of it is resized to, in pixels.
        first: which of these is the first that comes out; below 0, so many black pixels come before.
        target: how many pixels come out; those beyond the end are black.
    """

    length: int
    resized: int
    first: int
    target: int

    @property
    def seen(self) -> slice:
        """The resized pixels that come out."""
        return slice(max(0, self.first), min(self.resized, self.first + self.target))

    @property
    def filled(self) -> slice:
        """Where they come out; elsewhere it is black."""
        return slice(self.seen.start - self.first, self.seen.stop - self.first)

    @property
    def part(self) -> tuple[float, float]:
        """The part of the image that comes out: where it begins and ends, as shares of its length."""
        return self.seen.start / self.resized, self.seen.stop / self.resized

    @property
    def unchanged(self) -> bool:
        """Whether what comes out is what goes in."""
        return self.length == self.resized == self.target


def fitted(image: tuple[int, int], target: tuple[int, int], fit: Fit, crop_share: float = 1.0) -> tuple[Axis, Axis]:
    """Return what becomes of the two axes of an image.

    `crop` is what torchvision's `Resize` and `CenterCrop` do, to the pixel: the shorter side becomes the target divided by
    `crop_share`, rounded, the longer one keeps the aspect, rounded down, and the middle comes out. Where the target is no
    square, the image just covers the target divided by `crop_share`.

    Args:
        image: height and width.
        target: likewise, of what comes out.
        fit: one of `FITS`.
        crop_share: what is cropped has this share of the sides of what is just covered, above 0, at most 1.
    """
    whole = target
    if fit == "crop":
        whole = _covering(image, cropped_from(target, crop_share))
    elif fit == "pad":
        whole = _contained(image, target)
    (height, width), (rows, columns) = image, target
    return _centred(height, whole[0], rows), _centred(width, whole[1], columns)


def cropped_from(target: tuple[int, int], crop_share: float) -> tuple[int, int]:
    """Return the height and width that an image just covers when the middle of it is taken."""
    rows, columns = target
    return round(rows / crop_share), round(columns / crop_share)


def _centred(length: int, resized: int, target: int) -> Axis:
    return Axis(length, resized, round((resized - target) / 2), target)


def _covering(image: tuple[int, int], area: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest size of an image's aspect that covers an area."""
    (height, width), (rows, columns) = image, area
    if rows * width >= columns * height:
        return rows, rows * width // height
    return columns * height // width, columns


def _contained(image: tuple[int, int], area: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size of an image's aspect that an area holds."""
    (height, width), (rows, columns) = image, area
    if rows * width <= columns * height:
        return rows, max(1, round(rows * width / height))
    return max(1, round(columns * height / width)), columns
