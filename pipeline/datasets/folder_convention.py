"""What the folders of an image's path say, on a disk and in archives alike: its split, its class and its group."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bottleneck_features.pipeline.datasets.listing import printable
from bottleneck_features.pipeline.errors import RequestError

SPLIT_SYNONYMS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "validation", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True)
class FolderConvention:
    """How a path is read: `<class>/…/<file>` or `<split>/<class>/…/<file>`, perhaps below folders that all images share.

    Attributes:
        above: how many leading folders are those of all images and say nothing.
        splits: whether the next one names the split.
    """

    above: int
    splits: bool

    def split_of(self, path: str) -> str:
        """Return the split that a path says; empty where none does."""
        folders = path.split("/")[self.above : -1]
        return SPLIT_SYNONYMS.get(folders[0].lower(), "") if self.splits and folders else ""

    def class_of(self, path: str) -> str:
        """Return the class folder of a path; empty where there is none."""
        folders = path.split("/")[self.above + self.splits : -1]
        return folders[0] if folders else ""


def role_of_folders(
    folders: Collection[str], has_folders: Callable[[str], bool]
) -> Literal["splits", "classes", "mixed"]:
    """Return what the folders that lie side by side stand for.

    Args:
        folders: their names.
        has_folders: says whether there are folders in the one of a name; asked where a class may be called train.

    Returns:
        `splits`, `classes`, or `mixed` where folders of splits have others beside them.
    """
    splits = {folder: SPLIT_SYNONYMS.get(folder.lower()) for folder in folders}
    if "train" not in splits.values():
        return "classes"
    if all(splits.values()):
        return "splits"
    return "mixed" if any(has_folders(folder) for folder in folders if splits[folder] == "train") else "classes"


def convention_of(paths: Iterable[str]) -> FolderConvention:
    """Find out how the paths of images in archives are to be read.

    Raises:
        RequestError: there are folders of splits and others beside them.
    """
    parents = list(dict.fromkeys(tuple(path.split("/")[:-1]) for path in paths))
    above = 0
    while (folder := _shared(parents, above)) and folder.lower() not in SPLIT_SYNONYMS:
        if _shared(parents, above + 1) is None:
            break
        above += 1
    folders: dict[str, bool] = {}
    for parent in parents:
        if len(parent) > above:
            folders[parent[above]] = folders.get(parent[above], False) or len(parent) > above + 1
    role = role_of_folders(folders, folders.__getitem__)
    if role == "mixed":
        stranger = next(folder for folder in folders if folder.lower() not in SPLIT_SYNONYMS)
        raise RequestError(
            f"The archives hold a train folder and, beside it, '{stranger}': one folder a split (train, val, test) or one "
            "folder a class, not both."
        )
    return FolderConvention(above, role == "splits")


def groups_of(paths: Iterable[str], expression: str) -> Iterator[str]:
    """Give the group that a regular expression finds in each path: its first `(…)`, or the whole match.

    Raises:
        RequestError: it is none, does not match a path, or matches nothing in it.
    """
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise RequestError(f"dataset.group is no regular expression ({error}). Received: {expression!r}") from error
    for path in paths:
        match = pattern.search(path)
        found = (match[1] if pattern.groups else match[0]) if match else None
        if not found:
            raise RequestError(
                f"dataset.group={expression!r} finds nothing in '{printable(path)}'. It must match every path; its first "
                "(…) is the group."
            )
        yield found


def _shared(parents: Iterable[Sequence[str]], depth: int) -> str | None:
    """Return the folder that all have at a depth; empty where they differ; None where one has no folder there."""
    shared = None
    for parent in parents:
        if len(parent) <= depth:
            return None
        if shared not in (None, parent[depth]):
            return ""
        shared = parent[depth]
    return shared
