"""Taking over features that someone saved as plain .npz files, in a stream."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from bottleneck_features.features.errors import CacheError
from bottleneck_features.features.identity import cache_path
from bottleneck_features.features.manifest import ArraySpec
from bottleneck_features.features.plan import SplitPlan
from bottleneck_features.features.storage import sha256_of
from bottleneck_features.features.writer import CacheWriter

LAYER = "features"
SHARD_BYTES = 32 << 20
BACKBONE = "imported"


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    dtype: np.dtype


def import_npz(root: Path | str, name: str, files: Mapping[str, Path | str]) -> Path:
    """Make a cache of .npz files with `features` (n, …) and `labels` (n,) or (n, 1), and `ids` (n,) if they have them.

    Args:
        root: the folder that holds all caches.
        name: name of the experiment; the folder becomes `<name>-imported-<8 hex of key>`.
        files: .npz file by split name, such as `{"train": "cifar10_train.npz", "test": "cifar10_test.npz"}`.

    Returns:
        The cache's folder. float16 stays, any other float becomes float32; an id is `<split>/<number>` unless given;
        the class names are the numbers of the labels. The key is the hash of the files.

    Raises:
        CacheError: if a file is not such an .npz; says what it has.
        CacheBusy: if another process is importing the same.
        FeatureError: if a feature is not finite.
        DiskFull: if the disk cannot hold them.
    """
    sources = {split: Path(file) for split, file in files.items()}
    headers = {split: _feature_header(path) for split, path in sources.items()}
    shapes = {(header.shape[1:], header.dtype) for header in headers.values()}
    if len(shapes) != 1:
        found = ", ".join(f"{split} {header.dtype} {header.shape}" for split, header in headers.items())
        raise CacheError(f"All splits must have features of one shape and dtype. Received: {found}")
    shape, dtype = shapes.pop()
    spec = ArraySpec(shape, "float16" if dtype == np.float16 else "float32")
    plans = {split: _plan(split, path, headers[split]) for split, path in sources.items()}
    classes = 1 + max((int(plan.labels.max()) for plan in plans.values() if len(plan.labels)), default=0)
    identity = {"imported": {split: sha256_of(path) for split, path in sources.items()}}
    writer = CacheWriter(
        cache_path(root, f"{name}-{BACKBONE}", identity),
        identity,
        plans,
        {LAYER: spec},
        [str(label) for label in range(classes)],
        shard_size=max(1, SHARD_BYTES // max(1, _row_bytes(_Header((0, *shape), dtype)))),
        provenance={
            "experiment": name,
            "backbone": BACKBONE,
            "files": {split: path.name for split, path in sources.items()},
        },
    )
    with writer:
        _copy(writer, sources, headers)
        writer.finish()
    return writer.path


def _copy(writer: CacheWriter, sources: Mapping[str, Path], headers: Mapping[str, _Header]) -> None:
    pending = writer.pending
    for split, path in sources.items():
        shards = [shard for shard in pending if shard.split == split]
        if not shards:
            continue
        with zipfile.ZipFile(path) as archive, archive.open(f"{LAYER}.npy") as stream:
            _read_header(stream, path)
            position = 0
            for shard in shards:
                stream.seek((shard.start - position) * _row_bytes(headers[split]), 1)
                writer.write(shard, {LAYER: _rows(stream, headers[split], len(shard), path)})
                position = shard.stop


def _rows(stream: IO[bytes], header: _Header, count: int, path: Path) -> np.ndarray:
    size = count * _row_bytes(header)
    content = stream.read(size)
    if len(content) != size:
        raise CacheError(f"{path} ends in the middle of its features. Save or copy it again.")
    rows = np.frombuffer(content, header.dtype).reshape(count, *header.shape[1:])
    return rows if header.dtype == np.float16 else rows.astype(np.float32)


def _row_bytes(header: _Header) -> int:
    return header.dtype.itemsize * int(np.prod(header.shape[1:]))


def _feature_header(path: Path) -> _Header:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [member.removesuffix(".npy") for member in archive.namelist()]
            if LAYER not in names or "labels" not in names:
                raise CacheError(f"{path} must have the arrays 'features' and 'labels'. It has: {', '.join(names)}")
            with archive.open(f"{LAYER}.npy") as stream:
                return _read_header(stream, path)
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise CacheError(f"Cannot read {path} as .npz: {error}") from error


def _read_header(stream: IO[bytes], path: Path) -> _Header:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(stream)
    if fortran_order or dtype.kind != "f" or len(shape) < 1:
        order = "Fortran" if fortran_order else "C"
        raise CacheError(f"{path}: features must be floats in C order. Received: {dtype} {shape} in {order} order")
    return _Header(shape, dtype)


def _plan(split: str, path: Path, header: _Header) -> SplitPlan:
    count = header.shape[0]
    try:
        with np.load(path, allow_pickle=False) as saved:
            labels = saved["labels"]
            ids = saved["ids"] if "ids" in saved else np.array([f"{split}/{i}" for i in range(count)], dtype=np.str_)
    except ValueError as error:
        raise CacheError(f"Cannot read labels and ids of {path}: {error}") from error
    if labels.shape not in ((count,), (count, 1)) or labels.dtype.kind not in "iuf" or (labels % 1).any():
        raise CacheError(
            f"{path}: labels must be {count} whole numbers, one for each row of features. "
            f"Received: {labels.dtype} of shape {labels.shape}"
        )
    return SplitPlan(ids, labels.reshape(count).astype(np.int64))
