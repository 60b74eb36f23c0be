"""Files that appear whole or not at all: temporary name, flush to disk, rename."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bottleneck_features.features.errors import CacheError, DiskFull

FOREIGN_SECONDS = 86_400
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_TEMPORARY = re.compile(r"^\.(?P<name>.+)~(?P<host>[^~]+)~(?P<pid>\d+)~[0-9a-f]+\.tmp$")


@contextmanager
def whole_file(path: Path, settle: Callable[[Path], object] | None = None) -> Iterator[BinaryIO]:
    """Open a file for writing that gets its name when all of it is on disk; if the block fails, nothing is left of it.

    Args:
        path: final name; an existing file of this name is replaced in one step.
        settle: gives the finished temporary file its name, where it is not simply renamed.

    Yields:
        The open binary file.

    Raises:
        OSError: if it cannot be written.
    """
    temporary = temporary_name(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path) if settle is None else settle(temporary)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def workshop(path: Path) -> Iterator[Path]:
    """Make a temporary folder beside `path` for what cannot be written into an open file; it is removed at the end.

    Args:
        path: the name that what is made there is given, by a rename, when it is whole; its folder exists.
    """
    folder = temporary_name(path)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(path: Path, write: Callable[[BinaryIO], object], settle: Callable[[Path], object] | None = None) -> None:
    """Write a file of a cache, or one beside it, as a `whole_file`.

    Args:
        path: final name.
        write: called with the open binary file.
        settle: as for `whole_file`.

    Raises:
        DiskFull: if the disk fills up; the temporary file is gone, nothing else was touched.
        CacheError: if the folder cannot be written.
    """
    try:
        with whole_file(path, settle) as file:
            write(file)
    except OSError as error:
        raise write_error(error, path) from error


def publish_bytes(path: Path, content: bytes) -> None:
    """Write content that is in memory, as `publish`."""
    publish(path, lambda file: file.write(content))


def publish_new(path: Path, content: bytes) -> None:
    """Write a file, as `publish`, that must not replace another: of many processes that try at once, one succeeds."""

    def settle(temporary: Path) -> None:
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            if not path.exists():
                temporary.replace(path)

    publish(path, lambda file: file.write(content), settle)


def publish_link(path: Path, source: Path) -> None:
    """Give a file of a cache a second name, in one step; where there are no hard links it is copied.

    Args:
        path: the new name; an existing file of this name is replaced.
        source: the file, which is never changed in place; of a symbolic link that which it leads to.

    Raises:
        DiskFull, CacheError: as for `publish`; also if the source is gone.
    """
    temporary = temporary_name(path)
    try:
        temporary.hardlink_to(source.resolve(strict=True))
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError:
        _publish_copy(path, source)
    finally:
        temporary.unlink(missing_ok=True)


def _publish_copy(path: Path, source: Path) -> None:
    try:
        content = source.open("rb")
    except OSError as error:
        raise CacheError(f"Cannot read {source}: {error.strerror}. Run the same command again.") from error
    with content:
        publish(path, lambda file: shutil.copyfileobj(content, file))


def write_error(error: OSError, path: Path) -> CacheError:
    """Return the `CacheError` that tells a user what an `OSError` at a path means."""
    if error.errno in _FULL:
        free = size_text(free_bytes(path.parent))
        return DiskFull(
            f"No space left while writing {path} ({free} free). Everything finished before is kept: "
            "free some space or choose another folder, then run the same command again."
        )
    reason = error.strerror or str(error)
    return CacheError(f"Cannot write {path}: {reason}. Make the folder writable or choose another one.")


def temporary_name(path: Path) -> Path:
    """Return a name beside `path` that says which process of which host is writing."""
    return path.with_name(f".{path.name}~{_host()}~{os.getpid()}~{uuid.uuid4().hex[:8]}.tmp")


def remove_stale(folder: Path, of: str = "") -> list[Path]:
    """Remove the temporary files and folders that dead writers left; no other thread of this process may write there.

    Args:
        folder: folder whose own files are looked at; it may be missing.
        of: how the final names of those that are removed begin; all without it.

    Returns:
        The removed paths: those of this host's dead processes, and other hosts' that are more than a day old.
    """
    stale = [path for path in _temporaries(folder) if path.name.startswith(f".{of}") and _is_stale(path)]
    for path in stale:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return stale


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries (the renames in it) to disk, where the platform can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder with its parents.

    Raises:
        CacheError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, folder) from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def free_bytes(folder: Path) -> int:
    """Return how many bytes are free on the disk of a folder, or of its nearest existing parent."""
    existing = next((place for place in (folder, *folder.resolve().parents) if place.exists()), Path("/"))
    return shutil.disk_usage(existing).free


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Refuse work that the disk cannot hold.

    Args:
        folder: where it would be written; it may not exist yet.
        needed: bytes, ≥ 0.
        purpose: what for, to complete the sentence "… needs 3.1 GB".

    Raises:
        DiskFull: with the needed and the available bytes.
    """
    free = free_bytes(folder)
    if needed > free:
        raise DiskFull(
            f"{purpose} needs {size_text(needed)} in {folder}, only {size_text(free)} are free. "
            "Free some space, choose another folder, or store less (float16, fewer layers, pooled features)."
        )


def size_text(size: int) -> str:
    """Return a number of bytes as people read it, such as `205.3 MB`."""
    if size < 1000:
        return f"{size} bytes"
    value = float(size)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "host"


def _temporaries(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        with os.scandir(folder) as files:
            yield from (folder / file.name for file in files if file.name.endswith(".tmp"))


def _is_stale(path: Path) -> bool:
    match = _TEMPORARY.match(path.name)
    if match is None:
        return False
    if match["host"] == _host():
        return int(match["pid"]) == os.getpid() or not _alive(int(match["pid"]))
    try:
        return time.time() - path.stat().st_mtime > FOREIGN_SECONDS
    except FileNotFoundError:
        return False


def _alive(pid: int) -> bool:
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
