"""What a folder or a table says is there, before any file is opened."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bottleneck_features.pipeline.datasets.decoding import ENDINGS
from bottleneck_features.pipeline.datasets.scan import printable
from bottleneck_features.pipeline.errors import RequestError

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "validation", "valid", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
IGNORED = ("__macosx", "thumbs.db", "desktop.ini")


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
        noted: what is left out without being wrong, such as files no row names.
    """

    root: Path
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...] = ()
    noted: tuple[Problem, ...] = ()


def natural_key(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Return what names are sorted by so that `class 2` comes before `class 10`."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts], name


def list_folder(path: str, group: str = "") -> Listing:
    """List `root/<class>/…`, or `root/{train,val,test}/<class>/…`; a class may have folders of its own.

    Args:
        path: the root.
        group: a regular expression on the path; its first group, or the whole match, names an image's group.

    Returns:
        The `Listing`. Hidden files, `__MACOSX` and what systems leave behind are not in it.

    Raises:
        RequestError: the root is no such folder, or the expression is none or does not fit a path.
    """
    root = _existing_folder(path)
    entries: list[Entry] = []
    problems: list[Problem] = []
    misplaced: list[Problem] = []
    for split, folder in _split_folders(root):
        inside, outside = _children(folder)
        misplaced += [_misplaced(root, file) for file in outside if file.suffix.lower() in ENDINGS]
        for class_folder in inside:
            files, wrong = walk(root, class_folder)
            problems += wrong
            entries += [Entry(file, class_folder.name, split) for file in files]
    if not entries:
        raise RequestError(f"{_nothing_in(root, misplaced)} {LAYOUTS}")
    if len({entry.label for entry in entries}) == 1:
        _refuse_a_class_of_classes(root, entries)
    entries.sort(key=lambda entry: entry.path)
    return Listing(root, tuple(_grouped(entries, group)), (*misplaced, *problems))


def _nothing_in(root: Path, misplaced: list[Problem]) -> str:
    if not misplaced:
        return f"There is no image in '{root}'."
    return (
        f"'{root}' holds {len(misplaced):,} images, such as '{misplaced[0].path}', but no folder of a class with images in it; "
        "one folder a class is expected."
    )


LAYOUTS = (
    "Put images into <folder>/<class>/… or <folder>/{train,val,test}/<class>/…, and give that folder as dataset.path."
)


def _existing_folder(path: str) -> Path:
    if not path:
        raise RequestError(
            "dataset.path is missing: give your folder of images by --set dataset.path=/where/it/is. " + LAYOUTS
        )
    root = Path(path).expanduser()
    if root.is_file():
        raise RequestError(f"dataset.path must be a folder; archives are not unpacked. Received: '{root}'")
    if not root.is_dir():
        raise RequestError(f"There is no folder {in_full(root)}. {LAYOUTS}")
    return root.resolve()


def in_full(path: Path) -> str:
    """Return a path in quotes, a relative one with the absolute path it stands for."""
    if path.is_absolute():
        return f"'{path}'"
    return f"'{path}', which is '{path.absolute()}' (relative to where the command was started)"


def _children(folder: Path) -> tuple[list[Path], list[Path]]:
    """The class or split folders in a folder, and the files beside them."""
    try:
        kept = sorted(child for child in folder.iterdir() if not ignored(child.name))
    except OSError as error:
        raise RequestError(f"'{printable(str(folder))}' cannot be listed ({error.strerror}).") from error
    folders = [child for child in kept if child.is_dir()]
    for child in folders:
        shown = printable(str(child))
        if shown != str(child):
            raise RequestError(f"The name of the folder '{shown}' is not UTF-8. Rename it.")
        if child.is_symlink() and not child.resolve().is_relative_to(folder):
            raise RequestError(f"'{shown}' is a symbolic link that leaves '{folder}'. Put the folder itself there.")
    return folders, [child for child in kept if not child.is_dir()]


def ignored(name: str) -> bool:
    """Whether a file or folder is one that nobody means: hidden, or left behind by a system."""
    return name.startswith(".") or name.lower() in IGNORED


def _split_folders(root: Path) -> list[tuple[str, Path]]:
    folders, _ = _children(root)
    splits = [(SPLITS.get(folder.name.lower(), ""), folder) for folder in folders]
    names = [split for split, _ in splits if split]
    if "train" not in names:
        _refuse_a_level_too_high(root, folders)
        return [("", root)]
    strangers = [folder.name for split, folder in splits if not split]
    if strangers and not any(_children(folder)[0] for split, folder in splits if split == "train"):
        return [("", root)]  # a class that is called train
    if strangers or len(set(names)) < len(names):
        raise RequestError(
            f"'{root}' holds {', '.join(folder.name for folder in folders)}: one folder a split (train, val, test) or one "
            "folder a class, not both, and none twice. Move the others away."
        )
    return splits


def _refuse_a_level_too_high(root: Path, folders: list[Path]) -> None:
    for folder in folders:
        if (folder / "train").is_dir() and any((folder / name).is_dir() for name in SPLITS if name != "train"):
            raise RequestError(
                f"'{root}' is a level too high: '{folder.name}' in it has a train folder and others. "
                f"Give dataset.path={folder}"
            )


def _refuse_a_class_of_classes(root: Path, entries: list[Entry]) -> None:
    """Say where the classes are if all images are in one folder of folders."""
    images = [Path(entry.path).parts for entry in entries if Path(entry.path).suffix.lower() in ENDINGS]
    inside = sorted({parts[1] for parts in images if len(parts) > 2})
    if len({parts[0] for parts in images}) == 1 and len(inside) > 1 and not entries[0].split:
        names = ", ".join(repr(name) for name in inside[:3]) + (", …" if inside[3:] else "")
        raise RequestError(
            f"There is only one class in '{root}': {images[0][0]!r}. Its {len(inside):,} folders {names} look like classes: "
            f"give dataset.path={root / images[0][0]}"
        )


def walk(root: Path, folder: Path) -> tuple[list[str], list[Problem]]:
    """Return the files in a folder and in those below it, relative to `root`, and what cannot be looked into.

    Hidden files and what systems leave behind are passed over; links to folders are not followed.
    """
    files: list[str] = []
    problems: list[Problem] = []

    def not_listed(error: OSError) -> None:
        problems.append(Problem(printable(str(error.filename)), f"it cannot be listed ({error.strerror})"))

    for where, folders, names in os.walk(folder, onerror=not_listed):
        inside = Path(where).relative_to(root)
        wrong = {name: _wrong_folder(Path(where) / name) for name in folders if not ignored(name)}
        problems += [Problem(printable((inside / name).as_posix()), reason) for name, reason in wrong.items() if reason]
        folders[:] = sorted(name for name, reason in wrong.items() if not reason)
        files += [(inside / name).as_posix() for name in names if not ignored(name)]
    return files, problems


def _wrong_folder(folder: Path) -> str:
    if folder.is_symlink():
        return "a symbolic link to a folder, which is not followed"
    return "a folder with the name of an image" if folder.suffix.lower() in ENDINGS else ""


def _misplaced(root: Path, file: Path) -> Problem:
    return Problem(printable(file.relative_to(root).as_posix()), "it is in no class folder")


def group_pattern(expression: str) -> re.Pattern[str]:
    """Return `dataset.group` as a regular expression.

    Raises:
        RequestError: it is none.
    """
    try:
        return re.compile(expression)
    except re.error as error:
        raise RequestError(f"dataset.group is no regular expression ({error}). Received: {expression!r}") from error


def group_of(path: str, pattern: re.Pattern[str]) -> str:
    """Return the group of a path: the expression's first `(…)`, or the whole match.

    Raises:
        RequestError: it does not match, or matches nothing.
    """
    match = pattern.search(path)
    found = (match[1] if pattern.groups else match[0]) if match else None
    if not found:
        raise RequestError(
            f"dataset.group={pattern.pattern!r} finds nothing in '{printable(path)}'. It must match every path; its first "
            "(…) is the group."
        )
    return found


def _grouped(entries: Iterable[Entry], expression: str) -> list[Entry]:
    if not expression:
        return list(entries)
    pattern = group_pattern(expression)
    return [Entry(entry.path, entry.label, entry.split, group_of(entry.path, pattern)) for entry in entries]
