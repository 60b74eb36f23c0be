"""What the folders of an image's path say, on a disk and in archives alike: its split, its class and its group."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from bottleneck_features.pipeline.datasets.listing import printable
from bottleneck_features.pipeline.errors import RequestError

SPLIT_SYNONYMS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "validation", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
UNLABELLED = "unlabelled"  # the split of images of which no folder says what they show


class Place(NamedTuple):
    """What a folder says of the images in it.

    Attributes:
        split: `train`, `validation`, `test`, `UNLABELLED`, or empty where it says none.
        label: the class folder's name; empty where there is none.
    """

    split: str
    label: str


@dataclass(frozen=True)
class FolderConvention:
    """How paths are read: `<base>/<class>/…/<file>`, or with folders between the base and the class.

    Attributes:
        bases: folders with classes in them, and the split of each (empty: none is said); the root is the empty path. Of bases
            inside one another the inner one counts.
        level: how many folders below its base a class folder is; 1: in it.
        asked: whether settings name the bases, so that all else is passed over.
        notices: sentences a reader of any number from these data must know.
    """

    bases: Mapping[str, str]
    level: int = 1
    asked: bool = False
    notices: tuple[str, ...] = ()

    def place_of(self, folder: str) -> Place | None:
        """Return what a folder (a path with `/`) says; None where it is below no base."""
        base = self.base_of(folder)
        if base is None:
            return None
        split, inside = self.bases[base], _below(folder, base)
        label = inside[self.level - 1] if split != UNLABELLED and len(inside) >= self.level else ""
        return Place(split, label)

    def base_of(self, folder: str) -> str | None:
        """Return the base that a folder is, or is below; None where there is none."""
        parts = folder.split("/") if folder else []
        paths = ("/".join(parts[:count]) for count in range(len(parts), -1, -1))
        return next((path for path in paths if path in self.bases), None)

    def is_class_folder(self, folder: str) -> bool:
        """Whether a folder is where the folder of a class of training images has its place."""
        base = self.base_of(folder)
        return base is not None and self.bases[base] in ("", "train") and len(_below(folder, base)) == self.level

    def leads_to_a_base(self, folder: str) -> bool:
        """Whether a base lies below a folder."""
        return any(base.startswith(f"{folder}/" if folder else "") for base in self.bases if base)

    def passed_over(self, folder: str) -> str:
        """Return the highest folder of a path that is neither below a base nor leads to one."""
        parts = folder.split("/")
        paths = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        return next((path for path in paths if not self.leads_to_a_base(path)), folder)


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


def _below(folder: str, base: str) -> list[str]:
    inside = folder.removeprefix(base).strip("/")
    return inside.split("/") if inside else []
