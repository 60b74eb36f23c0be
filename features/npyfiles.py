"""Arrays that NumPy saved, .npy or .npz: what there is from the headers alone, rows in a stream, never a pickle."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from bottleneck_features.errors import BottleneckError
from bottleneck_features.features.errors import ImportRefused
from bottleneck_features.features.storage import size_text

BLOCK_BYTES = 16 << 20
WHOLE_BYTES = 512 << 20  # of an array in Fortran order inside an .npz, which has to be read at once
LARGEST_ROW = 256 << 20
MOST_ROWS = 10_000_000
MOST_ARRAYS = 1000
_HEADER_BYTES = 16 << 10  # NumPy refuses a header of more than 10,000
_ZIP, _NPY, _HDF5, _PICKLE = b"PK", b"\x93NUMPY", b"\x89HDF", b"\x80"
_TAKEN = ".npz and .npy files are taken as NumPy saves them"


@dataclass(frozen=True)
class SavedArray:
    """An array in a file, known by its header.

    Attributes:
        path: the .npy or .npz file.
        name: its name in the .npz; empty for an .npy file.
        shape: rows first.
        dtype: any, also one of Python objects, which are not read.
        fortran: whether it is stored column by column.
        offset: bytes before its data, in the file or in the .npz member.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    offset: int

    def __str__(self) -> str:
        return (
            f"{self.name!r} {self.dtype} {self.shape}" if self.name else f"{self.path.name} {self.dtype} {self.shape}"
        )

    @property
    def place(self) -> str:
        """Where it is, in words for a message."""
        return f"{self.name!r} of {self.path}" if self.name else str(self.path)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * math.prod(self.shape[1:])

    def require_rows(self) -> None:
        """Refuse what has no rows to read: pickled objects, no rows, no values, or more than fit into memory.

        Raises:
            ImportRefused: with the reason.
        """
        if self.dtype.hasobject:
            raise ImportRefused(
                f"{self.place} holds Python objects ({self.dtype}), which NumPy saves as a pickle. Loading one could run any "
                "program, so it is never done. Save numbers or text instead: array.astype('float32') or array.astype(str)."
            )
        if not self.shape or not self.shape[0] or not self.row_bytes:
            raise ImportRefused(f"{self.place} has no values. Received: {self.dtype} of shape {self.shape}")
        if self.row_bytes > LARGEST_ROW or self.shape[0] > MOST_ROWS:
            raise ImportRefused(
                f"{self.place} is too large: {self.shape[0]:,} rows of {size_text(self.row_bytes)}. "
                f"At most {MOST_ROWS:,} rows of {size_text(LARGEST_ROW)} are taken."
            )

    def blocks(self) -> list[slice]:
        """Return all rows, in parts of about 16 MiB."""
        step = max(1, BLOCK_BYTES // max(1, self.row_bytes))
        return [slice(start, min(start + step, self.shape[0])) for start in range(0, self.shape[0], step)]

    def rows(self, parts: Iterable[slice]) -> Iterator[np.ndarray]:
        """Yield parts of the rows, each (stop − start, …) in C order; they must follow one another, gaps are skipped.

        Raises:
            ImportRefused: if the file cannot be read, ends too early, or would have to be read at once and is too large.
        """
        self.require_rows()
        with _readable(self.path):
            yield from self._of_columns(parts) if self.fortran else self._of_rows(parts)

    def _of_rows(self, parts: Iterable[slice]) -> Iterator[np.ndarray]:
        with self._stream() as stream:
            position = 0
            for part in parts:
                stream.seek((part.start - position) * self.row_bytes, 1)
                position = part.stop
                yield self._read(stream, part.stop - part.start)

    def _of_columns(self, parts: Iterable[slice]) -> Iterator[np.ndarray]:
        if self.name:
            whole = self._whole()
            yield from (np.ascontiguousarray(whole[part]) for part in parts)
            return
        with self.path.open("rb", buffering=0) as file:
            for part in parts:
                yield np.ascontiguousarray(self._turned(file, part.start, part.stop - part.start))

    def _turned(self, file: IO[bytes], start: int, count: int) -> np.ndarray:
        columns = np.empty((math.prod(self.shape[1:]), count), self.dtype)
        for number, column in enumerate(columns):
            file.seek(self.offset + (number * self.shape[0] + start) * self.dtype.itemsize)
            content = file.read(column.nbytes)
            if len(content) < column.nbytes:
                raise _cut_short(self.path)
            column[:] = np.frombuffer(content, self.dtype)
        return columns.T.reshape((count, *self.shape[1:]), order="F")

    def _read(self, stream: IO[bytes], count: int) -> np.ndarray:
        content = stream.read(count * self.row_bytes)
        if len(content) < count * self.row_bytes:
            raise _cut_short(self.path)
        return np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])

    def _whole(self) -> np.ndarray:
        size = self.shape[0] * self.row_bytes
        if size > WHOLE_BYTES:
            raise ImportRefused(
                f"{self.place} is stored column by column (Fortran order) and has {size_text(size)}, too much to turn round in "
                "memory. Save it as .npy, or row by row: np.ascontiguousarray(array)."
            )
        with self._stream() as stream:
            return self._read(stream, self.shape[0]).ravel().reshape(self.shape, order="F")

    @contextmanager
    def _stream(self) -> Iterator[IO[bytes]]:
        if not self.name:
            with self.path.open("rb") as stream:
                stream.seek(self.offset)
                yield stream
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.name}.npy") as member:
            member.read(self.offset)
            yield member


