"""The folders that images lie in, as a tree."""

import posixpath
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ImageFolder:
    """A folder with images in it or below it.

    Attributes:
        path: below the root, with `/`; empty: the root.
        images: how many lie in the folder itself.
        folders: those in it, by their names, sorted.
    """

    path: str = ""
    images: int = 0
    folders: Mapping[str, "ImageFolder"] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return posixpath.basename(self.path)

    @property
    def depth(self) -> int:
        """How many folders its path has."""
        return len(self.path.split("/")) if self.path else 0

    @property
    def total(self) -> int:
        """How many images lie in it and below it."""
        return self.images + sum(folder.total for folder in self.folders.values())

    @property
    def levels(self) -> int:
        """How many folders below it the deepest image is."""
        return max((1 + folder.levels for folder in self.folders.values()), default=0)

    @property
    def only(self) -> "ImageFolder | None":
        """The folder that holds all of its images; None where there is none such."""
        return next(iter(self.folders.values())) if len(self.folders) == 1 and not self.images else None

    def find(self, path: str) -> "ImageFolder | None":
        """Return the folder at a path below this one, however its name writes its accents; None where there is none."""
        found = self
        for name in [part for part in path.split("/") if part not in ("", ".")]:
            alike = (folder for own, folder in found.folders.items() if plain_name(own) == plain_name(name))
            inner = found.folders.get(name) or next(alike, None)
            if inner is None:
                return None
            found = inner
        return found

    def at_level(self, level: int) -> Iterator["ImageFolder"]:
        """Give the folders so many levels below this one."""
        if level == 0:
            yield self
            return
        for folder in self.folders.values():
            yield from folder.at_level(level - 1)


def tree_of(counts: Mapping[str, int]) -> ImageFolder:
    """Return the tree of the folders with these paths, and with so many images in each."""
    return _folder("", {tuple(folder.split("/")) if folder else (): count for folder, count in counts.items()})


def plain_name(name: str) -> str:
    """Return a folder's name in Unicode's normal form C, without regard to case: systems differ in both."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def _folder(path: str, counts: Mapping[tuple[str, ...], int]) -> ImageFolder:
    inside: dict[str, dict[tuple[str, ...], int]] = {}
    for parts, count in counts.items():
        if parts:
            inside.setdefault(parts[0], {})[parts[1:]] = count
    folders = {name: _folder(f"{path}/{name}".lstrip("/"), inside[name]) for name in sorted(inside)}
    return ImageFolder(path, counts.get((), 0), folders)
