"""What is to be written, checked before anything is: samples, targets, layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from bottleneck_features.features.entries import HASH_BYTES, ShardTable
from bottleneck_features.features.errors import CacheError, CacheMismatch, FeatureError
from bottleneck_features.features.identity import differences, normalised
from bottleneck_features.features.manifest import ArraySpec, Manifest, SplitRecord, plan_sha256, shard_count
from bottleneck_features.features.schema import is_layer_name, is_split_name
from bottleneck_features.features.shards import COMPRESSIONS
from bottleneck_features.features.targets import Targets

DTYPES = ("float16", "float32")


@dataclass(frozen=True)
class SplitPlan:
    """The samples of one split, in the order in which they will be stored.

    Attributes:
        ids: text, (n,), each one different from the others.
        contents: uint8, (n, 32), the SHA-256 of what each one's features are computed from; None where it is not known.
    """

    ids: np.ndarray
    contents: np.ndarray | None = None


@dataclass(frozen=True)
class CachePlan:
    """A checked plan: encoded ids and content hashes by split, the file of targets, and the manifest before the first shard."""

    ids: Mapping[str, np.ndarray]
    contents: Mapping[str, np.ndarray]
    targets: bytes
    manifest: Manifest


def make_plan(
    identity: Mapping[str, Any],
    splits: Mapping[str, SplitPlan],
    arrays: Mapping[str, ArraySpec],
    targets: Targets,
    *,
    shard_size: int,
    provenance: Mapping[str, Any],
    compression: str,
    recipe: str,
) -> CachePlan:
    """Check everything a cache is made from; arguments as for `CacheWriter`.

    Raises:
        CacheError: naming the argument that cannot be used, and the values that can.
    """
    if shard_size < 1:
        raise CacheError(f"shard_size must be ≥ 1 samples. Received: {shard_size}")
    if compression not in COMPRESSIONS:
        raise CacheError(f"compression must be one of {', '.join(COMPRESSIONS)}. Received: {compression!r}")
    if not splits or not arrays:
        raise CacheError(f"A cache needs a split and a layer. Received: splits {list(splits)}, layers {list(arrays)}")
    for layer, spec in arrays.items():
        _check_layer(layer, spec)
    ids = {name: _encoded_ids(name, plan.ids) for name, plan in splits.items()}
    contents = {name: _checked_contents(name, plan) for name, plan in splits.items()}
    _check_targets(targets, splits)
    records = {
        name: SplitRecord(
            samples=len(ids[name]),
            id_bytes=ids[name].dtype.itemsize,
            plan_sha256=plan_sha256(ids[name].tobytes(), contents[name].tobytes()),
            shards=ShardTable.none(shard_count(len(ids[name]), int(shard_size))),
        )
        for name in splits
    }
    manifest = Manifest(
        identity=normalised(identity),
        layers={layer: ArraySpec(tuple(int(axis) for axis in s.shape), s.dtype) for layer, s in arrays.items()},
        targets=targets.digest,
        recipe=recipe,
        shard_size=int(shard_size),
        compression=compression,
        splits=records,
        provenance=normalised(provenance),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return CachePlan(ids, contents, targets.encoded(), manifest)


def require_same(ours: Manifest, theirs: Manifest, folder: object) -> None:
    """Refuse to go on with a cache that was made from something else.

    Raises:
        CacheMismatch: naming each field that differs, with both values.
    """
    found = differences(_compared(ours), _compared(theirs))
    if found:
        raise CacheMismatch(
            f"The cache {folder} was made from something else:\n"
            + "\n".join(f"  {difference}" for difference in found)
            + "\nUse the same settings, or remove that cache with `cache rm` to write it anew.",
            tuple(found),
        )


def _compared(manifest: Manifest) -> dict[str, Any]:
    return {
        **manifest.identity,
        "layers and their order": list(manifest.layers),
        "stored arrays": {layer: [list(spec.shape), spec.dtype] for layer, spec in manifest.layers.items()},
        "labels, groups and class names": manifest.targets,
        "ids and contents": {
            name: f"{record.samples} samples, digest {record.plan_sha256[:16]}"
            for name, record in manifest.splits.items()
        },
    }


def _check_layer(layer: str, spec: ArraySpec) -> None:
    if not is_layer_name(layer):
        raise CacheError(f"A layer's name must be non-empty text without '/'. Received: {layer!r}")
    if spec.dtype not in DTYPES:
        raise CacheError(f"Layer {layer!r}: dtype must be one of {', '.join(DTYPES)}. Received: {spec.dtype!r}")
    if any(axis < 1 for axis in spec.shape):
        raise CacheError(f"Layer {layer!r}: every axis of a sample must be ≥ 1. Received: shape {spec.shape}")


def _encoded_ids(split: str, ids: np.ndarray) -> np.ndarray:
    if not is_split_name(split):
        raise CacheError(f"A split's name must be letters, digits, '_' and '-', such as 'train'. Received: {split!r}")
    texts = [str(text) for text in ids]
    encoded = np.array([text.encode() for text in texts], dtype=np.bytes_)
    if len(texts) == 0:
        return np.empty(0, "S1")
    if "" in texts or any(text.endswith("\0") for text in texts):
        raise FeatureError(f"Split {split!r}: an id must not be empty or end with NUL.")
    unique, counts = np.unique(encoded, return_counts=True)
    if len(unique) < len(encoded):
        raise FeatureError(
            f"Split {split!r}: the ids must all be different. Received {unique[counts.argmax()].decode()!r} "
            f"{counts.max()} times."
        )
    return encoded


def _checked_contents(split: str, plan: SplitPlan) -> np.ndarray:
    if plan.contents is None:
        return np.zeros((len(plan.ids), HASH_BYTES), np.uint8)
    contents = np.asarray(plan.contents)
    if contents.shape != (len(plan.ids), HASH_BYTES) or contents.dtype != np.uint8:
        raise FeatureError(
            f"Split {split!r}: contents must be uint8 of shape {(len(plan.ids), HASH_BYTES)}, a SHA-256 for each id. "
            f"Received: {contents.dtype} of shape {contents.shape}"
        )
    return contents


def _check_targets(targets: Targets, splits: Mapping[str, SplitPlan]) -> None:
    labels = {name: len(own) for name, own in targets.labels.items()}
    ids = {name: len(plan.ids) for name, plan in splits.items()}
    if labels != ids:
        raise FeatureError(f"There must be a label for each id, by split. Received: labels {labels}, ids {ids}")
