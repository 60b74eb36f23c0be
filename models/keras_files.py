"""Files of networks and weights that Keras reads (`.keras`, `.h5`): their counts are looked at before anything is unpacked.

Keras writes what it keeps without compression. So a file whose values would take much more than its own bytes, or lie in
another file, was not written by it.
"""

from __future__ import annotations

import io
import math
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import keras
from h5py import h5a, h5t

from bottleneck_features.models.errors import UnsafeFile

ALWAYS_READ = 64 << 20  # bytes that no machine lacks
MOST_TIMES = 4  # the bytes of the file: room for archives that were packed again, and for weights of one byte
BYTES_OF_A_WEIGHT = 4
WEIGHTS = "model.weights.h5"
_PLAIN = (h5t.INTEGER, h5t.FLOAT, h5t.STRING, h5t.ENUM, h5t.OPAQUE)
_loading = threading.Lock()


def require_bounded(path: Path) -> int:
    """Refuse a file that would fill the memory when Keras reads it, or whose values lie in other files.

    Args:
        path: a `.keras` file or an HDF5 file; anything else is left to Keras, which reads nothing else.

    Returns:
        How many bytes its values may take in memory.

    Raises:
        UnsafeFile: naming what is wrong, with its number.
        OSError: if it cannot be read.
    """
    most = max(ALWAYS_READ, MOST_TIMES * path.stat().st_size)
    try:
        if path.name.endswith(".json"):
            raise _Refused("it names other files; give one file that holds all weights")
        if zipfile.is_zipfile(path):
            _require_archive(path, most)
        if h5py.is_hdf5(path):
            with path.open("rb") as file:
                _require_hdf5(file, most)
    except _Refused as reason:
        raise UnsafeFile(f"'{path}' is not read: {reason}.") from reason
    return most


def load_bounded(path: Path, **options: Any) -> keras.Model:
    """Load a `.keras` file as `keras.models.load_model` does, if neither its values nor its layers would fill the memory.

    Args:
        path: the file.
        options: for `keras.models.load_model`.

    Raises:
        UnsafeFile: if they would.
        Exception: of many kinds, as Keras raises them, if it is damaged.
    """
    most = require_bounded(path)
    try:
        with weights_of_at_most(most):
            return keras.models.load_model(path, **options)
    except Exception as error:
        reasons = [one for one in _causes(error) if isinstance(one, _Refused)]
        if reasons:
            raise UnsafeFile(f"'{path}' is not read: {reasons[0]}.") from error
        raise


class _Refused(ValueError):
    """What is wrong with a file, to complete a sentence."""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _require_archive(path: Path, most: int) -> None:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if unpacked > most:
            raise _Refused(
                f"it would unpack to {unpacked:,} bytes, and at most {most:,} are read of a file of its size"
            )
        for member in members:
            if member.filename.endswith(".npz"):
                raise _Refused(f"its weights are in '{member.filename}', an archive inside the archive; save it again")
            if member.filename.endswith(".h5"):
                _require_hdf5(io.BytesIO(archive.read(member)), most)


def _require_hdf5(content: BinaryIO, most: int) -> None:
    """Count what all values of an HDF5 file take, each as often as a link leads to it."""
    links: list[tuple[str, object]] = []
    with h5py.File(content, "r") as file:
        file.visititems_links(lambda name, link: links.append((name, link)))  # HDF5 lets no exception through
        _require_few_names(file, most)
        taken = 0
        for name, link in links:
            if not isinstance(link, h5py.HardLink):
                raise _Refused(f"'{name}' leads elsewhere by a link, which is not followed")
            if isinstance(found := file[name], h5py.Group):
                _require_few_names(found, most)
            elif isinstance(found, h5py.Dataset):
                taken += _value_bytes(found)
            if taken > most:
                raise _Refused(
                    f"its values would take {taken:,} bytes or more, and at most {most:,} are read of a file of its size"
                )


def _value_bytes(data: h5py.Dataset) -> int:
    name = data.name
    if data.external or data.is_virtual:
        raise _Refused(f"the values of '{name}' lie in another file, which is not read")
    kind = data.id.get_type()
    if kind.get_class() not in _PLAIN or (kind.get_class() == h5t.STRING and kind.is_variable_str()):
        raise _Refused(f"'{name}' holds no numbers")
    if data.id.get_create_plist().get_nfilters():
        raise _Refused(f"'{name}' is compressed, which Keras never writes; `h5repack -f NONE` unpacks a file you trust")
    return max(math.prod(data.shape or ()), math.prod(data.chunks or ())) * int(kind.get_size())


def _require_few_names(group: h5py.Group, most: int) -> None:
    """Look at the attributes of a group, which may list one array of weights many times."""
    listed = 0
    for index in range(h5a.get_num_attrs(group.id)):
        attribute = h5a.open(group.id, index=index)
        kind = attribute.get_type()
        if kind.get_class() not in _PLAIN:
            raise _Refused(f"'{group.name}' has an attribute that is neither text nor numbers")
        listed += math.prod(attribute.shape or ()) * int(kind.get_size())
        if listed <= most and attribute.name.startswith(b"weight_names"):
            listed += sum(_named_bytes(group, name) for name in group.attrs[attribute.name.decode()])
        if listed > most:
            raise _Refused(
                f"what '{group.name}' lists would take {listed:,} bytes or more, and at most {most:,} are read"
            )


def _named_bytes(group: h5py.Group, name: bytes | str) -> int:
    found = group.get(name) if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
    return _value_bytes(found) if isinstance(found, h5py.Dataset) else 0


@contextmanager
def weights_of_at_most(most: int) -> Iterator[None]:
    """Let layers that are made in this thread have weights of so many bytes together.

    Args:
        most: bytes; what is beyond has none in the file.

    Raises:
        ValueError: in the thread that makes them, if there are more.
    """
    add_weight, thread, taken = keras.Layer.add_weight, threading.get_ident(), 0

    def counted(layer: keras.Layer, *arguments: Any, **options: Any) -> Any:
        nonlocal taken
        if threading.get_ident() == thread:
            shape = options.get("shape", arguments[0] if arguments else None)
            taken += BYTES_OF_A_WEIGHT * math.prod(shape if isinstance(shape, tuple | list) else ())
            if taken > most:
                raise _Refused(
                    f"layer '{layer.name}' makes its weights {taken:,} bytes or more, and at most {most:,} are read of a file "
                    "of its size"
                )
        return add_weight(layer, *arguments, **options)

    with _loading:
        keras.Layer.add_weight = counted
        try:
            yield
        finally:
            keras.Layer.add_weight = add_weight
