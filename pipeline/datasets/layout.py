"""What the folders inside archives say: the split and the class of each image, as in a folder on a disk."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bottleneck_features.pipeline.datasets.columns import mapped
from bottleneck_features.pipeline.datasets.listing import SPLITS, group_of, group_pattern
from bottleneck_features.pipeline.errors import RequestError


@dataclass(frozen=True)
class Layout:
    """How paths inside archives are to be read.

    Attributes:
        above: how many leading folders are those of all images and say nothing.
        splits: whether the next one names the split.
    """

    above: int
    splits: bool

    def split_of(self, path: str) -> str:
        """Return the split that a path says; empty where none does."""
        folders = path.split("/")[self.above : -1]
        return SPLITS.get(folders[0].lower(), "") if self.splits and folders else ""

    def class_of(self, path: str) -> str:
        """Return the class folder of a path; empty where there is none."""
        folders = path.split("/")[self.above + self.splits : -1]
        return folders[0] if folders else ""


def read_layout(paths: np.ndarray) -> Layout:
    """Find out how `(n,)` paths are to be read: `<class>/…`, or `{train,val,test}/<class>/…`, perhaps below other folders.

    Raises:
        RequestError: there are folders of splits and others beside them.
    """
    above = 0
    while (folder := _shared(paths, above)) and folder.lower() not in SPLITS and _shared(paths, above + 1) is not None:
        above += 1
    train = classes = False
    stranger = ""
    for folder, below in _folders(paths, above):
        split = SPLITS.get(folder.lower())
        train |= split == "train"
        classes |= split == "train" and below
        stranger = stranger if split else stranger or folder
    if train and classes and stranger:
        raise RequestError(
            f"The archives hold a train folder and, beside it, '{stranger}': one folder a split (train, val, test) or one "
            "folder a class, not both."
        )
    return Layout(above, train and not stranger)


def groups_of(paths: np.ndarray, expression: str) -> np.ndarray:
    """Return the group that a regular expression finds in each path; `(0,)` without an expression.

    Raises:
        RequestError: the expression is none, or does not fit a path.
    """
    if not expression:
        return paths[:0]
    pattern = group_pattern(expression)
    return mapped(lambda path: group_of(path, pattern), paths)


def _shared(paths: np.ndarray, depth: int) -> str | None:
    """The folder that all paths have at a depth; empty where they differ; None where one has no folder there."""
    shared = None
    for path in paths:
        parts = str(path).split("/")
        if len(parts) < depth + 2:
            return None
        if shared not in (None, parts[depth]):
            return ""
        shared = parts[depth]
    return shared


def _folders(paths: np.ndarray, depth: int) -> Iterator[tuple[str, bool]]:
    """The folder of each path at a depth, and whether there is another one below it."""
    for path in paths:
        parts = str(path).split("/")
        if len(parts) > depth + 1:
            yield parts[depth], len(parts) > depth + 2
        else:
            yield "", False
