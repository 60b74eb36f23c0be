"""What scans found, remembered in the artifacts folder for the data sets that were used last."""

import hashlib
import io
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import PIL

from bottleneck_features.features.storage import remove_stale
from bottleneck_features.pipeline.results import write_bytes

SCAN_FOLDER = "scans"
PIXEL_FOLDER = "pixels"  # what decoding gave besides, see `PixelMemory`
_VERSION = 6  # raise it when what is remembered, or the check that leads to it, changes
SCANS_KEPT = 20  # data sets
_SEAL = "sha256"
UNUSED_DAYS = 90  # after so many, a file of a data set that is still used has gone from it
Found = TypeVar("Found")


class ScanMemory:
    """What was found in the files of one data set; two processes may use it at once.

    Opening it forgets what was not used for long: all but the `SCANS_KEPT` last used data sets, and files of this one.

    Args:
        home: the artifacts folder; `scans` in it holds a folder for each data set.
        key: what the data set is, and all that what is found depends on besides its files.
    """

    def __init__(self, home: Path, *key: object) -> None:
        state = "\0".join(map(str, (*key, PIL.__version__, _VERSION)))
        self._folder = home / SCAN_FOLDER / hashlib.sha256(os.fsencode(state)).hexdigest()[:32]
        others = [path for path in (home / SCAN_FOLDER).glob("*") if path != self._folder]
        for path in sorted(others, key=last_used, reverse=True)[SCANS_KEPT - 1 :]:
            remove(path)
        remove_stale(self._folder)
        for path in self._folder.glob("*"):
            if last_used(path) < time.time() - UNUSED_DAYS * 86400:
                remove(path)

    def recall(self, name: str, parse: Callable[[Mapping[str, np.ndarray]], Found]) -> Found | None:
        """Return what `parse` makes of the arrays that are remembered under a name; None where none are, or damaged ones."""
        path = self._path(name)
        try:
            with np.load(path) as file:
                if sum(member.file_size for member in file.zip.infolist()) > path.stat().st_size:
                    raise ValueError("compressed, which nothing here is")
                arrays = dict(file)
            if arrays.pop(_SEAL).item() != _sealed(arrays):
                raise ValueError("not what was remembered")
            found = parse(arrays)
        except Exception:  # a damaged file can raise anything, and is then made anew
            return None
        for used in (path, self._folder):
            with suppress(OSError):
                os.utime(used)
        return found

    def remember(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Remember arrays under a name."""
        stream = io.BytesIO()
        np.savez(stream, **arrays, **{_SEAL: np.array(_sealed(arrays))})  # type: ignore[arg-type]
        with suppress(FileNotFoundError):  # another process has just forgotten this data set
            write_bytes(self._path(name), stream.getvalue())

    def _path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.npz"


def forget_scans(home: Path) -> None:
    """Forget what was found in any file, so that the next command reads them all again."""
    for folder in (SCAN_FOLDER, PIXEL_FOLDER):
        shutil.rmtree(home / folder, ignore_errors=True)


def _sealed(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of arrays and their names: it tells damage, not forgery."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}\0{array.dtype.descr}\0{array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def last_used(path: Path) -> float:
    """Return when a file or folder of a memory was used, in seconds since 1970; 0 where another process has removed it."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def remove(path: Path) -> None:
    """Remove a file or folder of a memory, as far as it can be."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
