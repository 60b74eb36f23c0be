"""Both bytes of 16-bit numbers outside of TIFF files, of which Pillow drops the lower one where a picture has several bands."""

import io
from typing import Any

import numpy as np
from PIL import Image

from bottleneck_features.pipeline.datasets.pixels.deep_pixels import Numbers
from bottleneck_features.pipeline.datasets.pixels.unusable import UnusableImage

_CODESTREAM = b"\xff\x4f\xff\x51"  # of JPEG 2000: SOC and SIZ
_COMPONENT = 42  # where, from there on, the first component's precision is
_SIGNED = 0x80
_MOST = 65535
_MOST_IN_TEXT = 1 << 22  # numbers of a PPM that is written as text, which Pillow reads one by one


def stored_as(image: Image.Image) -> tuple[str, Any]:
    """Return Pillow's decoder and its name of how numbers are stored; what a picture that is loaded does not know any more."""
    tiles = getattr(image, "tile", None)
    return (tiles[0].codec_name, tiles[0].args) if tiles else ("", None)


def decoded_bytes(image: Image.Image) -> int:
    """Return how many bytes the numbers of a picture take when they are decoded; 0 where it has 8 bits.

    Args:
        image: from `Image.open`, not loaded yet.
    """
    deep = image.mode.startswith("I;16") or ";16B" in str(stored_as(image))
    each = 4 if image.format == "JPEG2000" or image.mode in ("I", "F") else 2 if deep else 0
    return each * len(image.getbands()) * image.width * image.height


def numbers_of(content: bytes, image: Image.Image, stored: tuple[str, Any]) -> Numbers | None:
    """Return the numbers of a picture of more than 8 bits, or of a range it states; None where it has 8 bits.

    Args:
        content: the file's bytes.
        image: from `Image.open` of them; no TIFF of other than 12 bits.
        stored: from `stored_as`, before it was loaded.

    Raises:
        UnusableImage: it is a text that is too long.
    """
    if image.format == "PPM":
        return _of_ppm(content, image, *stored)
    _, rawmode = stored
    if image.format == "PNG" and rawmode == "LA;16B":
        bytes_of = _decoded(content, "zip", "RGBA").astype(np.uint16)  # which are two of each number
        return Numbers(bytes_of[..., :1] << 8 | bytes_of[..., 1:2], bytes_of[..., 2] << 8 | bytes_of[..., 3])
    if image.format == "PNG" and rawmode in ("RGB;16B", "RGBA;16B"):
        return _without_key(image, _with_lower_byte(np.asarray(image), content, "zip", image.mode))
    held = held_numbers(image)
    return _of_precision(held.colours, content) if held and image.format == "JPEG2000" else held


def held_numbers(image: Image.Image) -> Numbers | None:
    """Return the numbers of a picture as Pillow holds them; None where it has 8 bits."""
    if not image.mode.startswith("I") and image.mode != "F":
        return None
    return _without_key(image, _loaded(image))


def _of_ppm(content: bytes, image: Image.Image, codec: str, rawmode: Any) -> Numbers | None:
    """Return the numbers of a PPM, PGM or PFM, which states its largest value; that of 16 bits says no more than that."""
    if codec == "ppm_plain" and image.width * image.height * len(image.getbands()) > _MOST_IN_TEXT:
        raise UnusableImage(
            f"a PPM, PGM or PBM image written as text, of more than {_MOST_IN_TEXT:,} numbers: write it in its binary form"
        )
    if codec == "ppm":
        mode, most = rawmode
        deep = most > 255
        if mode == "RGB" and deep:
            values = _with_lower_byte(_decoded(content, "raw", f"{mode};16B"), content, "raw", mode)
        else:
            values = np.atleast_3d(_decoded(content, "raw", "I;16B" if deep else mode))
        return Numbers(values, stated=None if most == _MOST else (0, most))
    if image.mode not in ("I", "F"):
        return None
    values = _loaded(image)
    if image.mode == "F" or rawmode == "I;16B":
        return Numbers(values if image.mode == "F" else values.astype(np.uint16))
    return Numbers(values.astype(np.uint16), stated=None if rawmode[-1] == _MOST else (0, _MOST))  # spread by Pillow


def _loaded(image: Image.Image) -> np.ndarray:
    image.load()
    values = np.asarray(image)
    return values.astype(values.dtype.newbyteorder("="), copy=False)[..., None]


def _with_lower_byte(upper: np.ndarray, content: bytes, codec: str, mode: str) -> np.ndarray:
    """Decode again: read as little-endian, a big-endian number's lower byte is the one that Pillow keeps."""
    pairs = np.empty((*upper.shape, 2), np.uint8)
    pairs[..., 1], pairs[..., 0] = upper, _decoded(content, codec, f"{mode};16L")
    return pairs.view("<u2")[..., 0].astype(np.uint16, copy=False)


def _decoded(content: bytes, codec: str, rawmode: str) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=["PNG", "PPM"]) as image:
        image.tile = [image.tile[0]._replace(codec_name=codec, args=rawmode)]
        return np.asarray(image)


def _colour(values: np.ndarray) -> Numbers:
    return Numbers(values[..., :3], values[..., 3] if values.shape[-1] == 4 else None)


def _without_key(image: Image.Image, values: np.ndarray) -> Numbers:
    """Return numbers of which the file may call one transparent."""
    key = image.info.get("transparency")
    if key is None or isinstance(key, bytes):
        return _colour(values)
    return Numbers(values, (values != np.asarray(key)).any(axis=-1))


def _of_precision(values: np.ndarray, content: bytes) -> Numbers:
    """Return the numbers of a JPEG 2000 file, which Pillow has shifted to 16 bits, from zero on where they are signed."""
    said = content[content.find(_CODESTREAM) + _COMPONENT]
    if (said & ~_SIGNED) + 1 < 16:
        bits = (said & ~_SIGNED) + 1
        return Numbers(values, stated=(0, ((1 << bits) - 1) << (16 - bits)))
    return Numbers((values.astype(np.int32) - (1 << 15)).astype(np.int16) if said & _SIGNED else values)
