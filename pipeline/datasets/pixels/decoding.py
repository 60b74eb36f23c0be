"""Image files as 8-bit RGB arrays, with a reason for every file that cannot be one.

What becomes RGB, and how: the orientation the file asks for is applied, once; grey is repeated; a palette is looked up; CMYK,
YCbCr and LAB by Pillow's conversion, without colour profiles; transparent pixels are laid over white. Numbers that are not 0
to 255 become 8 bits by a range that holds for the whole data set, never by one picture's own; numbers that are missing become
the lowest. `bands` are laid out as red, green and blue instead, without transparency. Of animations, of TIFFs with several
pages and of pictures with previews the first picture is taken.

Pillow reads what it reads rightly; `tiff` and `sixteen_bits` give the numbers it does not.

Resizing happens here, on the host, because files have many sizes, and ends in 8 bits. On 48 photographs of mini natural
images (224 px, pooled last features of a ResNet-50 in float32) that moves the features by 2.6 % on average, relative L2,
4.8 % at most, against resizing the same pixels in float: as much as bfloat16 does (2.4 %). So it is part of the cache's
identity. For JPEGs of 1600x1200 it is 2.0 % without and 2.5 % with libjpeg's shrinking before it.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import joblib
import numpy as np
import PIL
from PIL import ExifTags, Image, UnidentifiedImageError, features

from bottleneck_features.errors import first_line
from bottleneck_features.pipeline.datasets.pixels.deep_pixels import (
    MOSTLY,
    Numbers,
    alpha_is_a_picture,
    as_rgb,
    of_bands,
    over_white,
    range_of,
    require_bands,
)
from bottleneck_features.pipeline.datasets.pixels.file_bytes import read_file
from bottleneck_features.pipeline.datasets.pixels.file_kinds import is_heif, what_it_is
from bottleneck_features.pipeline.datasets.pixels.libtiff_messages import first_said, forget
from bottleneck_features.pipeline.datasets.pixels.pillow_settings import decoding_settings
from bottleneck_features.pipeline.datasets.pixels.resizing import Decoded, Resizing, fitted_and_whole, resized_image
from bottleneck_features.pipeline.datasets.pixels.sixteen_bits import decoded_bytes, held_numbers, numbers_of, stored_as
from bottleneck_features.pipeline.datasets.pixels.tiff import Layout, is_tiff, layout_of, read_numbers
from bottleneck_features.pipeline.datasets.pixels.unusable import RefusedBySetting, UnusableImage

PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a gibibyte of RGB
MAX_SIDE = 1 << 18  # pixels; a decoder holds a pointer for each row
BYTES_OF_A_PIXEL = 3  # RGB of 8 bits; a picture of larger numbers may have as many fewer pixels
MOST_SCANS = 100  # of a progressive JPEG, each of which takes the time of all its pixels; writers make about ten
PIXEL_RECIPE = 2  # raise it when the pixels of a file change
DECODING = "input.decoding"  # what the recipe is called in the cache's identity
RECIPE = f"Pillow, uint8, draft at twice the size, {PIXEL_RECIPE}"  # in the cache's identity
DRAFT_GAP = 2  # libjpeg may shrink to this multiple of the target before Pillow resizes (Pillow's own `reducing_gap`)

_LIBRARIES = ("jpg", "libjpeg_turbo", "webp", "avif", "jpg_2000", "libtiff", "zlib")
_PILLOW = " ".join(map(str, (PIXEL_RECIPE, PIL.__version__, *map(features.version, _LIBRARIES))))
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LIES_ON_ITS_SIDE = (5, 6, 7, 8)


@dataclass(frozen=True)
class Header:
    """What a file says of its picture.

    Attributes:
        width: in pixels, of the upright picture: a photograph that its camera turned has its stored sides exchanged.
        height: likewise.
        mode: Pillow's, such as `RGB`, `L`, `P`, `CMYK` or `I;16`; for a TIFF that Pillow does not read such as `13 x uint16`.
        format: Pillow's, such as `JPEG`.
    """

    width: int
    height: int
    mode: str
    format: str

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width


@dataclass(frozen=True)
class Checked:
    """What decoding a file found.

    Attributes:
        header: what it says of its picture.
        numbers: NumPy's name of its numbers where the data set's range is needed, such as `u2`; empty where it is not.
        lowest: of those numbers; 0 where no range is needed.
        highest: likewise.
        odd_alpha: whether its transparency is rather a picture than a mask.
    """

    header: Header
    numbers: str = ""
    lowest: float = 0.0
    highest: float = 0.0
    odd_alpha: bool = False


@dataclass(frozen=True)
class _Picture:
    """A decoded picture, not upright yet: 8-bit as Pillow has it, or numbers."""

    header: Header
    turn: int
    content: Image.Image | Numbers
    odd_alpha: bool = False


def decoders() -> str:
    """Return the versions of all that turns the bytes of image files into pixels."""
    with suppress(PackageNotFoundError):
        return f"{_PILLOW} {version('pillow-heif')}"
    return _PILLOW


def decoding_threads() -> int:
    """Return how many threads decode: one for each core this process may use, by affinity and by its cgroup's quota."""
    return joblib.cpu_count()


