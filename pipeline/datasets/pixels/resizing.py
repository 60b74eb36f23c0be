"""What every picture becomes, and how it is resized."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from PIL import Image

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


def resized(pixels: np.ndarray, resizing: Resizing) -> np.ndarray:
    """Return a picture in another size.

    Args:
        pixels: `(height, width, 3)` uint8.
        resizing: what it becomes.
    """
    return np.asarray(resized_image(Image.fromarray(pixels), resizing))


def resized_image(image: Image.Image, resizing: Resizing) -> Image.Image:
    """Return a picture of Pillow's in another size."""
    height, width = resizing.size
    kernel = _FILTERS[resizing.kernel]
    if resizing.antialias or resizing.kernel == "nearest":
        return image.resize((width, height), kernel)
    steps = (image.width / width, 0, 0, 0, image.height / height, 0)
    return image.transform((width, height), Image.Transform.AFFINE, steps, kernel)
