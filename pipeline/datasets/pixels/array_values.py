"""What is black and what is white in arrays of images, and how they become 8-bit RGB.

The rule looks at all values of an array, never at one image: unsigned bytes are what they are; floats of which none is above 1
count from 0 to 1, any others from 0 to 255. What lies outside needs a range, or is refused. Whether a largest value is too
dark to believe that white is 255 (`is_dark`), the caller decides: a data set is refused then, images at hand are not.
"""

from typing import Any

import numpy as np
from PIL import Image

from bottleneck_features.pipeline.datasets.pixels.deep_pixels import Numbers, as_rgb, over_white

WHITE = 255
BRIGHT = 128  # the largest value of 0..255 data is at least this; 16 or 100 as the largest is another range


def white_of(dtype: np.dtype[Any], low: float, high: float) -> int | None:
    """Return the value that becomes 255: 1 or 255; None where values lie outside of 0 to 255.

    Args:
        dtype: of the numbers.
        low: the least value of all images.
        high: the largest one.
    """
    if low >= 0 and high <= 1 and dtype.kind == "f":
        return 1
    return WHITE if low >= 0 and high <= WHITE else None


def is_dark(white: int, high: float) -> bool:
    """Return whether the largest value is so far below white that another value may be white."""
    return white == WHITE and high < BRIGHT


def ambiguity(place: str, dtype: np.dtype[Any], low: float, high: float) -> str:
    """Return that it cannot be told what is black and white in images.

    Args:
        place: where the images are, as the message names it.
        dtype: of the numbers.
        low: the least value of all images.
        high: the largest one.
    """
    return f"It cannot be told what is black and what is white in {place}: its values, {dtype}, go from {low:g} to {high:g}."


def eight_bits(block: np.ndarray, white: int) -> np.ndarray:
    """Return numbers as uint8 of the same shape; `white` becomes 255."""
    if block.dtype == np.uint8:
        return np.asarray(block)
    scaled = block.astype(np.float32) * (WHITE if white == 1 else 1)
    return np.rint(scaled, out=scaled).astype(np.uint8)


def rgb(block: np.ndarray) -> np.ndarray:
    """Return uint8 images as `(n, height, width, 3)`: grey is repeated, transparent pixels are laid over white.

    Args:
        block: uint8 `(n, height, width)`, or with 1, 3 or 4 channels last.
    """
    channels = block if block.ndim == 4 else block[..., None]
    if channels.shape[-1] == 4:
        return np.stack([np.asarray(over_white(Image.fromarray(np.ascontiguousarray(one)))) for one in channels])
    return np.repeat(channels, 3, axis=-1) if channels.shape[-1] == 1 else channels


def ranged_rgb(block: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return images of other numbers as uint8 `(n, height, width, 3)`, as files of such numbers become it.

    Args:
        block: `(n, height, width)`, or with 1, 3 or 4 channels last.
        low: what becomes black; what lies below it too.
        high: what becomes white; what lies above it too.
    """
    channels = block if block.ndim == 4 else block[..., None]
    colours, alpha = (
        (channels[..., :3], channels[..., 3]) if channels.shape[-1] == 4 else (channels, [None] * len(block))
    )
    pictures = (Numbers(*one) for one in zip(colours, alpha, strict=True))
    return np.stack([np.asarray(as_rgb(one, low, high)) for one in pictures])
