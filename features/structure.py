"""What must be inside a shard: datasets of the right names, shapes and types, where the manifest says."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from bottleneck_features.features.entries import HASH_BYTES, FileEntry
from bottleneck_features.features.manifest import Manifest, Shard
from bottleneck_features.features.shards import (
    MACHINE_BYTES,
    blosc2_filter,
    dataset_name,
    stored_dataset,
    stored_dtype,
)


def structure_problem(path: Path, manifest: Manifest, shard: Shard, entry: FileEntry) -> str:
    """Return what is wrong inside a shard's file whose hash is right: only a writer at fault, or a stranger, can cause it.

    Args:
        path: the file.
        manifest: of its cache.
        shard: which shard it is.
        entry: what the manifest says of it.

    Returns:
        An empty text if nothing is wrong. Values are not looked at.
    """
    expected: dict[str, tuple[tuple[int, ...], np.dtype]] = {
        "contents": ((len(shard), HASH_BYTES), np.dtype(np.uint8)),
        "machine": ((), np.dtype(f"S{MACHINE_BYTES}")),
    }
    for layer, spec in manifest.layers.items():
        expected[dataset_name(layer, manifest.layers)] = ((len(shard), *spec.shape), stored_dtype(spec))
    if manifest.compression == "blosc2":
        blosc2_filter()
    try:
        with h5py.File(path, "r", locking=False) as file:
            for name, (shape, dtype) in expected.items():
                data = stored_dataset(file, name)
                if data.shape != shape or data.dtype != dtype:
                    return f"{name} is {data.dtype} {data.shape}, not {dtype} {shape}"
                if (data.chunks is None) != (name in entry.offsets):
                    return f"{name} is not stored as the manifest says"
            ids = stored_dataset(file, "ids")
            if ids.shape != (len(shard),) or ids.dtype.kind != "S":
                return f"ids is {ids.dtype} {ids.shape}, not text of shape {(len(shard),)}"
            for name, offset in entry.offsets.items():
                if stored_dataset(file, name).id.get_offset() != offset:
                    return f"{name} does not lie where the manifest says"
    except (OSError, KeyError, RuntimeError) as error:  # HDF5 has no errors of its own
        return f"not the HDF5 file it should be ({error})"
    return ""
