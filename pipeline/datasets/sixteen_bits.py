"""Both bytes of 16-bit numbers outside of TIFF files, of which Pillow drops the lower one where a picture has several bands."""

import io
from typing import Any

import numpy as np
from PIL import Image

from bottleneck_features.pipeline.datasets.deep_pixels import Numbers

_CODESTREAM = b"\xff\x4f\xff\x51"  # of JPEG 2000: SOC and SIZ
_COMPONENT = 42  # where, from there on, the first component's precision is
_SIGNED = 0x80
_MOST = 65535


def numbers_of(content: bytes, image: Image.Image) -> Numbers | None:
    """Return the numbers of a picture of more than 8 bits; None where it has 8.

    Args:
        content: the file's bytes.
        image: from `Image.open` of them, not loaded yet; no TIFF of other than 12 bits.
    """
    rawmode = _rawmode(image)
    if image.format == "PNG" and rawmode == "LA;16B":
        bytes_of = _decoded(content, "zip", "RGBA").astype(np.uint16)  # which are two of each number
        return Numbers(bytes_of[..., :1] << 8 | bytes_of[..., 1:2], bytes_of[..., 2] << 8 | bytes_of[..., 3])
    if image.format == "PNG" and rawmode in ("RGB;16B", "RGBA;16B"):
        return _without_key(image, _both_bytes(content, "zip", image.mode))
    if image.format == "PPM" and rawmode == ("RGB", _MOST) and image.tile[0].codec_name == "ppm":  # type: ignore[attr-defined]
        return _colour(_both_bytes(content, "raw", "RGB"))
    if not image.mode.startswith("I") and image.mode != "F":
        return None
    image.load()
    values = np.asarray(image)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)[..., None]
    if image.format == "PPM" and image.mode == "I":  # Pillow has spread what the file states over 16 bits
        return Numbers(values.astype(np.uint16), stated=None if _states_all(rawmode) else (0, _MOST))
    if image.format == "JPEG2000":
        return _of_precision(values, content)
    return _without_key(image, values)


def _rawmode(image: Image.Image) -> Any:
    return image.tile[0].args if image.tile else None  # type: ignore[attr-defined]


def _states_all(rawmode: Any) -> bool:
    """Whether a PGM's largest value is that of 16 bits, which says no more than that it has 16 bits."""
    return rawmode == "I;16B" or (isinstance(rawmode, tuple) and rawmode[-1] == _MOST)


def _both_bytes(content: bytes, codec: str, mode: str) -> np.ndarray:
    """Decode twice: read as little-endian, a big-endian number's lower byte is the one that Pillow keeps."""
    values = _decoded(content, codec, f"{mode};16B").astype(np.uint16) << 8
    values |= _decoded(content, codec, f"{mode};16L")
    return values


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
