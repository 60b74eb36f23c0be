"""The files below a folder, with what is passed over and why."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bottleneck_features.pipeline.datasets.listing import Problem, beside_images, ignored, printable
from bottleneck_features.pipeline.datasets.pixels.file_kinds import ENDINGS

LINK = "a symbolic link, which dataset.follow_links=false does not follow"


@dataclass
class Walk:
    """What lies below a folder; all paths are relative to it, with `/`.

    Attributes:
        files: what may be an image.
        beside: files of kinds that come beside images.
        folders: the folders that were looked into.
        links: those among the files and folders that are links and are not followed.
        unlisted: folders that cannot be looked into.
        passed_over: links that lead back to a folder above them.
        repeated: folders that are also another one, by way of links.
    """

    files: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    links: list[Problem] = field(default_factory=list)
    unlisted: list[Problem] = field(default_factory=list)
    passed_over: list[Problem] = field(default_factory=list)
    repeated: dict[str, str] = field(default_factory=dict)


def walk(root: Path, *, follow_links: bool = True, without: Path | None = None) -> Walk:
    """Look for files in a folder and in those below it.

    Hidden files and what systems leave behind are passed over.

    Args:
        root: the folder; it may be a link itself.
        follow_links: whether links to files and folders stand for what they point to, wherever that is.
        without: a folder that is not looked into, wherever it is.

    Raises:
        OSError: the folder itself cannot be listed.
    """
    found = Walk()
    excluded = _identity(without) if without and without.is_dir() else None
    seen: dict[tuple[int, int], str] = {}
    waiting: list[tuple[str, tuple[tuple[int, int], ...]]] = [("", ())]
    while waiting:
        path, above = waiting.pop()
        try:
            identity = _identity(root / path)
            children = _children(root / path)
        except OSError as error:
            if not path:
                raise
            found.unlisted.append(Problem(printable(path), f"it cannot be listed ({error.strerror})"))
            continue
        if identity == excluded:
            continue
        if identity in above:
            found.passed_over.append(Problem(printable(path), "a symbolic link to a folder above it, which has no end"))
            continue
        if path:
            found.folders.append(path)
            if (first := seen.setdefault(identity, path)) != path:
                found.repeated[path] = first
        inner = list(_inner_folders(found, path, children, follow_links))
        waiting += [(name, (*above, identity)) for name in reversed(inner)]
    return found


def _children(folder: Path) -> "list[os.DirEntry[str]]":
    with os.scandir(folder) as children:
        return sorted((child for child in children if not ignored(child.name)), key=lambda child: child.name)


def _inner_folders(found: Walk, path: str, children: "list[os.DirEntry[str]]", follow_links: bool) -> Iterator[str]:
    """Give the paths of the folders among what lies in a folder, and enter the rest."""
    for child in children:
        name = _joined(path, child.name)
        if child.is_symlink() and not follow_links:
            found.links.append(Problem(printable(name), LINK))
        elif not _is_folder(child):
            (found.beside if beside_images(child.name) else found.files).append(name)
        elif Path(child.name).suffix.lower() in ENDINGS:
            found.unlisted.append(Problem(printable(name), "a folder with the name of an image"))
        else:
            yield name


def _is_folder(child: "os.DirEntry[str]") -> bool:
    try:
        return child.is_dir()
    except OSError:  # a link to itself: reading it says so
        return False


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
