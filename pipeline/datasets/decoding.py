"""Image files as 8-bit RGB arrays, by Pillow, with a reason for every file that cannot be one.

What becomes RGB, and how: the orientation an EXIF block asks for is applied; grey is repeated; a palette is looked up;
CMYK, YCbCr and LAB by Pillow's conversion, without colour profiles; transparent pixels are laid over white; 16-bit grey is
divided by 257; 32-bit integers count as 16-bit grey when they lie in 0..65535; floats are multiplied by 255 when they lie in
0..1, and rounded when they lie in 0..255; other integers and floats are refused. Of an animated GIF, WebP or PNG and of a
TIFF with several pages the first picture is taken.

Resizing happens here, on the host, because files have many sizes, and ends in 8 bits. On 48 photographs of mini natural
images (224 px, pooled last features of a ResNet-50 in float32) that moves the features by 2.6 % on average, relative L2,
4.8 % at most, against resizing the same pixels in float: as much as bfloat16 does (2.4 %). So it is part of the cache's
identity. For JPEGs of 1600x1200 it is 2.0 % without and 2.5 % with libjpeg's shrinking before it.
"""

import hashlib
import io
import logging
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from bottleneck_features.errors import first_line

PILLOW_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF")
ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff")
)
MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a gibibyte of RGB
MAX_BYTES = 1 << 29  # no picture below the limit of pixels needs more
REVISION = "Pillow, uint8, draft at twice the size, 1"  # raise the number when the pixels of a file change
DRAFT_GAP = 2  # libjpeg may shrink to this multiple of the target before Pillow resizes (Pillow's own `reducing_gap`)
WHITE = (255, 255, 255, 255)

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}
POINT_SAMPLED = ("nearest", "bilinear", "bicubic")  # the kernels that can resize without antialiasing
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

# What Pillow has to say of a broken file is in the reason the file is refused for; as `warnings` keeps its filters.
_WARNING_FILTERS = (
    ("ignore", None, UserWarning, re.compile(r"PIL\."), 0),
    ("error", None, Image.DecompressionBombWarning, None, 0),
)


class UnusableImage(Exception):
    """A file that cannot be an image of a data set; the message is the reason, in one line."""


@dataclass(frozen=True)
class Header:
    """What a file says of its picture.

    Attributes:
        width: in pixels, as stored (before the orientation is applied).
        height: likewise.
        mode: Pillow's, such as `RGB`, `L`, `P`, `CMYK` or `I;16`.
        format: Pillow's, such as `JPEG`.
    """

    width: int
    height: int
    mode: str
    format: str


@dataclass(frozen=True)
class Resizing:
    """What every image is resized to, and how.

    Attributes:
        size: (height, width).
        kernel: as `input.resize` of an experiment.
        antialias: as `input.antialias`.
    """

    size: tuple[int, int]
    kernel: str = "bilinear"
    antialias: bool = True


class _PillowSettings:
    """Pillow's process-wide settings, changed while at least one thread decodes and put back by the last one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoding = 0
        self._level = logging.NOTSET
        self._limits: tuple[int | None, int | None] = (None, None)
        self._filters: list[Any] = []

    @contextmanager
    def changed(self, max_pixels: int) -> Iterator[None]:
        """Raise Pillow's limit to `max_pixels`, let nothing be printed, and make a decompression bomb an error.

        Changing the filters of warnings makes Python forget which ones it has shown: whoever decodes many images keeps this
        open around all of them.
        """
        with self._lock:
            if not self._decoding:
                self._begin()
            self._decoding += 1
            if Image.MAX_IMAGE_PIXELS is not None:  # it takes no argument; lower limits are held to by `opened`
                Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)
                self._limits = (self._limits[0], Image.MAX_IMAGE_PIXELS)
        try:
            yield
        finally:
            with self._lock:
                self._decoding -= 1
                if not self._decoding:
                    self._end()

    def _begin(self) -> None:
        logger = logging.getLogger("PIL")
        self._level, self._limits = logger.level, (Image.MAX_IMAGE_PIXELS, Image.MAX_IMAGE_PIXELS)
        logger.setLevel(logging.CRITICAL)
        self._filters = [one for one in _WARNING_FILTERS if one not in warnings.filters]
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

    def _end(self) -> None:
        logging.getLogger("PIL").setLevel(self._level)
        before, ours = self._limits
        if ours == Image.MAX_IMAGE_PIXELS:  # else somebody has set it meanwhile
            Image.MAX_IMAGE_PIXELS = before
        for added in self._filters:  # `warnings.catch_warnings` would undo what other threads did meanwhile
            with suppress(ValueError):
                warnings.filters.remove(added)  # type: ignore[attr-defined]


decoding_settings = _PillowSettings().changed


def decoding_threads() -> int:
    """Return how many threads decode: one for each core this process may use, by affinity and by its cgroup's quota."""
    return joblib.cpu_count()


