"""The bytes of one file, without waiting for what is no file."""

import os
import stat
from pathlib import Path

from bottleneck_features.pipeline.datasets.pixels.unusable import UnusableImage

MAX_BYTES = 1 << 29  # no picture below the limit of pixels needs more


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
