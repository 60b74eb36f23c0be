"""Who may write: an advisory lock that says who holds it, and that a dead holder loses."""

from __future__ import annotations

import errno
import json
import math
import os
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bottleneck_features.features.errors import CacheBusy
from bottleneck_features.features.storage import publish_bytes, write_error
from bottleneck_features.foreign import read_json

LOCK = ".lock"
HOLDER = ".lock.json"
MANIFEST_LOCK = ".manifest.lock"
MANIFEST_SECONDS = 60.0
POLL_SECONDS = 0.05
HELD_BY_ANOTHER = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK)


@contextmanager
def writer_lock(folder: Path, wait_seconds: float) -> Iterator[None]:
    """Hold the right to write to a cache.

    Args:
        folder: the cache's folder, which exists.
        wait_seconds: how long to wait for another holder, ≥ 0; `math.inf` waits for ever.

    Raises:
        CacheBusy: if another process still holds it after that time; says who and since when.
    """
    with _locked(folder / LOCK, wait_seconds, lambda: _busy(folder)):
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": _now()}
        publish_bytes(folder / HOLDER, json.dumps(holder).encode())
        try:
            yield
        finally:
            (folder / HOLDER).unlink(missing_ok=True)


@contextmanager
def shared_lock(folder: Path, wait_seconds: float) -> Iterator[None]:
    """Keep away whoever wants a cache alone (`writer_lock`), but not the other processes that share the work.

    Where the file system or the platform has no such lock, nothing is held: it only saves work.

    Args:
        folder: the cache's folder, which exists.
        wait_seconds: how long to wait for a sole writer, ≥ 0; `math.inf` waits for ever.

    Raises:
        CacheBusy: if a sole writer still holds the cache after that time; says who and since when.
    """
    descriptor = _opened(folder / LOCK)
    deadline = time.monotonic() + wait_seconds
    try:
        while _held_by_a_sole_writer(descriptor):
            if time.monotonic() >= deadline:
                raise _busy(folder)
            time.sleep(POLL_SECONDS)
        (folder / HOLDER).unlink(missing_ok=True)  # of a sole writer that was killed
        yield
    finally:
        os.close(descriptor)


def _held_by_a_sole_writer(descriptor: int) -> bool:
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except ImportError:
        return False
    except OSError as error:
        return error.errno in HELD_BY_ANOTHER
    return False


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise write_error(error, path) from error


def recipe_lock(root: Path, recipe: str) -> AbstractContextManager[None]:
    """Wait for the others that write caches of a recipe by content, and keep them waiting.

    Args:
        root: the folder that holds all caches, which exists.
        recipe: as for `CacheWriter`.
    """
    path = root / f".{recipe[:16]}.lock"
    return _locked(path, math.inf, lambda: CacheBusy(f"{path} is locked."))


def manifest_lock(folder: Path) -> AbstractContextManager[None]:
    """Hold the manifest for the moment of reading, changing and replacing it."""
    return _locked(
        folder / MANIFEST_LOCK,
        MANIFEST_SECONDS,
        lambda: CacheBusy(f"The manifest of {folder} has been locked for {MANIFEST_SECONDS:.0f} s. Run again."),
    )


@contextmanager
def _locked(path: Path, wait_seconds: float, busy: Any) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=-1 if math.isinf(wait_seconds) else wait_seconds)
    try:
        lock.acquire()
    except Timeout:
        raise busy() from None
    except OSError as error:
        raise write_error(error, path) from error
    try:
        yield
    finally:
        lock.release()


def _busy(folder: Path) -> CacheBusy:
    try:
        holder = read_json(folder / HOLDER)
        host, pid, since = str(holder["host"]), int(holder["pid"]), str(holder["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return CacheBusy(f"Other processes are writing to {folder}. Wait until they are done.")
    return CacheBusy(
        f"Process {pid} on host {host} has been writing to {folder} since {since}. "
        "Wait until it is done; what it has finished is kept if you stop it."
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
