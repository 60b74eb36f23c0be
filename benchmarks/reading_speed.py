"""How fast a cache opens and reads, beside np.load of an .npz and a gzip HDF5 of the same features.

python benchmarks/reading_speed.py --samples 50000 --width 2048

Prints JSON: seconds, and bytes per second, of the features' float16 bytes; every figure is the median of its repeats.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
from arguments import FOLDER

from bottleneck_features.features import ArraySpec, CacheWriter, SplitPlan, Targets, open_features

BATCH = 256
SHARD = 1024
CLASSES = 10
IMPORT_AND_OPEN = "import sys, bottleneck_features; bottleneck_features.open_features(sys.argv[1])"


def measure(folder: Path, samples: int, width: int, repeats: int = 5) -> dict[str, Any]:
    """Writes pseudo-features of ReLU-like sparsity in all forms to `folder`, then measures reading them.

    Args:
        folder: an empty folder on the disk to be measured.
        samples, width: size of the one split.
        repeats: how many times each figure is taken.

    Returns:
        JSON object, with a sub-object for each form.
    """
    features = _pseudo_features(samples, width)
    cache = {kind: folder / kind for kind in ("none", "blosc2")}
    written = {kind: _seconds(partial(_write, path, features, kind)) for kind, path in cache.items()}
    written["npz"] = _seconds(lambda: np.savez(folder / "plain.npz", features=features))
    with h5py.File(folder / "gzip.h5", "w") as file:
        written["gzip"] = _seconds(lambda: file.create_dataset("features", data=features, compression="gzip"))
    size = features.nbytes
    return {
        "samples": samples,
        "width": width,
        "bytes": size,
        "cache": _cache(cache["none"], samples, repeats, written["none"]),
        "cache_blosc2": _cache(cache["blosc2"], samples, repeats, written["blosc2"]),
        "npz": _file(folder / "plain.npz", size, written["npz"], repeats, lambda: np.load(folder / "plain.npz")),
        "gzip_hdf5": _file(folder / "gzip.h5", size, written["gzip"], repeats, lambda: h5py.File(folder / "gzip.h5")),
    }


def _pseudo_features(samples: int, width: int) -> np.ndarray:
    features = np.random.default_rng(0).standard_normal((samples, width), np.float32)
    return np.maximum(features, 0, out=features).astype(np.float16)


def _write(path: Path, features: np.ndarray, compression: str) -> None:
    samples, width = features.shape
    ids = np.array([f"train/{i:06d}" for i in range(samples)])
    plan = {"train": SplitPlan(ids)}
    spec = {"avg_pool": ArraySpec((width,), "float16")}
    targets = Targets(tuple(map(str, range(CLASSES))), {"train": np.arange(samples) % CLASSES})
    with CacheWriter(
        path, {"speed": samples}, plan, spec, targets, shard_size=SHARD, provenance={}, compression=compression
    ) as writer:
        for shard in writer.pending:
            writer.write(shard, {"avg_pool": features[shard.start : shard.stop]})
        writer.finish()


def _cache(path: Path, samples: int, repeats: int, written: float) -> dict[str, float]:
    features = open_features(path)["train"].x
    rows = np.random.default_rng(0).integers(0, samples, (repeats * 4, BATCH))
    return {
        "stored_bytes": sum(file.stat().st_size for file in path.glob("train/*.h5")),
        "write_seconds": written,
        "open_seconds": _median(lambda: open_features(path), repeats),
        "import_and_open_seconds": _median(lambda: _fresh_interpreter(path), repeats),
        "random_batch_seconds": statistics.median(_seconds(partial(features.__getitem__, batch)) for batch in rows),
        "read_all_bytes_per_second": features.nbytes / _median(lambda: _read_all(path), repeats),
        "copy_all_bytes_per_second": features.nbytes / _median(lambda: open_features(path)["train"].x[:], repeats),
    }


def _file(path: Path, size: int, written: float, repeats: int, load: Callable[[], Any]) -> dict[str, float]:
    return {
        "stored_bytes": path.stat().st_size,
        "write_seconds": written,
        "copy_all_bytes_per_second": size / _median(lambda: load()["features"][:], repeats),
    }


def _read_all(path: Path) -> int:
    """Opens the cache and touches every byte once, without keeping a copy."""
    features = open_features(path)["train"].x
    blocks = (features[start : start + SHARD] for start in range(0, len(features), SHARD))
    return sum(int(np.bitwise_xor.reduce(block.ravel().view(np.uint16))) for block in blocks)


def _fresh_interpreter(path: Path) -> None:
    subprocess.run([sys.executable, "-c", IMPORT_AND_OPEN, str(path)], check=True)


def _median(action: Callable[[], Any], repeats: int) -> float:
    return statistics.median(_seconds(action) for _ in range(repeats))


def _seconds(action: Callable[[], Any]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


@click.command(help=__doc__)
@click.option("--samples", type=click.IntRange(min=1), default=50_000, show_default=True)
@click.option("--width", type=click.IntRange(min=1), default=2048, show_default=True)
@click.option("--folder", type=FOLDER, help="On the disk to be measured (default: where temporary files go).")
def main(samples: int, width: int, folder: Path | None) -> None:
    """Measure in a temporary folder and print JSON."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        print(json.dumps(measure(Path(scratch), samples, width), indent=1))


if __name__ == "__main__":
    main()
