"""The pixels of images in an .npz: 8-bit RGB, mapped from the file where it allows that, never all in memory."""

import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bottleneck_features.features.npyfiles import SavedArray
from bottleneck_features.features.storage import require_space
from bottleneck_features.pipeline.datasets.dataset import SHA256_BYTES, content_hashes
from bottleneck_features.pipeline.datasets.pixels.array_values import (
    BRIGHT,
    WHITE,
    ambiguity,
    eight_bits,
    is_dark,
    rgb,
    white_of,
)
from bottleneck_features.pipeline.datasets.scan_memory import ScanMemory
from bottleneck_features.pipeline.errors import ChangedImage, RequestError

_LOCAL_HEADER = 30  # bytes, then a name and an extra field whose lengths are in the last four
_ADVICE = "Save them as np.uint8, 0 (black) to 255 (white)"


class Looked(NamedTuple):
    """What was found in the images of an array.

    Attributes:
        white: the value that becomes 255: 1 or 255.
        largest: value.
        contents: `(n, 32)` uint8, the SHA-256 of each image as 8-bit RGB.
    """

    white: int
    largest: float
    contents: np.ndarray


class ArrayPixels:
    """The images of one array as 8-bit RGB.

    Args:
        array: `(n, height, width)`, or with 1 or 3 channels last.
        home: the artifacts folder: what was found is remembered there, and a compressed array unpacked into a temporary file.

    Raises:
        RequestError: these are no images, or it cannot be told what is black and what is white.
    """

    def __init__(self, array: SavedArray, home: Path) -> None:
        _require_images(array)
        self.shape = (array.shape[1], array.shape[2], 3)
        self._array, self._home, self._state = array, home, _state_of(array.path)
        self._stored: np.ndarray | None = None
        memory = ScanMemory(home, "npz", array.path.absolute())
        found = memory.recall(array.name, self._parsed)
        if found is None:
            found = self._look()
            memory.remember(
                array.name, {"state": np.array(self._state), **{k: np.array(v) for k, v in found._asdict().items()}}
            )
        self.looked = found

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """Return the images at `(m,)` positions as a `(m, height, width, 3)` uint8 array.

        Raises:
            ChangedImage: the file is no longer what it was.
        """
        if self._stored is None:
            self._require_unchanged()
            self._stored = self._mapped() if self._can_be_mapped() else self._unpacked()
        return rgb(eight_bits(self._stored[indices], self.looked.white))

    def _look(self) -> Looked:
        white, largest = (WHITE, 0.0) if self._array.dtype == np.uint8 else self._range()
        hashes = []
        for block in self._blocks():
            largest = max(largest, float(block.max()))
            hashes.append(content_hashes(rgb(eight_bits(block, white))))
        if largest <= 1 and self._array.dtype == np.uint8:
            raise _ambiguous(self._array, 0, largest)
        return Looked(white, largest, np.concatenate(hashes))

    def _range(self) -> tuple[int, float]:
        """Return the value that is white and the largest one: floats of 0 to 1, or any numbers of 0 to 255."""
        low, high = np.inf, -np.inf
        for block in self._blocks():
            if not np.isfinite(block).all():
                raise RequestError(f"{self._array.place} has values that are not finite (NaN or infinite). {_ADVICE}.")
            low, high = min(low, float(block.min())), max(high, float(block.max()))
        white = white_of(self._array.dtype, low, high)
        if white is None or is_dark(white, high):
            raise _ambiguous(self._array, low, high)
        return white, high

    def _parsed(self, arrays: Mapping[str, np.ndarray]) -> Looked:
        found = Looked(int(arrays["white"]), float(arrays["largest"]), arrays["contents"])
        if arrays["state"].item() != self._state or found.white not in (1, WHITE):
            raise ValueError("of another state of the file")
        if found.contents.dtype != np.uint8 or found.contents.shape != (self._array.shape[0], SHA256_BYTES):
            raise ValueError("hashes of other images")
        return found

    def _blocks(self) -> Iterator[np.ndarray]:
        return self._array.rows(self._array.blocks())

    def _can_be_mapped(self) -> bool:
        with zipfile.ZipFile(self._array.path) as archive:
            return (
                archive.getinfo(f"{self._array.name}.npy").compress_type == zipfile.ZIP_STORED
                and not self._array.fortran
            )

    def _mapped(self) -> np.ndarray:
        with zipfile.ZipFile(self._array.path) as archive, self._array.path.open("rb") as file:
            start = archive.getinfo(f"{self._array.name}.npy").header_offset
            file.seek(start + _LOCAL_HEADER - 4)
            name, extra = np.frombuffer(file.read(4), "<u2").tolist()
        offset = start + _LOCAL_HEADER + name + extra + self._array.offset
        return np.memmap(self._array.path, self._array.dtype, "r", offset, self._array.shape)

    def _unpacked(self) -> np.ndarray:
        """Return the images in a temporary file, which has no name and is gone with the process, as 8 bits."""
        require_space(self._home, int(np.prod(self._array.shape)), f"Unpacking the images of '{self._array.path}'")
        with tempfile.TemporaryFile(dir=self._home) as file:
            for block in self._blocks():
                file.write(eight_bits(block, self.looked.white).tobytes())
            file.flush()
            return np.memmap(file, np.uint8, "r", 0, self._array.shape)

    def _require_unchanged(self) -> None:
        if _state_of(self._array.path) != self._state:
            raise ChangedImage(f"'{self._array.path}' is no longer what it was at the start. Put it back.")


def _require_images(array: SavedArray) -> None:
    """Refuse what has not the type and shape of images, as what it is."""
    received = f"Received: {array.place}, {array.dtype} of shape {array.shape}"
    if len(array.shape) == 2:
        raise RequestError(
            f"Images have the shape (n, height, width) or (n, height, width, 3); rows of numbers are features. {received}. "
            f"Take features over: bottleneck cache import NAME train={array.path}. Images that were made flat: "
            "x.reshape(-1, height, width)."
        )
    if len(array.shape) == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3):
        raise RequestError(f"The channels come first here, and last in images: x.transpose(0, 2, 3, 1). {received}")
    if len(array.shape) not in (3, 4) or (len(array.shape) == 4 and array.shape[3] not in (1, 3)):
        raise RequestError(
            f"Images have the shape (n, height, width), grey, or (n, height, width, 3), RGB. {received}. Of RGBA save "
            f"x[..., :3]; take features over: bottleneck cache import NAME train={array.path}"
        )
    if array.dtype.kind not in "uif":
        raise RequestError(f"Images are numbers. {received}. {_ADVICE}: (x * 255).astype('uint8') of true and false.")


def _ambiguous(array: SavedArray, low: float, high: float) -> RequestError:
    return RequestError(
        f"{ambiguity(array.place, array.dtype, low, high)} Floats from 0 to 1, and numbers from 0 to 255 whose largest "
        f"is {BRIGHT} at least, are understood. {_ADVICE}: "
        "((x - black) / (white - black) * 255).round().astype('uint8')."
    )


def _state_of(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
