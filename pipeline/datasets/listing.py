"""What a folder or a table says is there, before any file is opened."""

import os
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from bottleneck_features.pipeline.datasets.pixels.file_kinds import ENDINGS

NO_LABEL = "it has no label"  # why an image is left for `predict`
IGNORED = (
    "__macosx", "thumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found",
)  # fmt: skip
NO_IMAGES = frozenset(
    (
        ".aae", ".caption", ".cfg", ".cls", ".csv", ".db", ".htm", ".html", ".ini", ".ipynb", ".json", ".jsonl", ".log", ".lst",
        ".mat", ".md", ".ndjson", ".pts", ".py", ".rst", ".sh", ".toml", ".tsv", ".txt", ".xml", ".xmp", ".yaml", ".yml",
    )
)  # fmt: skip
NO_IMAGE_NAMES = frozenset(
    ("authors", "changelog", "citation", "copying", "licence", "license", "makefile", "notice", "readme")
)


@dataclass(frozen=True)
class Entry:
    """One image the data name.

    Attributes:
        path: relative to the root, with `/`; also the sample's id.
        label: the name of its class.
        split: `train`, `validation`, `test`, or empty where the data do not say.
        group: images of the same group are never parted; empty where there are no groups.
        row: of the table, counting its header as 1; 0 in a folder.
    """

    path: str
    label: str
    split: str = ""
    group: str = ""
    row: int = 0


@dataclass(frozen=True)
class Problem:
    """Something that cannot be used, and why; `row` is 0 where there is no table."""

    path: str
    reason: str
    row: int = 0


@dataclass(frozen=True)
class Listing:
    """All that a folder or a table names.

    Attributes:
        root: the folder the paths are relative to.
        entries: what may be an image; no path twice, sorted by path.
        problems: what cannot be used.
        left_out: what is left out without being wrong, such as files no row names.
        unlabelled: images of which nothing says what they show, in places where that is usual.
        empty_classes: names of classes without any image.
        notices: sentences a reader of any number from these data must know.
        unit: what a problem is one of: `rows`, `files` or `files and folders`; of archives `images`.
        group_candidates: columns that look like groups.
    """

    root: Path
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...] = ()
    left_out: tuple[Problem, ...] = ()
    unlabelled: tuple[Problem, ...] = ()
    empty_classes: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    unit: str = "files"
    group_candidates: tuple[str, ...] = ()


def natural_key(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Return what names are sorted by so that `class 2` comes before `class 10`."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts], name


def ignored(name: str) -> bool:
    """Whether a file or folder is one that nobody means: hidden, or left behind by a system."""
    return name.startswith(".") or name.lower() in IGNORED


def beside_images(name: str) -> bool:
    """Whether a file is of a kind that comes beside images, and never is one: notes, annotations, tables."""
    return posixpath.splitext(name)[1].lower() in NO_IMAGES or name.lower() in NO_IMAGE_NAMES


def looks_like_image(path: str) -> bool:
    """Whether the name of a file that is not `beside_images` is an image's: with the ending of one, or without any."""
    return posixpath.splitext(path)[1].lower() in ("", *ENDINGS)


def printable(path: str) -> str:
    r"""Return a path as it can be shown and written: bytes that are no UTF-8 as `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
