"""Image files written byte by byte: numbers of more than 8 bits, several bands, and pictures that are stored turned."""

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from imagefiles import encoded
from PIL import Image

STORED = {  # what brings an upright picture into the way it is stored for a tag of orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
}  # fmt: skip
COMPRESSIONS = {1: "raw", 5: "tiff_lzw", 8: "tiff_adobe_deflate", 32773: "packbits"}


def stored_for(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return an upright picture as it is stored for a tag of orientation."""
    turned = [np.asarray(Image.fromarray(band).transpose(STORED[orientation])) if orientation in STORED else band
              for band in np.moveaxis(np.atleast_3d(pixels), -1, 0)]  # fmt: skip
    return np.stack(turned, -1).reshape(*turned[0].shape, *pixels.shape[2:])


def turned(pixels: np.ndarray, orientation: int, format: str, **options: object) -> bytes:
    """Return the file of a picture that is stored turned, with the tag that brings it upright."""
    exif = Image.Exif()
    exif[274] = orientation
    return encoded(Image.fromarray(stored_for(pixels, orientation)), format, exif=exif, **options)


def tiff(pixels: np.ndarray, order: str = "<", compression: int = 1, **tags: Sequence[int] | int) -> bytes:
    """Return a TIFF of one strip: `(h, w)` or `(h, w, bands)` of any type of number.

    `tags` by name: `width`, `height`, `photometric`, `orientation`, `extra` (2: transparency, 1: premultiplied), `predictor`.
    """
    height, width, bands = np.atleast_3d(pixels).shape
    kind, bits = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind], 8 * pixels.dtype.itemsize
    body = _packed(pixels.astype(pixels.dtype.newbyteorder(order)).tobytes(), height, compression)
    values = {
        256: tags.get("width", width), 257: tags.get("height", height), 258: [bits] * bands, 259: compression,
        262: tags.get("photometric", 2 if bands in (3, 4) else 1), 273: 0, 274: tags.get("orientation", 1), 277: bands,
        278: tags.get("height", height), 279: len(body), 317: tags.get("predictor", 1), 338: tags.get("extra", ()),
        339: [kind] * bands,
    }  # fmt: skip
    entries = sorted((tag, list(np.atleast_1d(value))) for tag, value in values.items() if np.size(value))
    start = 8 + 2 + 12 * len(entries) + 4
    arrays, table = b"", struct.pack(f"{order}H", len(entries))
    end = start + sum(4 * len(value) for _, value in entries if len(value) > 1)
    for tag, value in entries:
        packed = struct.pack(f"{order}{len(value)}I", *([end] if tag == 273 else value))
        if tag in (258, 338, 339, 262, 259, 274, 277, 317):  # short
            packed = struct.pack(f"{order}{len(value)}H", *value).ljust(4 * len(value), b"\0")
        table += struct.pack(f"{order}HHI", tag, 4 if tag in (256, 257, 273, 278, 279) else 3, len(value))
        if len(value) == 1:
            table += packed
        else:
            table += struct.pack(f"{order}I", start + len(arrays)) if len(value) * 2 > 4 else packed[:4]
            arrays += packed
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(f"{order}HI", 42, 8) + table + bytes(4) + arrays + body


def _packed(body: bytes, height: int, compression: int) -> bytes:
    rows = np.frombuffer(body, np.uint8).reshape(height, -1)
    content = encoded(Image.fromarray(rows), "TIFF", compression=COMPRESSIONS[compression], strip_size=1 << 30)
    with Image.open(io.BytesIO(content)) as image:
        (offset,), (size,) = image.tag_v2[273], image.tag_v2[279]
    return content[offset : offset + size]


def png16(pixels: np.ndarray, interlaced: bool = False) -> bytes:
    """Return a PNG of 16 bits: `(h, w)`, or `(h, w, n)` with 1 to 4 bands, of which an even one is transparency."""
    pixels = np.atleast_3d(pixels).astype(">u2")
    height, width, bands = pixels.shape
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [pixels[y::down, x::along] for y, x, down, along in (passes if interlaced else [(0, 0, 1, 1)])]
    rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[bands], 0, 0, interlaced)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
