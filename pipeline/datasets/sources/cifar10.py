"""CIFAR-10 from its python batches, one batch file in memory at a time.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

import hashlib
import io
import pickle
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bottleneck_features import models
from bottleneck_features.errors import first_line
from bottleneck_features.pipeline.datasets.dataset import Dataset, Samples
from bottleneck_features.pipeline.datasets.paths import local_path
from bottleneck_features.pipeline.errors import DownloadError, PipelineError, RequestError

FILES = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
ARCHIVE = "cifar-10-python.tar.gz"
_FOLDER = "cifar-10-batches-py"
TARGET = "cifar-10-batches-py-target"  # where Keras extracts it
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
# of test_batch in the official archive, as in torchvision's loader
OFFICIAL_TEST_BATCH_MD5 = "40351d587109b95175f43aff81a1287e"
SIDE = 32
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Cifar10(Dataset):
    """The 50,000 training and 10,000 test images, 32×32 RGB.

    Args:
        path: an extracted `cifar-10-batches-py` folder; empty: Keras' copy, downloaded and hash-checked when missing.

    Raises:
        RequestError: `path` is not such a folder, or a file in it is missing.
        PipelineError: a batch file is truncated, damaged or holds something else.
        DownloadError: there is no copy and it cannot be downloaded.
    """

    def __init__(self, path: str = "") -> None:
        self._folder = _checked_folder(local_path(path)) if path else _downloaded_folder()
        self._loaded: tuple[str, np.ndarray] = ("", np.empty(0))
        official = hashlib.md5((self._folder / FILES["test"][0]).read_bytes()).hexdigest() == OFFICIAL_TEST_BATCH_MD5
        self.title = "CIFAR-10" if official else "CIFAR-10 (not the official files)"
        self.class_names = CLASSES
        self.image_shape = (SIDE, SIDE, 3)
        self._lengths: dict[str, list[int]] = {}
        self.splits = {split: self._samples(split, files) for split, files in FILES.items()}

    def _samples(self, split: str, files: list[str]) -> Samples:
        labels = [_read_batch(self._folder / file)["labels"] for file in files]
        self._lengths[split] = [len(part) for part in labels]
        joined = np.concatenate([np.asarray(part, np.int64) for part in labels])
        return Samples(np.array([f"{split}-{i:05d}" for i in range(len(joined))]), joined)

    def images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.images`."""
        starts = np.cumsum([0, *self._lengths[split]])
        out = np.empty((len(indices), *self.image_shape), np.uint8)
        owners = np.searchsorted(starts, indices, side="right") - 1
        for owner in np.unique(owners):
            mine = owners == owner
            out[mine] = self._pixels(FILES[split][owner])[indices[mine] - starts[owner]]
        return out

    def _pixels(self, file: str) -> np.ndarray:
        if self._loaded[0] != file:
            planes = _read_batch(self._folder / file)["data"].reshape(-1, 3, SIDE, SIDE)
            self._loaded = (file, planes.transpose(0, 2, 3, 1))
        return self._loaded[1]


def _checked_folder(folder: Path) -> Path:
    if (folder / _FOLDER).is_dir():
        folder = folder / _FOLDER
    wanted = [*FILES["train"], *FILES["test"]]
    missing = [name for name in wanted if not (folder / name).is_file()]
    if not folder.is_dir() or len(missing) == len(wanted):
        raise RequestError(
            f"dataset.path must name an extracted {_FOLDER} folder (with {wanted[0]} … {wanted[-1]}). Received: '{folder}'"
        )
    if missing:
        raise RequestError(f"'{folder}' lacks {', '.join(missing)}. Extract {ARCHIVE} anew.")
    return folder


def _downloaded_folder() -> Path:
    datasets = models.keras_home() / "datasets"
    for extracted in (datasets / _FOLDER, datasets / TARGET / _FOLDER):
        if all((extracted / name).is_file() for names in FILES.values() for name in names):
            return extracted
    shutil.rmtree(datasets / TARGET, ignore_errors=True)  # what an interrupted run left half extracted
    try:
        return _checked_folder(models.fetch(TARGET, URL, ARCHIVE_SHA256, "datasets", extract=True))
    except Exception as error:  # Keras raises a bare Exception for what urllib reports
        raise DownloadError(
            f"CIFAR-10 is not on this machine and could not be downloaded ({first_line(error)}).\n"
            f"  file:  {ARCHIVE}\n"
            f"  from:  {URL}\n"
            f"  to:    extract it, so that there is a folder {datasets / _FOLDER}\n"
            f"Or name a local copy: --set dataset.path=/where/it/is/{_FOLDER}"
        ) from error


class _BatchUnpickler(pickle.Unpickler):
    """Admits dict, list, bytes, int, str and numpy arrays of numbers, and nothing that could run code."""

    _ADMITTED: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): lambda text, encoding: text.encode("latin1"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR-10 batch holds")
        return self._ADMITTED[module, name]


def _read_batch(path: Path) -> dict[str, Any]:
    try:
        raw = _BatchUnpickler(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        batch = {key.decode() if isinstance(key, bytes) else key: value for key, value in raw.items()}
        labels, data = batch["labels"], np.asarray(batch["data"])
    except Exception as error:
        raise PipelineError(
            f"'{path}' is not a readable CIFAR-10 batch ({first_line(error)}). Extract {ARCHIVE} anew, or fetch it again."
        ) from error
    if data.dtype != np.uint8 or data.shape != (len(labels), 3 * SIDE * SIDE) or not set(labels) <= set(range(10)):
        raise PipelineError(
            f"'{path}' does not hold 32×32 RGB images with labels 0..9. Received: {data.dtype} {data.shape}"
        )
    return {"labels": labels, "data": data}