def check_and_load(content: bytes, resizing: Resizing, max_pixels: int = MAX_PIXELS) -> tuple[Checked, Decoded | None]:
    """Return what is in a file, and its picture, from one decoding of all its bytes (a JPEG as small as `load_bytes` takes it).

    No decoder sees bits that flipped inside a JPEG's coded data, or rows that a PNG's writer left out.

    Args:
        content: the file's bytes.
        resizing: what the picture becomes.
        max_pixels: the largest width x height.

    Returns:
        The `Checked`, and the picture. None where its numbers need the range of all images.

    Raises:
        UnusableImage: it is no image, truncated, broken or too large, or has not the bands.
    """
    picture = _guarded(_decoded, content, _drafted(resizing), max_pixels, resizing.bands)
    if picture.header.format == "PNG":  # decoding does not look at its checksums
        with opened(content, max_pixels) as image:
            _guarded(image.verify)
    if not isinstance(picture.content, Numbers) or not picture.content.type:
        checked = Checked(picture.header, odd_alpha=picture.odd_alpha)
        return checked, _guarded(_both, picture, resizing)
    return Checked(picture.header, picture.content.type, *picture.content.limits(), picture.odd_alpha), None


def load(path: Path, resizing: Resizing, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return the picture in a file; otherwise as `load_bytes`."""
    return load_bytes(read_file(path), resizing, max_pixels=max_pixels)


def load_bytes(content: bytes, resizing: Resizing, sha256: str = "", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return the picture in the bytes of a file, upright and resized.

    Args:
        content: the file's bytes.
        resizing: what it becomes. A JPEG more than twice as large is shrunk by libjpeg first (`draft`), if antialiased.
        sha256: what the bytes must hash to; empty: anything.
        max_pixels: the largest width x height.

    Returns:
        `(*resizing.size, 3)` uint8.

    Raises:
        UnusableImage: see `check_and_load`; or the bytes are others.
    """
    return _guarded(_upright, _picture(content, resizing, sha256, max_pixels), resizing)


def load_both(content: bytes, resizing: Resizing, sha256: str = "", max_pixels: int = MAX_PIXELS) -> Decoded:
    """Return the picture in the bytes of a file, fitted and whole; arguments and errors as of `load_bytes`."""
    return _guarded(_both, _picture(content, resizing, sha256, max_pixels), resizing)


def load_image(image: Image.Image, resizing: Resizing, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return a picture that Pillow has opened or made as `load_bytes` returns that of a file.

    The pixels are those of its file, but for JPEGs that libjpeg would shrink first, and for colours of 16 bits, of which
    Pillow keeps the upper 8. What is loaded stays with the picture, as Pillow does it.

    Args:
        image: its current frame is taken.
        resizing: what it becomes.
        max_pixels: the largest width x height.

    Raises:
        UnusableImage: its file is broken or closed, it is too large, or has not the bands.
    """
    return _guarded(_upright, _guarded(_held, image, max_pixels, resizing.bands), resizing)


@contextmanager
def opened(content: bytes, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Give the picture in the bytes of a file as Pillow's, not decoded yet.

    Raises:
        UnusableImage: it is no image, has no pixels, or more than `max_pixels`.
    """
    formats = (*PILLOW_FORMATS, "HEIF") if is_heif(content) and _reads_heif() else PILLOW_FORMATS
    with decoding_settings(max_pixels), _guarded(_identified, content, formats) as image:
        require_possible(image.width, image.height, 0, max_pixels)
        yield image


def require_possible(width: int, height: int, decoded_bytes: int, max_pixels: int) -> None:
    """Refuse a picture that is too large to decode.

    Raises:
        UnusableImage: it has no pixels, more than `max_pixels`, one side too long, or too many bytes when it is decoded.
    """
    if width * height > max_pixels:
        raise _too_large(f"{width}x{height} pixels", max_pixels)
    if not width or not height:
        raise UnusableImage("a picture without pixels")
    if max(width, height) > MAX_SIDE:
        raise UnusableImage(f"{width}x{height} pixels; the longest side that is read has {MAX_SIDE:,}")
    if decoded_bytes > BYTES_OF_A_PIXEL * max_pixels:
        what = f"{width}x{height} pixels of {decoded_bytes // (width * height):,} bytes each"
        raise _too_large(f"{what}, which is as much as a larger picture", max_pixels)


@lru_cache(maxsize=1)
def _reads_heif() -> bool:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _identified(content: bytes, formats: tuple[str, ...]) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content), "r", formats)
    except UnidentifiedImageError as error:
        raise UnusableImage(layout_of(content).why_not_read() if is_tiff(content) else what_it_is(content)) from error


