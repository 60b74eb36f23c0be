"""Read files of tensors by torch's names: `.safetensors`, and checkpoints of both torch formats."""

from __future__ import annotations

import io
import math
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors.numpy

from bottleneck_features.errors import first_line
from bottleneck_features.models.errors import WeightsMismatch

SUFFIXES = (".pth", ".pt", ".safetensors")


def load_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """Read a state dict; nothing in the file is run.

    Args:
        path: a `.safetensors` file, or what `torch.save` wrote of a state dict.

    Returns:
        The tensors by name, as C-contiguous arrays.

    Raises:
        WeightsMismatch: if the file is neither, is truncated or damaged, or holds anything but tensors.
        OSError: if it cannot be opened.
    """
    path = Path(path)
    with path.open("rb") as file:
        try:
            if path.suffix == ".safetensors":
                return safetensors.numpy.load_file(path)
            return read_zipped(file) if zipfile.is_zipfile(file) else read_legacy(file)
        except Exception as error:  # what pickle, zipfile and NumPy make of damaged bytes is of many kinds
            raise WeightsMismatch(
                f"'{path}' is not a file of tensors (.safetensors, or a state dict saved by torch): {first_line(error)}. "
                "Give a file saved by Keras, or fetch the checkpoint again."
            ) from error


MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
MOST_SHARED = 8  # tensors that share the bytes of one storage, on average
STORAGE_DTYPES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "?",
}  # fmt: skip


class _Tensor:
    """A view (offset, shape, strides in elements) into a storage that is read later."""

    def __init__(
        self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
    ) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def view(self, values: np.ndarray) -> np.ndarray:
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if min(self.offset, *self.shape, *self.strides, 0) < 0 or last >= values.size > 0:
            raise pickle.UnpicklingError("a tensor reaches beyond its storage")
        if math.prod(self.shape) > values.size:
            raise pickle.UnpicklingError("a tensor is larger than its storage")
        strides = tuple(step * values.itemsize for step in self.strides)
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides)


class _Storage:
    def __init__(self, dtype: str, key: str, size: int) -> None:
        self.dtype, self.key, self.size = np.dtype(dtype), key, size
        self.bytes = size * self.dtype.itemsize


class _TensorUnpickler(pickle.Unpickler):
    """An unpickler that can build ordered dictionaries and tensors, and nothing else."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        raise pickle.UnpicklingError(f"it asks for '{module}.{name}', which is not a tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, size, *view = pid
        if kind != "storage" or any(view):
            raise pickle.UnpicklingError(f"it holds a reference of kind '{kind}', which is not a tensor")
        return self.storages.setdefault(key, _Storage(dtype, key, size))


def read_legacy(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read what `torch.save` wrote before torch 1.6: pickles, then the storages one after the other.

    Raises:
        Exception: of many kinds, if it is no such file.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if (_TensorUnpickler(file).load(), _TensorUnpickler(file).load()) != (MAGIC, PROTOCOL):
        raise ValueError("wrong magic number")
    if not _TensorUnpickler(file).load()["little_endian"]:
        raise ValueError("big-endian data")
    unpickler = _TensorUnpickler(file)
    state = _tensors(unpickler.load())
    values = {key: _read_storage(file, unpickler.storages[key], size) for key in _TensorUnpickler(file).load()}
    return _arrays(state, values)


def read_zipped(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read what `torch.save` writes since torch 1.6: `NAME/data.pkl` and one file `NAME/data/KEY` per storage.

    Raises:
        Exception: of many kinds, if it is no such file.
    """
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > size:  # torch compresses nothing
            raise ValueError(f"it would unpack to {unpacked:,} bytes, more than its {size:,}")
        (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        folder = name.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("big-endian data")
        unpickler = _TensorUnpickler(io.BytesIO(archive.read(name)))
        state = _tensors(unpickler.load())
        files = {key: archive.getinfo(f"{folder}data/{key}") for key in unpickler.storages}
        if any(files[key].file_size != storage.bytes for key, storage in unpickler.storages.items()):
            raise ValueError("it is truncated")
        values = {
            key: np.frombuffer(archive.read(files[key]), storage.dtype) for key, storage in unpickler.storages.items()
        }
    return _arrays(state, values)


def _arrays(state: dict[str, _Tensor], values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Copy the tensors out of their storages; tensors may share one, but not so often that they are a bomb."""
    views = {name: tensor.view(values[tensor.storage.key]) for name, tensor in state.items()}
    wanted, stored = (sum(array.nbytes for array in arrays.values()) for arrays in (views, values))
    if wanted > MOST_SHARED * stored:
        raise ValueError(f"its tensors have {wanted:,} bytes, {MOST_SHARED} times more than the {stored:,} it stores")
    return {name: view.copy() for name, view in views.items()}


def _tensors(state: Any) -> dict[str, _Tensor]:
    if not isinstance(state, dict) or not all(isinstance(tensor, _Tensor) for tensor in state.values()):
        raise ValueError("it is not a dictionary of tensors")
    return state


def _read_storage(file: BinaryIO, storage: _Storage, end: int) -> np.ndarray:
    (size,) = np.frombuffer(file.read(8), "<i8")
    if size != storage.size or not 0 <= storage.bytes <= end - file.tell():
        raise ValueError("it is truncated")
    return np.frombuffer(file.read(storage.bytes), storage.dtype)
