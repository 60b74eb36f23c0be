"""What decoding an image gave, remembered by its content, so that no command has to decode it again."""

import hashlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from bottleneck_features import features
from bottleneck_features.features.storage import remove_stale
from bottleneck_features.pipeline.datasets.pixels.decoding import decoders
from bottleneck_features.pipeline.datasets.pixels.perceptual import hash_type, perceptual_hash
from bottleneck_features.pipeline.datasets.pixels.resizing import Decoded, Resizing, resized
from bottleneck_features.pipeline.datasets.scan_memory import PIXEL_FOLDER, UNUSED_DAYS, last_used, remove
from bottleneck_features.pipeline.results import write_bytes

_VERSION = 1  # raise it when what is remembered changes
HASHES, PIXELS, LOOKS = ".hashes", ".pixels", ".looks"
# of all files of a kind: hashes of a million images, pixels of 14,000 of 224×224, looks of 19,000
MOST_BYTES = {HASHES: 1 << 30, PIXELS: 2 << 30, LOOKS: 1 << 29}
LOOK = 96  # pixels per side, at most, of what is looked at where the pixels do not show all of a picture
TIMES_SMALLER = 4  # than its file a picture is, for its pixels to be kept
_WRITTEN_BYTES = 16 << 20  # that are in memory before they are written


class PixelMemory:
    """The perceptual hashes of whole images, and of those with large files the pixels as one `Resizing` fits them.

    Where that crops or pads, a small look at the whole image is kept with the pixels.

    Everything is found by the SHA-256 of the image's file, and each row is sealed: what is damaged is not there. Several
    threads and processes may use it at once. What cannot be kept, since the disk or the memory's share of it is full, is
    decoded again when it is asked for.

    Args:
        home: the artifacts folder; `pixels` in it holds a folder for each way of resizing.
        resizing: what the images become. Its ranges do not matter: images that need them are not kept.

    Attributes:
        resizing: likewise.
    """

    def __init__(self, home: Path, resizing: Resizing) -> None:
        self.resizing = resizing
        fit = () if resizing.shows_all else (resizing.fit, resizing.crop_share)
        how = (resizing.size, resizing.kernel, resizing.antialias, resizing.bands, decoders(), _VERSION, *fit)
        self._all = home / PIXEL_FOLDER
        self._folder = self._all / hashlib.sha256(repr(how).encode()).hexdigest()[:32]
        height, width = resizing.size
        self._look = replace(resizing.whole, size=(min(height, LOOK), min(width, LOOK)))
        self._types = {
            HASHES: _sealed_type(hash_type(*resizing.size)),
            PIXELS: _sealed_type(np.dtype(("u1", (*resizing.size, 3)))),
            LOOKS: _sealed_type(np.dtype(("u1", (*self._look.size, 3)))),
        }
        self._lock = threading.Lock()
        self._waiting: dict[str, list[np.ndarray]] = defaultdict(list)
        self._rows: dict[str, dict[bytes, tuple[Path, int]]] = {}
        self._opened = time.time()
        remove_stale(self._folder)
        for path in self._all.glob("*/*"):
            if last_used(path) < self._opened - UNUSED_DAYS * 86400:
                remove(path)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Let each thread calculate by itself, and write what `keep` was given at the end, also of work that was interrupted."""
        try:
            with threadpool_limits(1, user_api="blas"):
                yield
        finally:
            with self._lock:
                for kind in MOST_BYTES:
                    self._write(kind)

    def keep(self, sha256: bytes, decoded: Decoded, file_bytes: int) -> np.ndarray:
        """Keep what is worth it of an image, within `keeping`.

        Args:
            sha256: of its file.
            decoded: its picture, of this memory's size.
            file_bytes: how many its file has.

        Returns:
            Its perceptual hash, `()` record.
        """
        described = perceptual_hash(decoded.whole[None])
        rows = {HASHES: _sealed(described, sha256, self._types[HASHES])}
        if TIMES_SMALLER * decoded.pixels.nbytes <= file_bytes:
            rows[PIXELS] = _sealed(decoded.pixels[None], sha256, self._types[PIXELS])
            if not self.resizing.shows_all:
                rows[LOOKS] = _sealed(resized(decoded.whole, self._look)[None], sha256, self._types[LOOKS])
        with self._lock:
            for kind, row in rows.items():
                self._waiting[kind].append(row)
                if len(self._waiting[kind]) * row.nbytes >= _WRITTEN_BYTES:
                    self._write(kind)
        return described[0]

    def pixels(self, sha256: bytes) -> np.ndarray | None:
        """Return the pixels of the image whose file has a SHA-256, `(height, width, 3)` uint8; None where they are not kept."""
        return self._kept(PIXELS, sha256)

    def whole(self, sha256: bytes) -> np.ndarray | None:
        """Return all of that image in few pixels, `(height, width, 3)` uint8; None where they are not kept."""
        return self._kept(PIXELS if self.resizing.shows_all else LOOKS, sha256)

    def _kept(self, kind: str, sha256: bytes) -> np.ndarray | None:
        with self._lock:
            if kind not in self._rows:
                self._rows[kind] = dict(self._places(kind))
            found = self._rows[kind].get(sha256)
        if found is None:
            return None
        (path, number), row_type = found, self._types[kind]
        try:
            row = np.fromfile(path, row_type, 1, offset=number * row_type.itemsize)
        except OSError:  # forgotten meanwhile
            return None
        return row["value"][0] if len(row) and _is_sound(row, sha256) else None

    def hashes(self, contents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the perceptual hashes that are kept of images.

        Args:
            contents: `(n, 32)` uint8, the SHA-256 of their files.

        Returns:
            `(n,)` a mask of those that are kept, and `(n,)` records, undefined where they are not.
        """
        found, out = np.zeros(len(contents), bool), np.empty(len(contents), hash_type(*self.resizing.size))
        for path in self._files(HASHES):
            rows = _read(path, self._types[HASHES])
            places = features.content_places(contents[~found], rows["content"])
            wanted = np.flatnonzero(~found)[places != features.NOWHERE]
            places = places[places != features.NOWHERE]
            if len(wanted):
                _mark_used(path)
                sound = np.array([_is_sound(rows[i : i + 1], rows["content"][i].tobytes()) for i in places], bool)
                out[wanted[sound]], found[wanted[sound]] = rows["value"][places[sound]], True
        return found, out

    def _places(self, kind: str) -> Iterator[tuple[bytes, tuple[Path, int]]]:
        for path in self._files(kind):
            for number, content in enumerate(_contents(path, self._types[kind])):
                yield content, (path, number)
            _mark_used(path)

    def _files(self, kind: str) -> list[Path]:
        return sorted(self._folder.glob(f"*{kind}"))

    def _write(self, kind: str) -> None:
        rows, self._waiting[kind] = self._waiting[kind], []
        if not rows:
            return
        content = np.concatenate(rows).tobytes()
        path = self._folder / f"{hashlib.sha256(content).hexdigest()[:32]}{kind}"
        with suppress(OSError):  # a full disk: what is to be written there next says so
            if self._has_room(kind, len(content)):
                write_bytes(path, content)
                if kind in self._rows:
                    self._rows[kind] |= {row["content"].tobytes(): (path, number) for number, row in enumerate(rows)}

    def _has_room(self, kind: str, wanted: int) -> bool:
        """Make room by forgetting what was used last before this memory was opened, as far as it goes."""
        files = sorted((last_used(path), path.stat().st_size, path) for path in self._all.glob(f"*/*{kind}"))
        total = sum(size for _, size, _ in files) + wanted
        for used, size, path in files:
            if total <= MOST_BYTES[kind] or used >= self._opened:
                break
            remove(path)
            total -= size
        return total <= MOST_BYTES[kind]