def _guarded(function, *arguments):  # type: ignore[no-untyped-def]
    """Call a function of Pillow's; whatever it raises on a broken file becomes a reason."""
    forget()
    try:
        return function(*arguments)
    except UnusableImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large("a picture", Image.MAX_IMAGE_PIXELS or 0) from error
    except UnidentifiedImageError as error:  # whose message has an address in memory
        raise UnusableImage("broken: its picture cannot be decoded") from error
    except MemoryError as error:
        raise UnusableImage("it does not fit into memory") from error
    except Exception as error:  # decoders raise SyntaxError, struct.error, ValueError, zlib.error, KeyError, …
        reason = first_line(error) + (f" ({heard})" if (heard := first_said()) else "")
        said = reason if "truncated" in reason.lower() else f"broken: {reason}"
        raise UnusableImage(said.encode("ascii", "backslashreplace").decode()[:200]) from error


def _picture(content: bytes, resizing: Resizing, sha256: str, max_pixels: int) -> _Picture:
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise UnusableImage("its bytes are not those that were scanned")
    return _guarded(_decoded, content, _drafted(resizing), max_pixels, resizing.bands)


def _decoded(content: bytes, drafted: Resizing | None, max_pixels: int, bands: Sequence[int]) -> _Picture:
    """Decode a picture; a JPEG only so large that it can be resized, where that is given."""
    layout = layout_of(content) if is_tiff(content) else None
    if layout and not layout.is_for_pillow(bands):
        return _own_tiff(content, layout, max_pixels, bands)
    with opened(content, max_pixels) as image:
        require_possible(image.width, image.height, decoded_bytes(image), max_pixels)
        if image.info.get("progressive") and (scans := content.count(b"\xff\xda")) > MOST_SCANS:
            raise UnusableImage(f"a progressive JPEG of {scans:,} scans; at most {MOST_SCANS} are read")
        stored = stored_as(image)
        turn = _orientation(image)  # which loads a PNG
        width, height = (layout.width, layout.height) if layout else (image.width, image.height)
        header = _header(width, height, image.mode, image.format or "", layout.orientation if layout else turn)
        if layout:  # whose `load` turns it, and has exchanged the sides already
            turn = 1
        if numbers := numbers_of(content, image, stored):
            numbers = of_bands(numbers, bands)
            return _Picture(header, turn, numbers, alpha_is_a_picture(numbers.alpha))
        if drafted:
            height, width = (axis.resized for axis in drafted.axes(header.size))
            if turn in _LIES_ON_ITS_SIDE:
                height, width = width, height
            image.draft(None, (DRAFT_GAP * width, DRAFT_GAP * height))
        image.load()
        if layout and layout.fourth_is_no_alpha:
            return _Picture(header, turn, image.convert("RGB"))
        if bands:
            return _Picture(header, turn, _chosen(image, bands))
        return _Picture(header, turn, _flat(image), _has_odd_alpha(image))


