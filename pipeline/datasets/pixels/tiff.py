"""TIFF files of numbers or bands that Pillow does not read, or not rightly: what their tags say, and their numbers.

Pillow's libtiff unpacks them: it is shown the same file as a grey picture of bytes, so that every compression it has works,
and what it unpacks is never more than the tags say. What the bytes mean is said by the tags.
"""

import io
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from bottleneck_features.pipeline.datasets.pixels.deep_pixels import Numbers, require_bands
from bottleneck_features.pipeline.datasets.pixels.unusable import UnusableImage

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, ORIENTATION, SAMPLES = 256, 257, 258, 259, 262, 266, 274, 277
STRIPS, STRIP_ROWS, STRIP_BYTES, TILE_WIDTH, TILE_LENGTH, TILES, TILE_BYTES = 273, 278, 279, 322, 323, 324, 325
PLANAR, PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT, NO_DATA = 284, 317, 338, 339, 42113
KIND_OF_PAGE, FURTHER_PAGES, DNG_VERSION = 254, 330, 50706
_READ = frozenset(
    (
        WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, ORIENTATION, SAMPLES, STRIPS, STRIP_ROWS, STRIP_BYTES,
        TILE_WIDTH, TILE_LENGTH, TILES, TILE_BYTES, PLANAR, PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT, NO_DATA, KIND_OF_PAGE,
        FURTHER_PAGES, DNG_VERSION,
    )
)  # fmt: skip
_TYPES = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 18: "u8"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MOST_TAGS = 4096
_NUMBERS = {1: "u", 2: "i", 3: "f", 4: "u"}  # by SampleFormat
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_ASSOCIATED, _UNASSOCIATED = 1, 2  # transparency, in ExtraSamples
_OF_BYTES = (1, 5, 8, 32773, 32946, 34925, 50000)  # none, LZW, deflate, PackBits, deflate, LZMA, Zstandard
_OTHERS = {
    6: "JPEG",
    7: "JPEG",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34887: "LERC",
    50001: "WebP",
}
_BY_DIFFERENCE, _FLOATS_BY_DIFFERENCE = 2, 3
_NO_BOUND = 1 << 31


@dataclass(frozen=True)
class Layout:
    """What the tags of a TIFF's first picture say.

    Attributes:
        width: as stored.
        height: likewise.
        bands: numbers of a pixel.
        dtype: of the numbers, in the file's byte order; None where it is none of NumPy's, or differs between bands.
        photometric: what the bands are.
        extra: what the last bands are, those beyond the colours.
        orientation: 1 to 8.
        no_data: the number that means that there is none; None where there is no such number.
        tags: the values of all tags that are read.
    """

    width: int
    height: int
    bands: int
    dtype: np.dtype | None
    photometric: int
    extra: tuple[int, ...]
    orientation: int
    no_data: float | None
    tags: Mapping[int, np.ndarray]

    @property
    def decoded_bytes(self) -> int:
        """How many bytes its numbers take, those included that fill its last tiles."""
        height, width = self.block
        filled = math.ceil(self.height / height) * height * math.ceil(self.width / width) * width
        return filled * self.bands * (self.dtype.itemsize if self.dtype else 1)

    @property
    def block(self) -> tuple[int, int]:
        """(height, width) of what is compressed together: a tile, or a strip of rows."""
        if TILES in self.tags:
            return _first(self.tags, TILE_LENGTH), _first(self.tags, TILE_WIDTH)
        return min(max(1, _first(self.tags, STRIP_ROWS, self.height)), self.height), self.width

    @property
    def mode(self) -> str:
        """What its numbers are, such as `uint16` or `13 x uint16`."""
        name = self.dtype.name if self.dtype else "?"
        return name if self.bands == 1 else f"{self.bands} x {name}"

    @property
    def alpha(self) -> int | None:
        """The place of the band that the file says is transparency; None where it says nothing."""
        places = [i for i, kind in enumerate(self.extra) if kind in (_ASSOCIATED, _UNASSOCIATED)]
        return self.bands - len(self.extra) + places[0] if places and len(self.extra) < self.bands else None

    def is_for_pillow(self, bands: Sequence[int]) -> bool:
        """Return whether Pillow reads it, and rightly, where these bands are chosen."""
        if self.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) or self.dtype is None:
            return True
        if self.dtype != np.uint8 or (bands and self.bands > 1):
            return False
        if self.photometric == _RGB:
            return self.bands == 3 or (self.bands == 4 and self.extra in ((), (0,), (1,), (2,)))
        return self.bands == 1 or (self.bands == 2 and self.extra in ((1,), (2,)))

    def why_not_read(self) -> str:
        """Return why neither Pillow nor `read_numbers` reads it, in one line."""
        bits = "- and ".join(map(str, sorted(set(self.tags[BITS].tolist())))) if BITS in self.tags else "1"
        return (
            f"a TIFF image of {self.bands} bands of {bits} bits (photometric {self.photometric}, compression "
            f"{_first(self.tags, COMPRESSION, 1)}), which is not read: write it as grey or RGB of 8 or 16 bits"
        )

    @property
    def fourth_is_no_alpha(self) -> bool:
        """Whether it has a fourth band of which it does not say what it is; Pillow takes it for transparency."""
        return self.photometric == _RGB and self.bands == 4 and self.alpha is None