def read_file(path: Path) -> bytes:
    """Return the bytes of a regular file; never waits for a pipe and never opens a device.

    Raises:
        UnusableImage: it is something else, empty, too large, or cannot be read.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnusableImage(_kind(status.st_mode))
            if status.st_size > MAX_BYTES:
                raise UnusableImage(f"a file of {status.st_size:,} bytes; the limit is {MAX_BYTES:,}")
            content = stream.read(MAX_BYTES)
    except OSError as error:
        raise UnusableImage(_why_not_opened(path, error)) from error
    except ValueError as error:
        raise UnusableImage(f"no file can have this name ({error})") from error
    if not content:
        raise UnusableImage("an empty file")
    return content


def check(content: bytes, max_pixels: int = MAX_PIXELS) -> Header:
    """Return what a file's header says, after decoding all of it (a JPEG at an eighth of its size, from all its bytes).

    No decoder sees bits that flipped inside a JPEG's coded data, or rows that a PNG's writer left out.

    Args:
        content: the file's bytes.
        max_pixels: the largest width x height.

    Raises:
        UnusableImage: it is no image, truncated, broken or too large.
    """
    with opened(content, max_pixels) as image:
        header = Header(image.width, image.height, image.mode, image.format or "")
        _guarded(_rgb, image, (1, 1))
    if header.format == "PNG":  # decoding does not look at its checksums
        with opened(content, max_pixels) as image:
            _guarded(image.verify)
    return header


def load(path: Path, resizing: Resizing, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return the picture in a file, upright and resized without regard to its aspect, as `(*resizing.size, 3)` uint8.

    Args:
        path: the file.
        resizing: what it becomes. A JPEG more than twice as large is shrunk by libjpeg first (`draft`), if antialiased.
        max_pixels: the largest width x height.

    Raises:
        UnusableImage: see `read_file` and `check`.
    """
    return load_bytes(read_file(path), resizing, max_pixels=max_pixels)


def load_bytes(content: bytes, resizing: Resizing, sha256: str = "", max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return the picture in the bytes of a file; otherwise as `load`.

    Args:
        content: the file's bytes.
        resizing: what it becomes.
        sha256: what the bytes must hash to; empty: anything.
        max_pixels: the largest width x height.

    Raises:
        UnusableImage: see `check`; or the bytes are others.
    """
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise UnusableImage("its bytes are not those that were scanned")
    with opened(content, max_pixels) as image:
        drafts = resizing.antialias and resizing.kernel != "nearest"
        upright = _guarded(_rgb, image, resizing.size if drafts else None)
        return np.asarray(_resized(upright, resizing))


@contextmanager
def opened(content: bytes, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Give the picture in the bytes of a file as Pillow's, not decoded yet.

    Raises:
        UnusableImage: it is no image, has no pixels, or more than `max_pixels`.
    """
    with decoding_settings(max_pixels), _guarded(Image.open, io.BytesIO(content), "r", PILLOW_FORMATS) as image:
        if image.width * image.height > max_pixels:
            raise UnusableImage(_too_large(f"{image.width}x{image.height} pixels", max_pixels))
        if not image.width or not image.height:
            raise UnusableImage("a picture without pixels")
        yield image


def _guarded(function, *arguments):  # type: ignore[no-untyped-def]
    """Call a function of Pillow's; whatever it raises on a broken file becomes a reason."""
    try:
        return function(*arguments)
    except UnusableImage:
        raise
    except UnidentifiedImageError as error:
        raise UnusableImage("not a JPEG, PNG, WebP, BMP, GIF or TIFF image") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImage(_too_large("a picture", Image.MAX_IMAGE_PIXELS or 0)) from error
    except MemoryError as error:
        raise UnusableImage("it does not fit into memory") from error
    except Exception as error:  # decoders raise SyntaxError, struct.error, ValueError, zlib.error, KeyError, …
        reason = first_line(error)
        said = reason if "truncated" in reason.lower() else f"broken: {reason}"
        raise UnusableImage(said.encode("ascii", "backslashreplace").decode()[:200]) from error


def _rgb(image: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    turn = _orientation(image)
    if size:
        height, width = size if turn not in _LIES_ON_ITS_SIDE else size[::-1]
        image.draft(None, (DRAFT_GAP * width, DRAFT_GAP * height))
    image.load()
    flat = _eight_bit(image)
    return flat.transpose(_UPRIGHT[turn]) if turn in _UPRIGHT else flat


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a picture is no worse for a broken EXIF block
        return 1


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_grey_levels(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, WHITE), picture).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey_levels(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.round(values * 255).astype(np.uint8)
    if values.dtype.kind == "f" and low >= 0 and high <= 255:
        return np.round(values).astype(np.uint8)
    if values.dtype.kind in "iu" and low >= 0 and high <= 65535:
        return np.round(values / 257).astype(np.uint8)
    allowed = "0..1 or 0..255" if values.dtype.kind == "f" else "0..65535"
    raise UnusableImage(f"{values.dtype} values from {low:g} to {high:g}; what is taken is {allowed}")


def _resized(image: Image.Image, resizing: Resizing) -> Image.Image:
    height, width = resizing.size
    kernel = _FILTERS[resizing.kernel]
    if resizing.antialias or resizing.kernel == "nearest":
        return image.resize((width, height), kernel)
    steps = (image.width / width, 0, 0, 0, image.height / height, 0)
    return image.transform((width, height), Image.Transform.AFFINE, steps, kernel)


def _too_large(what: str, max_pixels: int) -> str:
    return f"{what}, more than dataset.max_pixels={max_pixels:,} (a decompression bomb?)"


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
    }  # fmt: skip
    return f"{kinds.get(stat.S_IFMT(mode), 'something else')}, not a file"


def _why_not_opened(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "a symbolic link to nothing" if path.is_symlink() else "there is no such file"
    if isinstance(error, PermissionError):
        return "it may not be read (permission denied)"
    try:
        mode = path.stat().st_mode
    except OSError:
        return f"it cannot be opened ({error.strerror})"
    return f"it cannot be opened ({error.strerror})" if stat.S_ISREG(mode) else _kind(mode)
