"""A cache as plain files, one per split: npz, npy or Parquet, written in a stream."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from bottleneck_features.features.arrays import FeatureArray
from bottleneck_features.features.errors import CacheError
from bottleneck_features.features.identity import folder_name
from bottleneck_features.features.reader import Features, open_features
from bottleneck_features.features.records import EXPORT_FORMATS
from bottleneck_features.features.split import Split
from bottleneck_features.features.storage import make_folder, publish, remove_stale, require_space

if TYPE_CHECKING:
    import pyarrow

BLOCK_BYTES = 16 << 20
ABOUT = "bottleneck"  # the key of a Parquet file's metadata


@dataclass(frozen=True)
class Column:
    """A column that a caller adds to Parquet files.

    Attributes:
        kind: `text`, or `number` (float32).
        read: returns the values of some samples of a split, None where a sample has none.
    """

    kind: Literal["text", "number"]
    read: Callable[[Split, slice], Sequence[str | float | None]]


@dataclass(frozen=True)
class Beside:
    """What a caller adds to Parquet files.

    Attributes:
        columns: by name, in their order.
        about: JSON that says what these are; it goes into the files' metadata.
    """

    columns: Mapping[str, Column] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


NOTHING = Beside()


@dataclass(frozen=True)
class _Job:
    split: Split
    features: FeatureArray
    class_names: tuple[str, ...]
    stem: str
    beside: Beside


def export_features(
    path: Path | str,
    folder: Path | str,
    name: str,
    format: str = "npz",
    layer: str | None = None,
    beside: Beside = NOTHING,
) -> list[Path]:
    """Write a finished cache as plain files; memory stays flat whatever its size.

    Args:
        path: the cache's folder.
        folder: where the files go; made if missing.
        name: files are called `<name>_<split>…`.
        format: `"npz"` (one file per split with `features`, `labels` and `ids`), `"npy"` (three files per split:
            `…_features.npy`, `…_labels.npy`, `…_ids.npy`) or `"parquet"` (columns `id`, `label`, `class_name`, `split`, `group`
            (null where there is none), those of `beside`, and `features`, a fixed-size list of float32 in C order).
        layer: which layer; None is the last one.
        beside: what Parquet files have besides; the other formats leave it out.

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
    about = {"cache_key": cache.key, "layer": chosen, **beside.about}
    written: list[Path] = []
    for split_name, split in cache.items():
        stem = f"{folder_name(name)}_{split_name}"
        job = _Job(split, split.features[chosen], cache.class_names, stem, Beside(beside.columns, about))
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
    schema = _schema(job)

    def write(file: BinaryIO) -> None:
        texts = [one.name for one in schema if one.type == pa.string() and one.name not in ("id", "path")]
        with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=texts) as writer:
            for rows in _blocks(job.features):
                writer.write_table(pa.table(_columns(job, rows, schema), schema=schema))

    path = folder / f"{job.stem}.parquet"
    publish(path, write)
    return [path]


def _schema(job: _Job) -> pyarrow.Schema:
    import pyarrow as pa

    kinds = {"text": pa.string(), "number": pa.float32()}
    shape = job.features.shape[1:]
    return pa.schema(
        [
            ("id", pa.string()),
            ("label", pa.int64()),
            ("class_name", pa.string()),
            ("split", pa.string()),
            ("group", pa.string()),
            *((name, kinds[column.kind]) for name, column in job.beside.columns.items()),
            ("features", pa.list_(pa.float32(), int(np.prod(shape)))),
        ],
        metadata={
            "shape": ",".join(map(str, shape)),
            "stored_dtype": job.features.dtype.name,
            ABOUT: json.dumps(job.beside.about, ensure_ascii=False),
        },
    )


def _columns(job: _Job, rows: slice, schema: pyarrow.Schema) -> list[pyarrow.Array]:
    import pyarrow as pa

    split, labels = job.split, job.split.y[rows]
    groups = [None] * len(labels) if split.groups is None else [group or None for group in split.groups[rows].tolist()]
    described = {
        "id": split.ids[rows],
        "label": labels,
        "class_name": np.array(job.class_names)[labels],
        "split": [split.name] * len(labels),
        "group": groups,
        **{name: column.read(split, rows) for name, column in job.beside.columns.items()},
    }
    values = pa.array(job.features[rows].astype(np.float32).ravel())
    found = [pa.array(column, schema.field(name).type) for name, column in described.items()]
    return [*found, pa.FixedSizeListArray.from_arrays(values, schema.field("features").type.list_size)]


_FORMATS: dict[str, Callable[[_Job, Path], list[Path]]] = dict(
    zip(EXPORT_FORMATS, (_export_npz, _export_npy, _export_parquet), strict=True)
)
