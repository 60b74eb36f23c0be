"""Recognises what a caller gives as images, and refuses what is none as what it is."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from bottleneck_features.errors import first_line
from bottleneck_features.pipeline.datasets.listing import printable
from bottleneck_features.pipeline.datasets.paths import local_path
from bottleneck_features.pipeline.datasets.pixels.array_values import (
    WHITE,
    ambiguity,
    eight_bits,
    is_dark,
    ranged_rgb,
    rgb,
    white_of,
)
from bottleneck_features.pipeline.datasets.pixels.deep_pixels import NUMBER_KINDS
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.use.given_images import ArrayImages, FileImages, GivenImages, PillowImages, Reading

CHANNELS = (1, 3, 4)
WANTED = "Give a list of paths, a list of PIL images, or one uint8 array (n, height, width, 3)"
_PATH, _PICTURE, _ARRAY = "a path", "a PIL image", "an array"
_RESCALED = "((x - black) / (white - black) * 255).round().astype('uint8')"
_LONGEST = 80  # characters of what was received
READ_ALL = Reading()


class _Understood(NamedTuple):
    """How numbers become uint8 RGB, and what must be said of it."""

    pixels: Callable[[np.ndarray], np.ndarray]
    notices: tuple[str, ...] = ()


def given_images(given: Any, reading: Reading = READ_ALL) -> GivenImages:
    """Return what a caller gives as images; files are not opened yet.

    Paths may be in any sequence: a list, a column of pandas, an array of text, also as a table of one column. Arrays are
    `(n, height, width)` or have 1, 3 or 4 channels last, or are a list of such without `n`, all of one shape and type. Unsigned
    bytes are what they are; which of other values are black and white the caller's ranges say, or all of them together, see
    `array_values`.

    Args:
        given: a sequence of paths, of PIL images, or of arrays; or one array.
        reading: what passes, and how numbers are read.

    Raises:
        RequestError: it is no such sequence, is empty, mixes these kinds, or is an array that can be no images; says what was
            received and what to give.
    """
    _refuse_one(given)
    array = _as_array(given)
    if array is not None and array.dtype.kind in "uifbc":
        return _of_array(array, reading)
    items = _column(array) if array is not None else given
    if not isinstance(items, Sequence):
        raise _not_a_sequence(given)
    if not len(items):
        raise RequestError(f"There are no images: {_received(given)} is empty. {WANTED}.")
    kinds = [_kind(item, place) for place, item in enumerate(items)]
    if len(set(kinds)) > 1:
        other = next(place for place, kind in enumerate(kinds) if kind != kinds[0])
        raise RequestError(
            f"Paths, PIL images and arrays cannot be mixed. Received: {kinds[0]} at 0, {kinds[other]} at {other}"
        )
    if kinds[0] == _PATH:
        return FileImages([local_path(os.fspath(item)) for item in items], reading)
    if kinds[0] == _PICTURE:
        return PillowImages(items, reading)
    return _of_arrays([np.asarray(item) for item in items], reading)


def _refuse_one(given: Any) -> None:
    if isinstance(given, str | os.PathLike):
        path = local_path(os.fspath(given))
        if path.is_dir():
            raise RequestError(
                f"'{printable(str(path))}' is a folder, and images are given as a list: "
                f"sorted(Path({str(given)!r}).rglob('*.jpg')). What a folder's images are worth: bottleneck run FOLDER"
            )
        raise RequestError(f"One path is no list of images. Give [{str(given)!r}]. Received: {str(given)!r}")
    if isinstance(given, Image.Image):
        raise RequestError(f"One PIL image is no list of images: give it in [ ]. Received: {_received(given)}")


def _as_array(given: Any) -> np.ndarray | None:
    """Return what calls itself an array, or a column of one; None for lists and all else."""
    if isinstance(given, np.ndarray) or not hasattr(given, "__array__"):
        return given if isinstance(given, np.ndarray) else None
    try:
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise RequestError(f"{_received(given)} cannot be read as an array: {first_line(error)}. {WANTED}.") from error


def _column(array: np.ndarray) -> list[Any]:
    """Return the items of an array of texts or objects; a table of one column is one column."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        what = f"a table of {array.shape[1]} columns" if array.ndim == 2 else f"an array of shape {array.shape}"
        advice = "Give the column that names the images, such as table['path']" if array.ndim == 2 else WANTED
        raise RequestError(f"{what[0].upper()}{what[1:]}, {array.dtype}, holds no images. {advice}.")
    return array.tolist()


def _not_a_sequence(given: Any) -> RequestError:
    if hasattr(given, "__next__"):
        return RequestError(
            f"{_received(given)} can be read only once, and rows are in the order of a list: paths = sorted(…), or list(…)."
        )
    return RequestError(f"{_received(given)} is no sequence of images. {WANTED}.")


def _kind(item: Any, place: int) -> str:
    if isinstance(item, str | os.PathLike):
        if "://" in str(item):
            raise RequestError(
                f"Number {place} is a URL, {_shown(item)}: files are read from this machine. Download it first."
            )
        return _PATH
    if isinstance(item, Image.Image):
        return _PICTURE
    if hasattr(item, "__array__") and np.ndim(item) > 0:
        return _ARRAY
    if isinstance(item, bytes):
        raise RequestError(
            f"Number {place} is bytes. Give the path, or PIL.Image.open(io.BytesIO(…)) of an image file's."
        )
    if item is None or (isinstance(item, float) and item != item):
        raise RequestError(f"Number {place} is missing ({item}). {WANTED}.")
    raise RequestError(f"Number {place} is {_received(item)}, no image. {WANTED}.")