def _sealed_type(value: np.dtype) -> np.dtype:
    return np.dtype([("content", "u1", 32), ("seal", "u1", 32), ("value", value)])


def _sealed(value: np.ndarray, sha256: bytes, row_type: np.dtype) -> np.ndarray:
    row = np.empty(1, row_type)
    row["content"], row["value"] = np.frombuffer(sha256, np.uint8), value
    row["seal"] = np.frombuffer(_seal(row), np.uint8)
    return row


def _seal(row: np.ndarray) -> bytes:
    """Return the SHA-256 of a row's content and value: it tells damage, not forgery."""
    return hashlib.sha256(row["content"].tobytes() + row["value"].tobytes()).digest()


def _is_sound(row: np.ndarray, sha256: bytes) -> bool:
    return row["content"].tobytes() == sha256 and row["seal"].tobytes() == _seal(row)


def _read(path: Path, row_type: np.dtype) -> np.ndarray:
    """Return the rows of a file; none of one that another process has just forgotten."""
    try:
        return np.fromfile(path, row_type)
    except OSError:
        return np.empty(0, row_type)


def _contents(path: Path, row_type: np.dtype) -> Iterator[bytes]:
    with suppress(OSError), path.open("rb") as file:
        for start in range(0, path.stat().st_size, row_type.itemsize):
            file.seek(start)
            yield file.read(32)


def _mark_used(path: Path) -> None:
    with suppress(OSError):
        os.utime(path)