def is_tiff(content: bytes) -> bool:
    """Return whether bytes begin as a TIFF does."""
    return content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def layout_of(content: bytes) -> Layout:
    """Return what the tags of a TIFF's first picture say.

    Args:
        content: the file's bytes.

    Raises:
        UnusableImage: the tags cannot be read, or are not possible.
    """
    try:
        layout = _layout(content, _tags(content))
        if not layout.width or not layout.height:
            raise UnusableImage("a picture without pixels")
        if not all(layout.block) or not layout.bands:
            raise ValueError("tiles without pixels, or pixels without bands")
        if _is_raw(content, layout.tags):
            raise UnusableImage(
                "a raw camera file (such as DNG, CR2 or NEF), which is not read: develop it to TIFF or JPEG"
            )
    except (struct.error, ValueError, IndexError, KeyError, OverflowError) as error:
        raise UnusableImage(f"a TIFF image whose tags cannot be read: it is damaged or truncated ({error})") from error
    return layout


def read_numbers(content: bytes, layout: Layout, bands: Sequence[int] = ()) -> Numbers:
    """Return the numbers of a TIFF's first picture, as stored.

    Args:
        content: the file's bytes.
        layout: from `layout_of`; it must not be for Pillow.
        bands: those that are red, green and blue, counted from 1; empty: what the file says.

    Raises:
        UnusableImage: its compression is not read, or nothing says which bands are the colours.
    """
    compression = _first(layout.tags, COMPRESSION, 1)
    if compression not in _OF_BYTES:
        name = _OTHERS.get(compression, f"number {compression}")
        raise UnusableImage(
            f"a TIFF image of {layout.mode} in the compression {name}, which is not read: write it without compression, or "
            "with LZW or deflate"
        )
    if bands:
        require_bands(layout.bands, bands)
    colours = [band - 1 for band in bands] or _colours(layout)
    alpha = None if bands else layout.alpha
    read = sorted({*colours, *([] if alpha is None else [alpha])})
    values = _bands(content, layout, read)
    return Numbers(
        values[..., [read.index(place) for place in colours]],
        None if alpha is None else values[..., read.index(alpha)],
        premultiplied=_ASSOCIATED in layout.extra,
        white_is_zero=layout.photometric == _WHITE_IS_ZERO,
        no_data=None if layout.dtype == np.uint8 else layout.no_data,  # as in files that Pillow reads
    )


def _is_raw(content: bytes, tags: Mapping[int, np.ndarray]) -> bool:
    """Whether the first picture of the file is but a preview of what a camera's sensor saw."""
    previews = FURTHER_PAGES in tags and bool(_first(tags, KIND_OF_PAGE, 0) & 1)
    return DNG_VERSION in tags or content[8:10] == b"CR" or previews


