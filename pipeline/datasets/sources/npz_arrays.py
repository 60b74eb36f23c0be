"""Which arrays of an .npz are images, labels, groups and ids, and of which split."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bottleneck_features.errors import enumerated
from bottleneck_features.features.npyfiles import SavedArray, saved_arrays
from bottleneck_features.pipeline.datasets.layout.convention import SPLIT_SYNONYMS
from bottleneck_features.pipeline.datasets.paths import in_full, local_path
from bottleneck_features.pipeline.errors import RequestError

_ROLES = {"x": "images", "images": "images", "y": "labels", "labels": "labels", "groups": "groups", "ids": "ids"}
_SPLIT = "|".join(SPLIT_SYNONYMS)
_NAME = re.compile(
    rf"(?:(?P<before>{_SPLIT})[_-]?)?(?P<role>{'|'.join(_ROLES)})(?:[_-]?(?P<after>{_SPLIT}))?", re.IGNORECASE
)
_WANTED = (
    "It needs images `x` (or `images`) and labels `y` (or `labels`), or x_train, y_train, x_test, y_test: "
    "np.savez('images.npz', x=images, y=labels)"
)


@dataclass(frozen=True)
class ImageArrays:
    """The arrays of one split, `n` rows each.

    Attributes:
        images: `(n, height, width)` or `(n, height, width, channels)`.
        labels: `(n,)`, or what else `features.labels.read_labels` takes.
        groups: `(n,)`; None where there are none.
        ids: `(n,)`; None where there are none.
    """

    images: SavedArray
    labels: SavedArray
    groups: SavedArray | None = None
    ids: SavedArray | None = None


@dataclass(frozen=True)
class FoundArrays:
    """What an .npz holds.

    Attributes:
        path: of the file.
        splits: the arrays of each split; one without a name is called `train`.
        named: whether the names of arrays say the splits.
        notices: arrays that are passed over.
    """

    path: Path
    splits: Mapping[str, ImageArrays]
    named: bool
    notices: tuple[str, ...]


def find_arrays(text: str, needed: Collection[str] = ("train",)) -> FoundArrays:
    """Find the arrays of `dataset.path` by their names; nothing but headers is read.

    Args:
        text: `dataset.path`.
        needed: splits that must be there, where names of arrays say splits.

    Raises:
        RequestError: it names no such file, or images or labels cannot be found in it; says what there is.
        features.ImportRefused: the file is no .npz, or is damaged.
    """
    path = local_path(text)
    if not text or not path.is_file():
        raise RequestError(
            f"dataset.path must name an .npz file of images and labels. Received: {in_full(path) if text else 'nothing'}"
            f"{', a folder' if text and path.is_dir() else ''}"
        )
    arrays = saved_arrays(path)
    if not arrays[0].name:
        raise RequestError(f"'{path}' is one array, {arrays[0].dtype} {arrays[0].shape}, and says no labels. {_WANTED}")
    roles, others = _roles(path, arrays)
    named = any(roles.keys() - {""})
    if named and "" in roles:
        if "train" in roles:
            raise _unclear(path, arrays, "some arrays name their split and others do not")
        roles["train"] = roles.pop("")
    splits, unlabelled = _complete(path, arrays, roles if named else {"train": roles.get("", {})}, needed)
    return FoundArrays(path, splits, named, (*_passed_over(path, others), *unlabelled))


def _roles(path: Path, arrays: Sequence[SavedArray]) -> tuple[dict[str, dict[str, SavedArray]], list[SavedArray]]:
    """Return the arrays by split (empty: none is said) and role, and those whose names say nothing."""
    roles: dict[str, dict[str, SavedArray]] = {}
    others = []
    for array in arrays:
        found = _NAME.fullmatch(array.name)
        if not found or (found["before"] and found["after"]):
            others.append(array)
            continue
        split = SPLIT_SYNONYMS.get((found["before"] or found["after"] or "").casefold(), "")
        role = _ROLES[found["role"].casefold()]
        first = roles.setdefault(split, {}).setdefault(role, array)
        if first is not array:
            raise _unclear(path, arrays, f"'{first.name}' and '{array.name}' both say {role}")
    return roles, others


def _complete(
    path: Path, arrays: Sequence[SavedArray], roles: Mapping[str, Mapping[str, SavedArray]], needed: Collection[str]
) -> tuple[dict[str, ImageArrays], tuple[str, ...]]:
    """Return the splits that have images and labels, and what is to be said of images without."""
    splits, unlabelled = {}, []
    for split in ("train", "validation", "test"):
        own = roles.get(split, {})
        if "images" in own and "labels" not in own and split != "train":
            unlabelled.append(f"Data: '{own['images'].name}' of {path.name} has no labels, so its images are left out.")
        elif own or split in needed:
            if lacking := [role for role in ("images", "labels") if role not in own]:
                where = f" of the {split} split" if set(roles) != {"train"} else ""
                raise _unclear(path, arrays, f"there are no {' and no '.join(lacking)}{where}")
            splits[split] = ImageArrays(**own)
            _require_rows(splits[split])
    if not splits:
        raise _unclear(path, arrays, "there are no images that have labels")
    return splits, tuple(unlabelled)


def _require_rows(own: ImageArrays) -> None:
    for array in (own.images, own.labels, own.groups, own.ids):
        if array is not None:
            array.require_rows()
            if array.shape[0] != own.images.shape[0]:
                raise RequestError(
                    f"Each image needs one row of '{array.name}'. Received: {own.images.place} of shape {own.images.shape}, "
                    f"{array.place} of shape {array.shape}"
                )


def _passed_over(path: Path, others: Sequence[SavedArray]) -> tuple[str, ...]:
    if not others:
        return ()
    names = enumerated(repr(array.name) for array in others)
    return (f"Data: these arrays of {path.name} are neither images nor labels, and are passed over: {names}.",)


def _unclear(path: Path, arrays: Sequence[SavedArray], why: str) -> RequestError:
    return RequestError(f"'{path}': {why}. It has: {enumerated(map(str, arrays))}. {_WANTED}")
