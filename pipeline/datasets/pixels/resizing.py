"""What every picture becomes, and how it is resized."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from PIL import Image

from bottleneck_features.models.fitting import Axis, Fit, fitted

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}
POINT_SAMPLED = ("nearest", "bilinear", "bicubic")  # the kernels that can resize without antialiasing


@dataclass(frozen=True)
class Resizing:
    """What every image becomes, and how.

    Attributes:
        size: (height, width).
        fit: how pictures of another aspect get this size, `stretch`, `crop` or `pad`.
        crop_share: see `fitting.fitted`.
        kernel: as `input.resize` of an experiment.
        antialias: as `input.antialias`.
        bands: as `dataset.bands`.
        ranges: which numbers become black and white, by their kind (`NUMBER_KINDS`).
    """

    size: tuple[int, int]
    kernel: str = "bilinear"
    antialias: bool = True
    bands: tuple[int, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=lambda: MappingProxyType({}))
    fit: Fit = "stretch"
    crop_share: float = 1.0

    @property
    def whole(self) -> "Resizing":
        """What becomes of all of every picture, to look at it."""
        return replace(self, fit="stretch", crop_share=1.0)

    @property
    def shows_all(self) -> bool:
        """Whether all of every picture comes out, and nothing else."""
        return self.fit == "stretch"

    def axes(self, picture: tuple[int, int]) -> tuple[Axis, Axis]:
        """Return what becomes of the axes of an upright picture of some (height, width)."""
        return fitted(picture, self.size, self.fit, self.crop_share)


@dataclass(frozen=True)
class Decoded:
    """A picture in the size that a `Resizing` gives, uint8 `(height, width, 3)`.

    Attributes:
        pixels: as it is fitted into that size.
        whole: all of it, its aspect lost; by this pictures are compared.
    """

    pixels: np.ndarray
    whole: np.ndarray


def resized(pixels: np.ndarray, resizing: Resizing) -> np.ndarray:
    """Return a picture in another size.

    Args:
        pixels: `(height, width, 3)` uint8.
        resizing: what it becomes.
    """
    return resized_image(Image.fromarray(pixels), resizing, pixels.shape[:2])


def resized_image(image: Image.Image, resizing: Resizing, picture: tuple[int, int]) -> np.ndarray:
    """Return a picture of Pillow's in another size, `(*resizing.size, 3)` uint8.

    What is not seen is not calculated: the part that comes out is resized, which gives the pixels that resizing the whole and
    cutting the part out would give.

    Args:
        image: upright; it may have been shrunk.
        resizing: what it becomes.
        picture: (height, width) that it had before it was shrunk.
    """
    rows, columns = resizing.axes(picture)
    (top, bottom), (left, right) = rows.part, columns.part
    box = left * image.width, top * image.height, right * image.width, bottom * image.height
    height, width = (axis.seen.stop - axis.seen.start for axis in (rows, columns))
    part = np.asarray(_resampled(image, box, (width, height), resizing))
    if (height, width) == resizing.size:
        return part
    out = np.zeros((*resizing.size, 3), np.uint8)
    out[rows.filled, columns.filled] = part
    return out


def fitted_and_whole(image: Image.Image, resizing: Resizing, picture: tuple[int, int]) -> Decoded:
    """Return a picture of Pillow's as it is fitted, and all of it; arguments as of `resized_image`."""
    pixels = resized_image(image, resizing, picture)
    return Decoded(pixels, pixels if resizing.shows_all else resized_image(image, resizing.whole, picture))


def _resampled(
    image: Image.Image, box: tuple[float, float, float, float], size: tuple[int, int], resizing: Resizing
) -> Image.Image:
    """Return the part of an image in a box (left, top, right, bottom) in another size, (width, height)."""
    kernel = _FILTERS[resizing.kernel]
    if resizing.antialias or resizing.kernel == "nearest":
        return image.resize(size, kernel, box)
    (left, top, right, bottom), (width, height) = box, size
    steps = ((right - left) / width, 0, left, 0, (bottom - top) / height, top)
    return image.transform(size, Image.Transform.AFFINE, steps, kernel)