def _of_array(array: np.ndarray, reading: Reading) -> ArrayImages:
    received = f"Received: {array.dtype} of shape {array.shape}"
    if (array.ndim == 3 and array.shape[-1] in CHANNELS) or (array.ndim == 2 and array.shape[-1] not in CHANNELS):
        one = "looks like one image" if array.ndim == 3 else "is rows of numbers, or one grey image"
        raise RequestError(
            f"An array of this shape {one}. Give images as (n, height, width, 3); one image as x[None]. {received}"
        )
    if array.ndim not in (3, 4):
        raise RequestError(
            f"Images have the shape (n, height, width, 3), or (n, height, width) where they are grey. {received}"
        )
    if not array.size:
        raise RequestError(f"There are no images in this array. {received}")
    _require_channels_last(array.shape[1:], received, "x.transpose(0, 2, 3, 1)")
    pixels, notices = _understood(array.dtype, array, reading, received)
    return ArrayImages(array, pixels, (*notices, *_perhaps_channels(array)))


def _perhaps_channels(array: np.ndarray) -> tuple[str, ...]:
    """Return what to say of an array that may as well be one image whose channels come first."""
    count = len(array)
    if array.ndim != 3 or count not in CHANNELS or count == 1:  # one grey image is the same either way
        return ()
    return (
        f"An array of shape {array.shape} is taken as {count} grey images; x[..., None] says so without this warning. One image "
        "whose channels come first: x.transpose(1, 2, 0)[None].",
    )


def _of_arrays(arrays: list[np.ndarray], reading: Reading) -> ArrayImages:
    first = arrays[0]
    received = f"Received: {first.dtype} of shape {first.shape} at 0"
    if first.ndim not in (2, 3) or not first.size:
        raise RequestError(f"Each array of a list is one image, (height, width, 3) or (height, width). {received}")
    _require_channels_last(first.shape, received, "x.transpose(1, 2, 0) of each")
    for place, array in enumerate(arrays):
        if (array.shape, array.dtype) != (first.shape, first.dtype):
            raise RequestError(
                f"Arrays must have one shape and type. {received}, {array.dtype} of shape {array.shape} at {place}. Of uint8 "
                "arrays PIL.Image.fromarray(x) may have any size: PIL images are resized as files are."
            )
    return ArrayImages(arrays, *_understood(first.dtype, arrays, reading, received))


def _require_channels_last(shape: tuple[int, ...], received: str, advice: str) -> None:
    """Refuse one image's shape that has its channels elsewhere, or others."""
    if len(shape) == 2 or shape[-1] in CHANNELS:
        return
    if shape[0] in CHANNELS:
        raise RequestError(f"The channels come first here, and last in images: {advice}. {received}")
    raise RequestError(f"Images have 1, 3 or 4 channels, which come last. {received}")


def _understood(
    dtype: np.dtype[Any], images: np.ndarray | Sequence[np.ndarray], reading: Reading, received: str
) -> _Understood:
    """Return which values are black and white in all images together."""
    if dtype.kind not in "uif":
        raise RequestError(f"Images are numbers. {received}. Of true and false give (x * 255).astype('uint8').")
    if dtype.kind == "f" and not all(np.isfinite(one).all() for one in images):
        raise RequestError(f"The images have values that are not finite (NaN or infinite). {received}")
    if dtype != np.uint8 and (found := reading.ranges.get(NUMBER_KINDS[dtype.kind])):
        return _Understood(partial(ranged_rgb, low=found[0], high=found[1]))
    low, high = min(float(one.min()) for one in images), max(float(one.max()) for one in images)
    white = white_of(dtype, low, high)
    if white is None:
        ways_out = " or ".join([_RESCALED, *filter(None, [reading.remedies.get("dataset.value_range")])])
        raise RequestError(
            f"{ambiguity('these images', dtype, low, high)} Floats from 0 to 1, and numbers from 0 to 255, are understood. Give "
            f"{ways_out}. {received}"
        )
    return _Understood(lambda block: rgb(eight_bits(block, white)), _darkness(dtype, white, high))


def _darkness(dtype: np.dtype[Any], white: int, high: float) -> tuple[str, ...]:
    """Return what to say of images that are so dark that 255 may not be white."""
    if not high or not is_dark(white, high) or (dtype == np.uint8 and high > 1):
        return ()
    return (
        f"The largest value of these images, {dtype}, is {high:g}, and they count from 0 (black) to {WHITE} (white), so they are "
        f"dark. If another value is white: {_RESCALED}.",
    )


def _received(given: Any) -> str:
    """Return the type of something, with a size where it has one."""
    kind = f"{type(given).__module__}.{type(given).__qualname__}".removeprefix("builtins.")
    if isinstance(given, Image.Image):
        return f"{kind} ({given.mode}, {given.width}x{given.height})"
    return kind if hasattr(given, "__len__") else f"{kind} {_shown(given)}"


def _shown(given: Any) -> str:
    text = " ".join(repr(given).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
