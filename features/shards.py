"""The bytes of a shard: one HDF5 file of ids, content hashes and features, the same bytes for the same content."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import h5py
import numpy as np

from bottleneck_features.features.entries import HASH_BYTES, FileEntry
from bottleneck_features.features.errors import CacheError
from bottleneck_features.features.manifest import ArraySpec, Manifest

COMPRESSIONS = ("none", "blosc2")
LABEL = np.dtype("<i8")
MACHINE_BYTES = 16
TARGETS = "targets.h5"  # the file of labels, groups and class names, see `features.targets`
CHUNK_BYTES = 1 << 17
OVERHEAD_BYTES = 1 << 16
_LIBVER = ("earliest", "v110")
_ALIGNMENT = 64


def dataset_name(layer: str, layers: Iterable[str]) -> str:
    """Return the name of a layer's dataset: `features` when it is the only one, else `features/<layer>`."""
    return "features" if len(tuple(layers)) == 1 else f"features/{layer}"


def stored_dtype(spec: ArraySpec) -> np.dtype:
    """Return the little-endian dtype of a layer on disk."""
    return np.dtype(spec.dtype).newbyteorder("<")


def sample_bytes(layers: Mapping[str, ArraySpec], id_bytes: int) -> int:
    """Return the bytes of one sample's features, id and content hash, without compression."""
    features = sum(stored_dtype(spec).itemsize * int(np.prod(spec.shape)) for spec in layers.values())
    return features + id_bytes + HASH_BYTES


def encode_shard(
    arrays: Mapping[str, np.ndarray], ids: np.ndarray, contents: np.ndarray, machine: str, compression: str
) -> tuple[bytes, FileEntry]:
    """Build a shard in memory.

    Args:
        arrays: features by layer, (n, *shape), in their stored dtype.
        ids: UTF-8 bytes of fixed width, (n,).
        contents: uint8, (n, 32), the SHA-256 of each sample's image; zeros where it is not known.
        machine: what computed the features: ASCII, at most 16 characters.
        compression: `"none"` or `"blosc2"`.

    Returns:
        The file's bytes and its manifest entry.
    """
    datasets = {
        "ids": ids.astype(text_dtype(ids.dtype.itemsize)),
        "contents": contents,
        "machine": np.array(machine.encode(), f"S{MACHINE_BYTES}"),
    }
    layers = {dataset_name(layer, arrays): array for layer, array in arrays.items()}

    def fill(file: h5py.File) -> dict[str, int]:
        stored = [file.create_dataset(name, data=data, track_times=False) for name, data in datasets.items()]
        for name, array in layers.items():
            options = _chunking(array, compression)
            stored.append(file.create_dataset(name, data=array, track_times=False, **options))
        return {item.name.lstrip("/"): item.id.get_offset() for item in stored if item.chunks is None}

    total = sum(array.nbytes for array in (*datasets.values(), *layers.values()))
    return encode_file(fill, total)