def saved_arrays(path: Path) -> tuple[SavedArray, ...]:
    """Return the arrays of a file: one of an .npy, several of an .npz; what the file is, its first bytes say.

    Raises:
        ImportRefused: if there is no such file, or it is neither; says what it is.
    """
    if not path.is_file():
        raise ImportRefused(
            f"{f'{str(path)!r} is a folder' if path.is_dir() else f'There is no file {str(path)!r}'}. {_TAKEN}."
        )
    with _readable(path):
        with path.open("rb") as file:
            start = file.read(_HEADER_BYTES)
        if start.startswith(_NPY):
            return (_from_header(path, "", start, path.stat().st_size),)
        if not start.startswith(_ZIP):
            raise ImportRefused(f"{path} {_what_it_is(start)}")
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if Path(member.filename).suffix == ".npy"]
            if not members or len(members) > MOST_ARRAYS:
                raise ImportRefused(f"{path} holds {len(members):,} arrays; 1 to {MOST_ARRAYS:,} are taken. {_TAKEN}.")
            return tuple(_from_member(path, archive, member) for member in members)


def _from_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> SavedArray:
    with archive.open(member) as stream:
        return _from_header(path, member.filename.removesuffix(".npy"), stream.read(_HEADER_BYTES), member.file_size)


def _from_header(path: Path, name: str, start: bytes, size: int) -> SavedArray:
    stream = io.BytesIO(start)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if min(shape, default=0) < 0:
        raise ValueError(f"negative shape {shape}")
    array = SavedArray(path, name, shape, dtype, fortran, stream.tell())
    if not dtype.hasobject and size < array.offset + dtype.itemsize * math.prod(shape):
        raise _cut_short(path)
    return array


def _cut_short(path: Path) -> ImportRefused:
    return ImportRefused(f"{path} ends before its last row: it is cut short. Save or copy it again.")


def _what_it_is(start: bytes) -> str:
    if not start:
        return "is empty. Save or copy it again."
    if start.startswith(_HDF5):
        return (
            f"is an HDF5 file; {_TAKEN}. Write its data sets as .npz, with the names they have in it: "
            "np.savez('data.npz', x=file['features'][:], y=file['labels'][:])"
        )
    if start.startswith(_PICKLE):
        return f"is a pickle, and loading one could run any program, so it is never done; {_TAKEN}."
    return f"is no .npz and no .npy file: it begins with {start[:8]!r}. {_TAKEN}."


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn whatever NumPy and zipfile raise at a damaged file, which nobody lists, into one error."""
    try:
        yield
    except (BottleneckError, MemoryError):
        raise
    except OSError as error:
        raise ImportRefused(f"Cannot read {path}: {error.strerror or error}") from error
    except Exception as error:
        raise ImportRefused(
            f"Cannot read the arrays of {path}: it is damaged, or was not saved by NumPy ({type(error).__name__}). "
            "Save or copy it again."
        ) from error
