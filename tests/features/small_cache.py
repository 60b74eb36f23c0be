"""A cache of pseudo-features whose every value follows from the sample's number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features.features import ArraySpec, CacheWriter, Shard, SplitPlan, Targets

IDENTITY: dict[str, Any] = {
    "dataset": {"fingerprint": "d1", "limit": 0},
    "backbone": "tiny",
    "size": [8, 8],
    "dtype": "float16",
}
CLASS_NAMES = ("zero", "one", "two")
SAMPLES = {"train": 53, "test": 17}
LAYERS = {"early": ArraySpec((2, 3, 4), "float16"), "late": ArraySpec((6,), "float32")}
PROVENANCE = {"experiment": "digits", "backbone": "tiny"}


def plans(samples: dict[str, int]) -> dict[str, SplitPlan]:
    """Ids of uneven length (one of them not ASCII), and a content for each."""
    ids = {
        split: [f"{split}/ïmage-{i}.png" if i == 3 else f"{split}/{i}.png" for i in range(count)]
        for split, count in samples.items()
    }
    return {split: SplitPlan(np.array(own), contents(own)) for split, own in ids.items()}


def contents(texts: list[str]) -> np.ndarray:
    """The SHA-256 of texts that stand for images, uint8, (n, 32)."""
    hashes = b"".join(hashlib.sha256(text.encode()).digest() for text in texts)
    return np.frombuffer(hashes, np.uint8).reshape(-1, 32)


def targets(splits: Mapping[str, SplitPlan], class_names: Sequence[str] = CLASS_NAMES) -> Targets:
    """Labels that go round the classes."""
    return Targets(
        tuple(class_names), {split: np.arange(len(plan.ids)) % len(class_names) for split, plan in splits.items()}
    )


def values(split: str, layer: str, start: int, stop: int, spec: ArraySpec) -> np.ndarray:
    """Pseudo-features of samples `start:stop`, (stop − start, *shape), float32."""
    rows = [
        np.random.default_rng([len(split), len(layer), sample]).standard_normal(spec.shape, np.float32)
        for sample in range(start, stop)
    ]
    return np.array(rows, np.float32).reshape(stop - start, *spec.shape)


def shard_arrays(shard: Shard, layers: dict[str, ArraySpec]) -> dict[str, np.ndarray]:
    """What an extractor would hand to `CacheWriter.write`."""
    return {layer: values(shard.split, layer, shard.start, shard.stop, spec) for layer, spec in layers.items()}


def expected(split: str, layer: str, samples: dict[str, int], layers: dict[str, ArraySpec]) -> np.ndarray:
    """All features of a split as they should be read back."""
    return values(split, layer, 0, samples[split], layers[layer]).astype(layers[layer].dtype)


def writer(path: Path, kind: Callable[..., CacheWriter] = CacheWriter, **changes: Any) -> CacheWriter:
    """A writer of the small cache; keyword arguments replace those of `CacheWriter`."""
    arguments: dict[str, Any] = {
        "identity": IDENTITY,
        "splits": plans(SAMPLES),
        "arrays": LAYERS,
        "targets": targets(changes.get("splits", plans(SAMPLES))),
        "shard_size": 10,
        "provenance": PROVENANCE,
        **changes,
    }
    return kind(path, **arguments)


def fill(opened: CacheWriter, layers: dict[str, ArraySpec]) -> None:
    """Writes all pending shards and finishes."""
    for shard in opened.pending:
        opened.write(shard, shard_arrays(shard, layers))
    opened.finish()


def make(path: Path, **changes: Any) -> Path:
    """Writes the whole cache and returns its path."""
    with writer(path, **changes) as opened:
        fill(opened, changes.get("arrays", LAYERS))
    return path


def file_bytes(path: Path) -> dict[str, bytes]:
    """Content of every HDF5 file of a cache, by relative path."""
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*.h5"))}


def lasting(path: Path) -> dict[str, Any]:
    """The manifest without what may differ between two runs of the same extraction."""
    manifest: dict[str, Any] = json.loads((path / "manifest.json").read_bytes())
    return {name: value for name, value in manifest.items() if name not in ("created", "provenance", "sha256")}
