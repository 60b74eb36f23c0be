"""Taking over features that someone saved as plain .npz or .npy files, in a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bottleneck_features.features.arraynames import Chosen, choose
from bottleneck_features.features.errors import ImportRefused
from bottleneck_features.features.identity import cache_path
from bottleneck_features.features.labels import class_names, numbered, read_labels, require_trained_classes
from bottleneck_features.features.manifest import ArraySpec
from bottleneck_features.features.npyfiles import SavedArray
from bottleneck_features.features.plan import SplitPlan
from bottleneck_features.features.storage import sha256_of
from bottleneck_features.features.targets import Targets
from bottleneck_features.features.writer import CacheWriter

LAYER = "features"
SHARD_BYTES = 32 << 20
BACKBONE = "imported"
File = Path | str


@dataclass(frozen=True)
class Imported:
    """A cache that was made of others' files.

    Attributes:
        path: its folder.
        class_names: the classes, in the order of their numbers.
        taken: which arrays became what, by split; they print as a sentence.
    """

    path: Path
    class_names: tuple[str, ...]
    taken: Mapping[str, Chosen]


def import_features(root: Path | str, name: str, files: Mapping[str, File | tuple[File, File]]) -> Imported:
    """Make a cache of features and labels that someone saved as .npz or .npy files.

    Args:
        root: the folder that holds all caches.
        name: name of the experiment; the folder becomes `<name>-imported-<8 hex of key>`.
        files: by split name an .npz file with both; an .npy file of features with its labels beside it, such as
            `train_features.npy` and `train_labels.npy`; or a pair of files, features and labels. An array in an .npz is
            found by its name or its shape, or named: `"all.npz:X_train"`.

    Returns:
        The cache, and what was taken. Features are floats (n, …): float16 stays, any other float becomes float32.
        Labels are whole numbers or text (n,) or (n, 1), or one-hot numbers; the classes are the different labels of all
        splits and have their names. An id is `<split>/<number>` unless the files have `ids`. The key is the hash of the
        files and of the names of the arrays.

    Raises:
        ImportRefused: if the files cannot be taken over; says what they have and what to do.
        CacheBusy: if another process is importing the same.
        FeatureError: if a feature is not finite, or two ids are the same.
        DiskFull: if the disk cannot hold them.

    Example:
        import_features("artifacts/features", "cifar10", {"train": ("train_x.npy", "train_y.npy"), "test": "test.npz"}).path
    """
    taken = {
        split: choose(split, *given) if isinstance(given, tuple) else choose(split, given)
        for split, given in files.items()
    }
    spec = _spec(taken)
    labels = {split: read_labels(chosen.labels) for split, chosen in taken.items()}
    names = class_names(labels)
    require_trained_classes(labels)
    identity = {"imported": _identity(taken)}
    row_bytes = max(chosen.features.row_bytes for chosen in taken.values())
    writer = CacheWriter(
        cache_path(root, f"{name}-{BACKBONE}", identity),
        identity,
        {split: SplitPlan(_ids(split, chosen)) for split, chosen in taken.items()},
        {LAYER: spec},
        Targets(names, {split: numbered(own, names) for split, own in labels.items()}),
        shard_size=max(1, SHARD_BYTES // row_bytes),
        provenance={
            "experiment": name,
            "backbone": BACKBONE,
            "files": {split: chosen.features.path.name for split, chosen in taken.items()},
            "arrays": {split: str(chosen) for split, chosen in taken.items()},
        },
    )
    with writer:
        _copy(writer, taken)
        writer.finish()
    return Imported(writer.path, names, taken)


def _copy(writer: CacheWriter, taken: Mapping[str, Chosen]) -> None:
    pending = writer.pending
    for split, chosen in taken.items():
        shards = [shard for shard in pending if shard.split == split]
        parts = [slice(shard.start, shard.stop) for shard in shards]
        for shard, rows in zip(shards, chosen.features.rows(parts), strict=True):
            writer.write(shard, {LAYER: rows})


def _spec(taken: Mapping[str, Chosen]) -> ArraySpec:
    for chosen in taken.values():
        _require_floats(chosen.features)
        if chosen.labels.shape[:1] != chosen.features.shape[:1]:
            raise ImportRefused(
                f"Each row of features needs its label. Received: features {chosen.features}, labels {chosen.labels}"
            )
    shapes = {chosen.features.shape[1:] for chosen in taken.values()}
    if len(shapes) != 1:
        found = ", ".join(f"{split} {chosen.features}" for split, chosen in taken.items())
        raise ImportRefused(f"All splits must have features of one shape. Received: {found or 'no split'}")
    halves = all(chosen.features.dtype.itemsize == 2 for chosen in taken.values())
    return ArraySpec(shapes.pop(), "float16" if halves else "float32")


def _require_floats(array: SavedArray) -> None:
    array.require_rows()
    if array.dtype.kind == "f":
        return
    if array.dtype == np.uint8 and len(array.shape) > 2:
        raise ImportRefused(
            f"{array.place} looks like images, not features: uint8 of shape {array.shape}. `cache import` takes what a network "
            "made of them. To extract features, give the images themselves to `bottleneck features`."
        )
    raise ImportRefused(
        f"Features must be floats, one row for each image. Received: {array.place}, {array.dtype} of shape {array.shape}. "
        "If these are features, save them with array.astype('float32')."
    )


def _identity(taken: Mapping[str, Chosen]) -> dict[str, dict[str, list[str]]]:
    roles = {
        split: {"features": chosen.features, "labels": chosen.labels, **({"ids": chosen.ids} if chosen.ids else {})}
        for split, chosen in taken.items()
    }
    hashes = {path: sha256_of(path) for path in {array.path for own in roles.values() for array in own.values()}}
    return {
        split: {role: [hashes[array.path], array.name] for role, array in own.items()} for split, own in roles.items()
    }


def _ids(split: str, chosen: Chosen) -> np.ndarray:
    count = chosen.features.shape[0]
    if chosen.ids is None:
        return np.array([f"{split}/{row}" for row in range(count)], np.str_)
    if chosen.ids.shape not in ((count,), (count, 1)) or chosen.ids.dtype.kind not in "iuUSO":
        raise ImportRefused(f"There must be an id for each of {count:,} rows of features. Received: {chosen.ids}")
    return np.concatenate([_texts(chosen.ids, rows) for rows in chosen.ids.rows(chosen.ids.blocks())])


def _texts(array: SavedArray, rows: np.ndarray) -> np.ndarray:
    try:
        texts = [value.decode() if isinstance(value, bytes) else str(value) for value in rows.ravel().tolist()]
        "".join(texts).encode()
    except ValueError as error:
        raise ImportRefused(f"The ids of {array.place} are no valid text (UTF-8).") from error
    return np.array(texts, np.str_)