def _colours(layout: Layout) -> list[int]:
    others = [i for i in range(layout.bands) if i != layout.alpha]
    if layout.photometric == _RGB and layout.bands >= 3:
        return [0, 1, 2]
    if len(others) in (1, 3):
        return others
    such = "3,2,1" if layout.bands > 2 else "1,1,2"
    raise UnusableImage(
        f"it has {layout.bands} bands, and nothing says which are red, green and blue: choose three by dataset.bands, such as "
        f"dataset.bands={such}"
    )


def _tags(content: bytes) -> dict[int, np.ndarray]:
    order, big = ("<" if content[:2] == b"II" else ">"), content[2:4] in (b"+\0", b"\0+")
    where, count_of, entry = (8, "Q", "HHQ") if big else (4, "H", "HHI")
    (start,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", content, where)
    (count,) = struct.unpack_from(f"{order}{count_of}", content, start)
    if count > _MOST_TAGS:
        raise ValueError(f"{count:,} tags")
    inline, length, first = (8, 20, start + 8) if big else (4, 12, start + 2)
    tags, total = {}, 0
    for place in range(first, first + count * length, length):
        tag, kind, n = struct.unpack_from(f"{order}{entry}", content, place)
        size = n * _SIZES.get(kind, 1)
        total += size
        if tag not in _READ or kind not in _TYPES:
            continue
        at = place + length - inline
        if size > inline:
            (at,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", content, at)
        tags[tag] = np.frombuffer(content, f"{order}{_TYPES[kind]}", n, at)
    if total > 2 * len(content) + (1 << 16):  # Pillow reads them all
        raise ValueError(f"its tags claim {total:,} bytes")
    return tags


def _layout(content: bytes, tags: Mapping[int, np.ndarray]) -> Layout:
    bands = _first(tags, SAMPLES, 1)
    bits = set(tags.get(BITS, np.ones(1, int))[: max(bands, 1)].tolist())
    formats = set(tags.get(SAMPLE_FORMAT, np.ones(1, int))[: max(bands, 1)].tolist())
    dtype = None
    if len(bits) == len(formats) == 1 and (kind := _NUMBERS.get(formats.pop())):
        dtype = _dtype(kind, bits.pop(), "<" if content[:2] == b"II" else ">")
    return Layout(
        width=_first(tags, WIDTH),
        height=_first(tags, LENGTH),
        bands=bands,
        dtype=dtype,
        photometric=_first(tags, PHOTOMETRIC, _RGB if bands in (3, 4) else _BLACK_IS_ZERO),
        extra=tuple(tags.get(EXTRA_SAMPLES, np.empty(0, int)).tolist()),
        orientation=_first(tags, ORIENTATION, 1),
        no_data=_number(tags.get(NO_DATA)),
        tags=tags,
    )


def _dtype(kind: str, bits: int, order: str) -> np.dtype | None:
    possible = {"u": (8, 16, 32, 64), "i": (8, 16, 32, 64), "f": (16, 32, 64)}
    return np.dtype(f"{order}{kind}{bits // 8}") if bits in possible[kind] else None


def _number(text: np.ndarray | None) -> float | None:
    try:
        return None if text is None else float(text.tobytes().rstrip(b" \0"))
    except ValueError:
        return None


def _first(tags: Mapping[int, np.ndarray], tag: int, default: int | None = None) -> int:
    value = int(tags[tag][0]) if default is None or len(tags.get(tag, ())) else default
    if not 0 <= value < _NO_BOUND:
        raise ValueError(f"{value:,} in tag {tag}")
    return value


def _bands(content: bytes, layout: Layout, wanted: Sequence[int]) -> np.ndarray:
    """Return some bands as `(height, width, len(wanted))`, in the machine's byte order."""
    assert layout.dtype is not None
    if _first(layout.tags, PLANAR, 1) != 2 or layout.bands == 1:
        return _plane(content, layout, 0, layout.bands)[..., list(wanted)]
    out = np.empty((layout.height, layout.width, len(wanted)), layout.dtype.newbyteorder("="))
    for i, band in enumerate(wanted):
        out[..., i] = _plane(content, layout, band, 1)[..., 0]
    return out


def _plane(content: bytes, layout: Layout, number: int, bands: int) -> np.ndarray:
    """Return the bands that are stored together, `(height, width, bands)`; `number` counts those stored one after the other."""
    assert layout.dtype is not None
    tags, pixel = layout.tags, bands * layout.dtype.itemsize
    tiled, block = TILES in tags, layout.block
    across = math.ceil(layout.width / block[1])
    parts = across * math.ceil(layout.height / block[0])
    entries: dict[int, Sequence[int] | np.ndarray] = {
        WIDTH: [across * block[1] * pixel], LENGTH: [layout.height], BITS: [8], PHOTOMETRIC: [_BLACK_IS_ZERO], SAMPLES: [1],
        COMPRESSION: [_first(tags, COMPRESSION, 1)], FILL_ORDER: [_first(tags, FILL_ORDER, 1)],
    }  # fmt: skip
    entries |= {TILE_WIDTH: [block[1] * pixel], TILE_LENGTH: [block[0]]} if tiled else {STRIP_ROWS: [block[0]]}
    for tag in (TILES, TILE_BYTES) if tiled else (STRIPS, STRIP_BYTES):
        if tag in tags:
            entries[tag] = tags[tag][number * parts : (number + 1) * parts]
            if len(entries[tag]) < parts:
                raise UnusableImage("a TIFF image that lacks some of its parts: it is damaged or truncated")
    with Image.open(io.BytesIO(_with_tags(content, entries)), formats=["TIFF"]) as image:
        rows = np.asarray(image).reshape(layout.height, across, block[1] * pixel)
    values = _values(rows, layout.dtype, bands, _first(tags, PREDICTOR, 1))
    return values.reshape(layout.height, across * block[1], bands)[:, : layout.width]


def _values(rows: np.ndarray, dtype: np.dtype, bands: int, predictor: int) -> np.ndarray:
    """Return the numbers in rows of bytes, `(height, parts of a row, bytes)`; undoes what a compressor did beforehand."""
    height, across, _ = rows.shape
    if predictor == _FLOATS_BY_DIFFERENCE and dtype.kind == "f":
        planes = np.cumsum(rows.reshape(height, across, -1, bands), axis=2, dtype=np.uint8)
        planes = planes.reshape(height, across, dtype.itemsize, -1)
        together = np.ascontiguousarray(planes.swapaxes(2, 3)).view(dtype.newbyteorder(">"))
        return together.astype(dtype.newbyteorder("="))
    values = rows.view(dtype).astype(dtype.newbyteorder("="), copy=False).reshape(height, across, -1, bands)
    if predictor == _BY_DIFFERENCE and dtype.kind != "f":
        return np.cumsum(values, axis=2, dtype=values.dtype)
    if predictor != 1:
        raise UnusableImage(f"a TIFF image of {dtype.name} with the predictor {predictor}, which is not read")
    return values


def _with_tags(content: bytes, entries: Mapping[int, Sequence[int] | np.ndarray]) -> bytes:
    """Return a TIFF with other tags, which are put at its end; what they point to stays where it was.

    It is a small, little-endian one whatever it was: the order of bytes in numbers means nothing to a reader of bytes.
    """
    start = len(content) + len(content) % 2
    after = start + 2 + 12 * len(entries) + 4
    table, arrays = struct.pack("<H", len(entries)), b""
    for tag, values in sorted(entries.items()):
        packed = np.asarray(values).astype("<u4").tobytes()
        short = tag == BITS  # the one tag that may not be long
        table += struct.pack("<HHI", tag, 3 if short else 4, len(values))
        table += packed if len(packed) == 4 else struct.pack("<I", after + len(arrays))
        arrays += packed if len(packed) > 4 else b""
    return b"II*\0" + struct.pack("<I", start) + content[8:] + bytes(start - len(content)) + table + bytes(4) + arrays