def stored_dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset of a shard whose values lie in the shard itself.

    Raises:
        KeyError: there is none, or what is there leads to another file.
    """
    parts = name.split("/")
    links = [file.get("/".join(parts[: i + 1]), getlink=True) for i in range(len(parts))]
    data = file[name] if all(isinstance(link, h5py.HardLink) for link in links) else None
    if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
        raise KeyError(f"{name} is no dataset of this file")
    return data


def encode_virtual(manifest: Manifest, split: str) -> tuple[bytes, FileEntry]:
    """Build the file that shows a split's shards as one array.

    Args:
        manifest: the cache's manifest.
        split: name of the split.

    Returns:
        The file's bytes and its manifest entry. Sources are relative paths; where one is missing HDF5 shows
        NaN features, label −1, an empty id and a content hash of zeros.
    """
    record = manifest.splits[split]
    fills: dict[str, tuple[tuple[int, ...], Any, Any]] = {
        "ids": ((), text_dtype(record.id_bytes), None),
        "contents": ((HASH_BYTES,), np.dtype(np.uint8), 0),
    }
    for layer, spec in manifest.layers.items():
        fills[dataset_name(layer, manifest.layers)] = (spec.shape, stored_dtype(spec), np.nan)

    def fill(file: h5py.File) -> dict[str, int]:
        labels = [(TARGETS, f"{split}/labels", 0, record.samples)] if record.samples else []
        _virtual_dataset(file, "labels", shape=(record.samples,), dtype=LABEL, missing=-1, parts=labels)
        for name, (shape, dtype, missing) in fills.items():
            parts = [(shard.file, name, shard.start, shard.stop) for shard in manifest.shards(split)]
            _virtual_dataset(file, name, shape=(record.samples, *shape), dtype=dtype, missing=missing, parts=parts)
        return {}

    return encode_file(fill, 0)


def _virtual_dataset(
    file: h5py.File,
    name: str,
    *,
    shape: tuple[int, ...],
    dtype: np.dtype,
    missing: Any,
    parts: list[tuple[str, str, int, int]],
) -> None:
    """Do what `h5py.Group.create_virtual_dataset` does, which cannot leave out the time of creation."""
    options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    options.set_layout(h5py.h5d.VIRTUAL)
    options.set_obj_track_times(False)
    if missing is not None:
        options.set_fill_value(np.array([missing], dtype))
    for source, source_name, start, stop in parts:
        part = (stop - start, *shape[1:])
        where = h5py.h5s.create_simple(shape)
        where.select_hyperslab((start, *(0 for _ in shape[1:])), part)
        options.set_virtual(where, source.encode(), source_name.encode(), h5py.h5s.create_simple(part))
    group = file.require_group(name.rpartition("/")[0] or "/")
    kind = h5py.h5t.py_create(dtype, logical=True)
    h5py.h5d.create(group.id, name.rpartition("/")[2].encode(), kind, h5py.h5s.create_simple(shape), dcpl=options)


def encode_file(fill: Callable[[h5py.File], dict[str, int]], size: int) -> tuple[bytes, FileEntry]:
    """Build an HDF5 file in memory.

    Args:
        fill: makes its datasets; returns where each contiguous one begins.
        size: about how many bytes they have.

    Returns:
        The file's bytes and its manifest entry.
    """
    options: dict[str, Any] = {"libver": _LIBVER, "alignment_threshold": _ALIGNMENT, "alignment_interval": _ALIGNMENT}
    with h5py.File(
        uuid.uuid4().hex, "w", driver="core", backing_store=False, block_size=size + OVERHEAD_BYTES, **options
    ) as file:
        offsets = fill(file)
        file.flush()
        image: bytes = file.id.get_file_image()
    return image, FileEntry(len(image), hashlib.sha256(image).hexdigest(), offsets)


def text_dtype(width: int) -> np.dtype:
    """Return the dtype of UTF-8 text of at most so many bytes."""
    dtype: np.dtype = h5py.string_dtype("utf-8", width)
    return dtype


def _chunking(array: np.ndarray, compression: str) -> dict[str, Any]:
    if compression == "none":
        return {}
    rows = max(1, CHUNK_BYTES // (array[0].nbytes or 1))
    return {"chunks": (min(rows, len(array)), *array.shape[1:]), **blosc2_filter()}


def blosc2_filter() -> dict[str, Any]:
    """Return the HDF5 filter options for Blosc2 (zstd, bit-shuffle); importing it also makes such shards readable.

    Raises:
        CacheError: if hdf5plugin is not installed.
    """
    try:
        import hdf5plugin
    except ImportError as error:
        raise CacheError(
            "Compression 'blosc2' needs hdf5plugin: pip install 'bottleneck-features[blosc]', or use 'none'."
        ) from error
    return dict(hdf5plugin.Blosc2(cname="zstd", clevel=5, filters=hdf5plugin.Blosc2.BITSHUFFLE))
