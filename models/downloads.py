"""Files that are downloaded by Keras' own utility, kept in its cache, and checked against their hashes."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bottleneck_features.errors import first_line
from bottleneck_features.models.errors import WeightsUnavailable
from bottleneck_features.quiet import import_tensorflow

DOWNLOAD_TIMEOUT = 20.0  # seconds a silent server is waited for


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hex digest of a file's bytes, which are read again only when the file has changed.

    Raises:
        OSError: if it cannot be read.
    """
    now = path.stat()
    return _digest(path.absolute(), algorithm, now.st_ino, now.st_size, now.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _digest(path: Path, algorithm: str, *_state: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def keras_home() -> Path:
    """Return Keras' cache folder as `get_file` will use it: `KERAS_HOME`, else `~/.keras`; the temporary one if read-only."""
    temporary = Path("/tmp" if Path("/tmp").is_dir() else tempfile.gettempdir(), ".keras")
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())  # Keras makes the others
    return folder if os.access(existing, os.W_OK) else temporary


def hash_in_name(file: str) -> str:
    """Return the start of the SHA-256 that torchvision writes into its files' names: `f37072fd` of `resnet18-f37072fd.pth`."""
    return file.rsplit("-", 1)[1].removesuffix(".pth")


def cached_download(file: str, url: str, file_hash: str) -> Path:
    """Find a weights file in Keras' cache, checked against its hash; download it when it is missing.

    Args:
        file: its name in the cache.
        url: where it comes from.
        file_hash: MD5, SHA-256 or the beginning of a SHA-256; `""` where none is published.

    Raises:
        WeightsUnavailable: if it is not there and the network does not give it.
    """
    for folder in _cache_folders():
        path = folder / "models" / file
        if path.is_file() and has_hash(path, file_hash):
            return path
    destination = keras_home() / "models" / file
    try:
        return fetch(file, url, file_hash, "models")
    except Exception as error:  # get_file raises bare Exception for what urllib reports
        raise WeightsUnavailable(
            f"The ImageNet weights are not on this machine and could not be downloaded ({first_line(error)}).\n"
            f"  file:  {file}\n"
            f"  from:  {url}\n"
            f"  to:    {destination}\n"
            "Put the file there, or name a local copy: --set backbone.weights=FILE"
        ) from error


def _cache_folders() -> list[Path]:
    """List where the file may already be: a folder that is read-only is no reason to download again."""
    configured = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()
    return [configured, keras_home()]


def has_hash(path: Path, expected: str) -> bool:
    """Return whether a file has an MD5 (32 digits), or a SHA-256 that begins with the expected digits."""
    return file_digest(path, "md5" if len(expected) == 32 else "sha256").startswith(expected)


def fetch(file: str, url: str, file_hash: str, folder: str, extract: bool = False) -> Path:
    """Download a file into Keras' cache by Keras' own utility, and check it against its hash.

    Args:
        file: its name in the cache.
        url: where it comes from.
        file_hash: MD5, SHA-256 or the beginning of a SHA-256; `""` where none is published.
        folder: folder of the cache, such as `"models"`.
        extract: whether it is an archive to unpack.

    Returns:
        The file, or the folder it was unpacked to.

    Raises:
        ValueError: if what came has another MD5 or SHA-256.
        OSError: if it has a SHA-256 that begins otherwise, or cannot be written.
        Exception: of no narrower kind, as Keras raises it, if the server is not reached or refuses.
    """
    import_tensorflow()  # Keras does it otherwise
    import keras

    home = keras_home()
    home.mkdir(parents=True, exist_ok=True)
    whole = file_hash if len(file_hash) in (32, 64) else None
    target = home / folder / file
    if not whole and target.is_file() and not has_hash(target, file_hash):  # Keras would look at a whole hash itself
        target.unlink()
    with _socket_timeout(DOWNLOAD_TIMEOUT), contextlib.redirect_stdout(sys.stderr):
        path = keras.utils.get_file(
            file, url, cache_subdir=folder, cache_dir=str(home), file_hash=whole, extract=extract
        )
    if not whole and not has_hash(Path(path), file_hash):
        Path(path).unlink()
        raise OSError(f"what {url} gave is not {file}: its SHA-256 does not begin with {file_hash}")
    return Path(path)


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
