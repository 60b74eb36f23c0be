"""A cache as plain files, one per split: npz, npy or Parquet, written in a stream."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from bottleneck_features.features.arrays import FeatureArray
from bottleneck_features.features.errors import CacheError
from bottleneck_features.features.identity import folder_name
from bottleneck_features.features.reader import Features, open_features
from bottleneck_features.features.records import EXPORT_FORMATS
from bottleneck_features.features.split import Split
from bottleneck_features.features.storage import make_folder, publish, remove_stale, require_space

BLOCK_BYTES = 16 << 20


@dataclass(frozen=True)
class _Job:
    split: Split
    features: FeatureArray
    class_names: tuple[str, ...]
    stem: str


def export_features(
    path: Path | str, folder: Path | str, name: str, format: str = "npz", layer: str | None = None
) -> list[Path]:
    """Write a finished cache as plain files; memory stays flat whatever its size.

    Args:
        path: the cache's folder.
        folder: where the files go; made if missing.
        name: files are called `<name>_<split>…`.
        format: `"npz"` (one file per split with `features`, `labels` and `ids`), `"npy"` (three files per split:
            `…_features.npy`, `…_labels.npy`, `…_ids.npy`) or `"parquet"` (columns `id`, `label`, `class_name`
            and `features`, a fixed-size list of float32 in C order).
        layer: which layer; None is the last one.

    Returns:
        The files written.

    Raises:
        CacheError: if there is no such format or layer; the message names those there are.
        DiskFull: if the disk cannot hold the files.
        CacheMissing, CacheIncomplete, CacheDamaged, CacheVersion: as for `open_features`.
    """
    if format not in _FORMATS:
        raise CacheError(f"format must be one of {', '.join(_FORMATS)}. Received: {format!r}")
    cache = open_features(path)
    chosen = _layer(cache, layer)
    target = Path(folder)
    make_folder(target)
    remove_stale(target)
    require_space(target, sum(_size(split, chosen, format) for split in cache.values()), "Exporting the features")
    written: list[Path] = []
    for split_name, split in cache.items():
        job = _Job(split, split.features[chosen], cache.class_names, f"{folder_name(name)}_{split_name}")
        written += _FORMATS[format](job, target)
    return written


def _layer(cache: Features, layer: str | None) -> str:
    if layer is None:
        return cache.layers[-1]
    if layer not in cache.layers:
        raise CacheError(f"layer must be one of {', '.join(cache.layers)}. Received: {layer!r}")
    return layer


def _size(split: Split, layer: str, format: str) -> int:
    widening = 2 if format == "parquet" else 1
    return split.features[layer].nbytes * widening + split.y.nbytes + split.ids.nbytes + (1 << 16)


def _export_npz(job: _Job, folder: Path) -> list[Path]:
    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for member, blocks in _members(job).items():
                with archive.open(zipfile.ZipInfo(f"{member}.npy"), "w", force_zip64=True) as stream:
                    blocks(stream)

    path = folder / f"{job.stem}.npz"
    publish(path, write)
    return [path]


def _export_npy(job: _Job, folder: Path) -> list[Path]:
    paths = []
    for member, blocks in _members(job).items():
        paths.append(folder / f"{job.stem}_{member}.npy")
        publish(paths[-1], blocks)
    return paths


def _members(job: _Job) -> dict[str, Callable[[IO[bytes]], None]]:
    return {
        "features": lambda stream: _write_npy(stream, job.features),
        "labels": lambda stream: _write_npy(stream, job.split.y),
        "ids": lambda stream: _write_npy(stream, job.split.ids),
    }


def _write_npy(stream: IO[bytes], array: FeatureArray | np.ndarray) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(stream, header)
    for rows in _blocks(array):
        stream.write(np.ascontiguousarray(array[rows]).data.cast("B") if array.size else b"")


def _blocks(array: FeatureArray | np.ndarray) -> Iterator[slice]:
    step = max(1, BLOCK_BYTES // max(1, array.nbytes // max(1, len(array))))
    for start in range(0, len(array), step):
        yield slice(start, min(start + step, len(array)))


def _export_parquet(job: _Job, folder: Path) -> list[Path]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise CacheError(
            "Format 'parquet' needs pyarrow: pip install 'bottleneck-features[parquet]', or use 'npz'."
        ) from error
    width = int(np.prod(job.features.shape[1:]))
    shape = ",".join(map(str, job.features.shape[1:]))
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("label", pa.int64()),
            ("class_name", pa.string()),
            ("features", pa.list_(pa.float32(), width)),
        ],
        metadata={"shape": shape, "stored_dtype": job.features.dtype.name},
    )
    names = np.array(job.class_names)

    def write(file: BinaryIO) -> None:
        with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=["class_name"]) as writer:
            for rows in _blocks(job.features):
                values = pa.array(job.features[rows].astype(np.float32).ravel())
                columns = [
                    pa.array(job.split.ids[rows]),
                    pa.array(job.split.y[rows]),
                    pa.array(names[job.split.y[rows]]),
                    pa.FixedSizeListArray.from_arrays(values, width),
                ]
                writer.write_table(pa.table(columns, schema=schema))

    path = folder / f"{job.stem}.parquet"
    publish(path, write)
    return [path]


_FORMATS: dict[str, Callable[[_Job, Path], list[Path]]] = dict(
    zip(EXPORT_FORMATS, (_export_npz, _export_npy, _export_parquet), strict=True)
)
