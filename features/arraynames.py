"""Which of the arrays that someone saved are the features of a split, and which their labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bottleneck_features.features.errors import ImportRefused
from bottleneck_features.features.labels import is_one_hot
from bottleneck_features.features.npyfiles import SavedArray, saved_arrays

FEATURES, LABELS, IDS = "features", "labels", "ids"
SHOWN = 20
_SPLITS = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("test", "testing", "te"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
}
_KINDS = {  # in this order: `class_names` names classes and is no label, `data_labels` are labels
    IDS: {"ids", "id"},
    "other": {
        "names",
        "name",
        "file",
        "files",
        "filename",
        "filenames",
        "path",
        "paths",
        "index",
        "indices",
        "weights",
    },
    LABELS: {"labels", "label", "y", "targets", "target", "classes", "class"},
    FEATURES: {
        "features",
        "feature",
        "feats",
        "x",
        "embeddings",
        "embedding",
        "bottleneck",
        "data",
        "inputs",
        "activations",
    },
}
_JOINED = re.compile(rf"(?<=[a-z0-9])(?=[A-Z])|(?<=\b[xyXY])(?=(?i:{'|'.join(_SPLITS)})\b)")  # trainLabels, Xtrain


@dataclass(frozen=True)
class Meaning:
    """What a name says: of which kind an array is, of which split, and the words left over."""

    kind: str
    split: str
    rest: frozenset[str]


@dataclass(frozen=True)
class Chosen:
    """The arrays of one split."""

    features: SavedArray
    labels: SavedArray
    ids: SavedArray | None

    def __str__(self) -> str:
        return f"features {self.features}, labels {self.labels}{f', ids {self.ids}' if self.ids else ''}"


@dataclass(frozen=True)
class Place:
    """A file, and the name of an array in it if one was given."""

    path: Path
    name: str

    @classmethod
    def of(cls, word: Path | str) -> Place:
        """Return the place that `FILE` or `FILE.npz:ARRAY` names."""
        found = re.fullmatch(r"(.+\.npz):(.+)", str(word), re.IGNORECASE | re.DOTALL)
        return cls(Path(found[1]), found[2]) if found and not Path(word).exists() else cls(Path(word), "")

    def arrays(self) -> tuple[SavedArray, ...]:
        """Return the arrays of the file, or the one that was named.

        Raises:
            ImportRefused: if there is no such file or array.
        """
        arrays = saved_arrays(self.path)
        named = tuple(array for array in arrays if self.name in ("", array.name))
        if not named:
            raise ImportRefused(f"{self.path} has no array {self.name!r}. It has:\n{_listed(arrays)}")
        return named


def meaning(name: str) -> Meaning:
    """Read a name such as `X_train`, `bottleneck_features_test` or `cifar10_train_labels`."""
    words = {word for word in re.split(r"[^a-z0-9]+", _JOINED.sub("_", name).casefold()) if word}
    splits = {_SPLITS[word] for word in words & _SPLITS.keys()}
    known = words & set().union(*_KINDS.values())
    kind = next(
        (kind for kind, own in _KINDS.items() if words & own), FEATURES if words and words <= _SPLITS.keys() else ""
    )
    return Meaning(kind, splits.pop() if len(splits) == 1 else "", frozenset(words - known - _SPLITS.keys()))


def splits_in(file: Path | str) -> tuple[str, ...]:
    """Return the splits that the names of a file's arrays tell apart, such as `X_train` and `X_test`; `("train",)` if none.

    Raises:
        ImportRefused: if the file has no arrays.
    """
    found = (meaning(array.name) for array in Place.of(file).arrays())
    return tuple(dict.fromkeys(m.split for m in found if m.kind == FEATURES and m.split)) or ("train",)


def choose(split: str, features: Path | str, labels: Path | str | None = None) -> Chosen:
    """Find the features, labels and ids of a split: by the names of arrays, else by dtype and shape where that leaves one choice.

    Args:
        split: its name.
        features: an .npz file, `FILE.npz:ARRAY`, or an .npy file.
        labels: likewise; None looks for them in the .npz, or beside the .npy file.

    Raises:
        ImportRefused: if there is no choice, or more than one; lists the arrays and says how to name them.
    """
    place = Place.of(features)
    there = place.arrays()
    x = there[0] if place.name else _features(there, split)
    arrays = saved_arrays(place.path)
    if labels is not None:
        y = _given_labels(Place.of(labels), split, x)
    else:
        y = _labels(arrays, split, x) if x.name else _only(_labels_beside(place.path, split))
    ids = _of_kind(arrays, IDS, split) if x.name else list(map(_only, _beside(place.path, IDS, split)))
    return Chosen(x, y, _best(ids, split))


def _given_labels(place: Place, split: str, features: SavedArray) -> SavedArray:
    arrays = place.arrays()
    return arrays[0] if len(arrays) == 1 else _labels(arrays, split, features)


def _only(path: Path) -> SavedArray:
    (array, *_) = saved_arrays(path)
    return array


def _features(arrays: Sequence[SavedArray], split: str) -> SavedArray:
    if not arrays[0].name:
        return arrays[0]
    named = _of_kind(arrays, FEATURES, split)
    floats = [array for array in named if array.dtype.kind == "f"]
    found = _best(floats or named, split)
    if not named:
        found = _single(array for array in _of_kind(arrays, "", split) if _could_be_features(array))
    if found is None:
        raise _unclear(FEATURES, arrays, split)
    return found


def _labels(arrays: Sequence[SavedArray], split: str, features: SavedArray) -> SavedArray:
    rows = features.shape[:1]
    others = [array for array in arrays if array != features]
    named = _of_kind(others, LABELS, split)
    found = _best([array for array in named if array.shape[:1] == rows] or named, split)
    if not named:
        found = _single(array for array in _of_kind(others, "", split) if _could_be_labels(array, rows))
    if found is None:
        raise _unclear(LABELS, arrays, split)
    return found


def _of_kind(arrays: Iterable[SavedArray], kind: str, split: str) -> list[SavedArray]:
    """Return the arrays whose names say this kind, and no other split."""
    asked = _SPLITS.get(split.casefold())
    told = [(array, meaning(array.name)) for array in arrays]
    return [array for array, own in told if own.kind == kind and (not asked or own.split in ("", asked))]


def _best(arrays: Sequence[SavedArray], split: str) -> SavedArray | None:
    """Return the one whose name says most plainly what it is; None where two say it alike."""

    def doubt(array: SavedArray) -> tuple[bool, int, bool]:
        told = meaning(array.name)
        return told.split != _SPLITS.get(split.casefold()), len(told.rest), told.kind not in array.name.casefold()

    ranked = sorted(arrays, key=doubt)
    if not ranked or (len(ranked) > 1 and doubt(ranked[0]) == doubt(ranked[1])):
        return None
    return ranked[0]


def _single(arrays: Iterable[SavedArray]) -> SavedArray | None:
    found = list(arrays)
    return found[0] if len(found) == 1 else None


def _could_be_features(array: SavedArray) -> bool:
    several = len(array.shape) > 1 and array.row_bytes > array.dtype.itemsize
    return array.dtype.kind == "f" and several and not is_one_hot(array)


def _could_be_labels(array: SavedArray, rows: tuple[int, ...]) -> bool:
    if array.shape[:1] != rows or array.dtype.kind not in "biufUSO":
        return False
    return array.row_bytes == array.dtype.itemsize or is_one_hot(array)


def _labels_beside(features: Path, split: str) -> Path:
    found = _beside(features, LABELS, split)
    if len(found) == 1:
        return found[0]
    reason = (
        f"{len(found)} files beside it may be its labels: {_names(found)}"
        if found
        else "no labels were found beside it"
    )
    raise ImportRefused(
        f"{features} holds features alone, and {reason}. Give the labels as a second file, one label for each row: "
        f"{split}={features},labels.npy (np.save('labels.npy', labels) writes one)."
    )


def _beside(features: Path, kind: str, split: str) -> list[Path]:
    """Return the .npy files of the same folder with the same name but for its kind; else those with fewer words."""
    own = meaning(features.stem)
    others = {file: meaning(file.stem) for file in sorted(features.parent.glob("*.npy")) if file.name != features.name}
    others = {file: told for file, told in others.items() if told.kind == kind}
    same = [file for file, told in others.items() if (told.split, told.rest) == (own.split, own.rest)]
    if same or kind == IDS:
        return same
    splits = {"", own.split or _SPLITS.get(split.casefold(), "")}
    return [file for file, told in others.items() if told.split in splits and told.rest <= own.rest]


def _names(files: Iterable[Path]) -> str:
    return ", ".join(file.name for file in files)


def _unclear(kind: str, arrays: Sequence[SavedArray], split: str) -> ImportRefused:
    path = arrays[0].path
    return ImportRefused(
        f"Cannot tell which array of {path} holds the {kind} of the {split} split. It has:\n{_listed(arrays)}\n"
        f"Name both arrays: {split}={path}:FEATURES,{path}:LABELS\n"
        f"Labels may also be a file of their own: {split}={path},labels.npy"
    )


def _listed(arrays: Sequence[SavedArray]) -> str:
    more = [f"  … and {len(arrays) - SHOWN:,} more"] if len(arrays) > SHOWN else []
    return "\n".join([*(f"  {array}" for array in arrays[:SHOWN]), *more])
