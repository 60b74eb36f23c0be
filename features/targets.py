"""Labels, groups and class names: a small sealed table beside the shards, so that a correction writes no features."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from bottleneck_features.errors import first_line
from bottleneck_features.features.errors import CacheDamaged, CacheError, FeatureError
from bottleneck_features.features.identity import canonical_json
from bottleneck_features.features.manifest import Manifest
from bottleneck_features.features.shards import LABEL, TARGETS, encode_file, stored_dataset, text_dtype

_NAMES, _LABELS, _GROUPS = "class_names", "labels", "groups"


@dataclass(frozen=True, eq=False)
class Targets:
    """What the samples of a cache are examples of, in the order in which the samples are stored.

    Attributes:
        class_names: name of each label, 0 … classes − 1.
        labels: integers, (n,), in 0 … classes − 1, by split.
        groups: text, (n,), by split: samples of one group must not be parted; empty where there are no groups.

    Raises:
        FeatureError: if a label is no number of a class, a group or a class name cannot be stored, or a split has another
            number of groups than of labels.
    """

    class_names: tuple[str, ...]
    labels: Mapping[str, np.ndarray]
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for split, labels in self.labels.items():
            _check_labels(split, np.asarray(labels), len(self.class_names))
        for split, groups in self.groups.items():
            if len(groups) != len(self.labels.get(split, ())):
                raise FeatureError(f"Split {split!r}: there must be a group for each label. Received: {len(groups)}")

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        """All that is stored, by the name of its dataset."""
        arrays = {_NAMES: _utf8(self.class_names)}
        for split, labels in self.labels.items():
            arrays[f"{split}/{_LABELS}"] = np.asarray(labels).astype(LABEL)
            if split in self.groups:
                arrays[f"{split}/{_GROUPS}"] = _utf8(self.groups[split])
        return arrays

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all of it, 64 hexadecimal digits."""
        content = {
            name: [array.dtype.itemsize, hashlib.sha256(array.tobytes()).hexdigest()]
            for name, array in self._arrays.items()
        }
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()

    def encoded(self) -> bytes:
        """Return the content of the file `targets.h5`."""

        def fill(file: h5py.File) -> dict[str, int]:
            for name, array in self._arrays.items():
                data = array.astype(text_dtype(array.dtype.itemsize)) if array.dtype.kind == "S" else array
                file.create_dataset(name, data=data, track_times=False)
            return {}

        return encode_file(fill, sum(array.nbytes for array in self._arrays.values()))[0]


def read_targets(folder: Path, manifest: Manifest) -> Targets:
    """Read the targets of a cache, and check them against the digest in its manifest.

    Args:
        folder: the cache's folder.
        manifest: its manifest.

    Raises:
        CacheDamaged: if the file is missing, or not what was written.
    """
    path = folder / TARGETS
    try:
        return decoded(path.read_bytes(), manifest)
    except FileNotFoundError:
        raise CacheDamaged(f"The labels of {folder} are missing ({TARGETS}). {_REMEDY}") from None
    except (OSError, ValueError) as error:
        raise CacheDamaged(f"The labels in {path} are damaged: {error}. {_REMEDY}") from error


def decoded(content: bytes, manifest: Manifest) -> Targets:
    """Return what the content of a file of targets says.

    Args:
        content: of the file.
        manifest: of its cache.

    Raises:
        ValueError: if it is not what was written.
    """
    samples = {split: record.samples for split, record in manifest.splits.items()}
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            found = Targets(
                class_names=tuple(name.decode() for name in stored_dataset(file, _NAMES)[:].tolist()),
                labels={split: _column(file, f"{split}/{_LABELS}", n) for split, n in samples.items()},
                groups={
                    split: _texts(_column(file, f"{split}/{_GROUPS}", n))
                    for split, n in samples.items()
                    if f"{split}/{_GROUPS}" in file
                },
            )
            digest = found.digest  # of texts that may be none any more
    except (OSError, KeyError, TypeError, OverflowError, MemoryError, RuntimeError, CacheError) as error:
        raise ValueError(first_line(error)) from error
    if digest != manifest.targets:
        raise ValueError("they are not what was written")
    return found


_REMEDY = (
    "Run the extraction again with the same settings: it writes them anew and computes no features that are there."
)


def _column(file: h5py.File, name: str, samples: int) -> np.ndarray:
    stored = stored_dataset(file, name)
    if stored.shape != (samples,):
        raise ValueError(f"{name} has the shape {stored.shape}, not {(samples,)}")
    column: np.ndarray = stored[:]
    column.flags.writeable = False
    return column


def _texts(encoded: np.ndarray) -> np.ndarray:
    return np.array([text.decode() for text in encoded.tolist()], np.dtypes.StringDType())


def _utf8(texts: np.ndarray | tuple[str, ...]) -> np.ndarray:
    """Return texts as UTF-8 bytes, all as wide as the longest."""
    encoded = [str(text).encode() for text in texts]
    if any(b"\0" in text for text in encoded):
        raise FeatureError("A class name or a group must not contain the character NUL.")
    return np.array(encoded, np.bytes_) if any(encoded) else np.zeros(len(encoded), "S1")


def _check_labels(split: str, labels: np.ndarray, classes: int) -> None:
    if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iu"):
        raise FeatureError(
            f"Split {split!r}: labels must be integers (n,). Received: {labels.dtype} of shape {labels.shape}"
        )
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        raise FeatureError(
            f"Split {split!r}: labels must be in 0…{classes - 1}, as there are {classes} class names. "
            f"Received: {labels[wrong][0]} for sample {int(wrong.argmax())}"
        )