def _held(image: Image.Image, max_pixels: int, bands: Sequence[int]) -> _Picture:
    require_possible(image.width, image.height, 0, max_pixels)
    _load(image)  # which turns a TIFF, and takes its tag away
    turn = _orientation(image)
    header = _header(image.width, image.height, image.mode, image.format or "", turn)
    if numbers := held_numbers(image):
        return _Picture(header, turn, of_bands(numbers, bands))
    return _Picture(header, turn, _chosen(image, bands) if bands else _flat(image))


def _drafted(resizing: Resizing) -> Resizing | None:
    """Return what a JPEG may be shrunk for before it is resized; None where every pixel counts."""
    return resizing if resizing.antialias and resizing.kernel != "nearest" else None


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except (AssertionError, ValueError) as error:  # Pillow's way to say that there is no file any more
        file = getattr(image, "fp", None)
        if file is None or getattr(file, "closed", False) or "closed" in str(error):
            raise UnusableImage("it was closed before it was read: load() it before, or give its path") from error
        raise


def _own_tiff(content: bytes, layout: Layout, max_pixels: int, bands: Sequence[int]) -> _Picture:
    require_possible(layout.width, layout.height, layout.decoded_bytes, max_pixels)
    with decoding_settings(BYTES_OF_A_PIXEL * max_pixels):
        numbers = read_numbers(content, layout, bands)
    header = _header(layout.width, layout.height, layout.mode, "TIFF", layout.orientation)
    return _Picture(header, layout.orientation, numbers, alpha_is_a_picture(numbers.alpha))


def _header(width: int, height: int, mode: str, kind: str, turn: int) -> Header:
    """Return the header of a picture of some stored size."""
    upright = (height, width) if turn in _LIES_ON_ITS_SIDE else (width, height)
    return Header(*upright, mode, kind)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a picture is no worse for a broken EXIF block
        return 1


def _flat(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        return over_white(image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _has_odd_alpha(image: Image.Image) -> bool:
    if image.mode not in ("LA", "RGBA"):
        return False
    clear, *between, opaque = image.getchannel("A").histogram()
    return sum(between) > MOSTLY * (clear + sum(between) + opaque)


def _chosen(image: Image.Image, bands: Sequence[int]) -> Image.Image:
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        grey = image.mode == "1"
        image = image.convert("L" if grey else "RGBA" if image.has_transparency_data else "RGB")
    require_bands(len(image.getbands()), bands)
    return Image.merge("RGB", [image.getchannel(band - 1) for band in bands])


def _upright(picture: _Picture, resizing: Resizing) -> np.ndarray:
    return resized_image(_turned(picture, resizing), resizing, picture.header.size)


def _both(picture: _Picture, resizing: Resizing) -> Decoded:
    return fitted_and_whole(_turned(picture, resizing), resizing, picture.header.size)


def _turned(picture: _Picture, resizing: Resizing) -> Image.Image:
    content = picture.content
    image = as_rgb(content, *range_of(content, resizing.ranges)) if isinstance(content, Numbers) else content
    return image.transpose(_UPRIGHT[picture.turn]) if picture.turn in _UPRIGHT else image


def _too_large(what: str, max_pixels: int) -> RefusedBySetting:
    bomb = "(a decompression bomb?)"
    return RefusedBySetting(
        f"{what}, more than dataset.max_pixels={max_pixels:,} {bomb}",
        f"{what}, more than the {max_pixels:,} that are read {bomb}",
        "dataset.max_pixels",
    )
