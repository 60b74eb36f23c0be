"""A folder of classes as a data set: `root/<class>/…`, or `root/{train,val,test}/<class>/…`."""

import os
from dataclasses import replace
from pathlib import Path

from bottleneck_features.pipeline.datasets.decoding import ENDINGS
from bottleneck_features.pipeline.datasets.folder_convention import (
    SPLIT_SYNONYMS,
    FolderConvention,
    groups_of,
    role_of_folders,
)
from bottleneck_features.pipeline.datasets.image_dataset import ImageDataset
from bottleneck_features.pipeline.datasets.listing import Entry, Listing, Problem, ignored, in_full, printable
from bottleneck_features.pipeline.datasets.sources.image_files import open_listing
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment

LAYOUTS = (
    "Put images into <folder>/<class>/… or <folder>/{train,val,test}/<class>/…, and give that folder as dataset.path."
)


def open_folder(experiment: Experiment, home: Path) -> ImageDataset:
    """Open `dataset.path` as a folder of classes.

    Args:
        experiment: its `dataset` and `input` sections.
        home: the artifacts folder; files that cannot be used are listed in `runs/<experiment>/quarantine.csv`.

    Raises:
        RequestError: the folder or a setting cannot be right.
        PipelineError: more files than `dataset.error_limit` cannot be used, or any with `on_error = "fail"`.
    """
    return open_listing(experiment, home, list_folder(experiment.dataset.path, experiment.dataset.group))


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
    parents, convention = _parents_of_classes(root)
    for parent in parents:
        inside, outside = _children(parent)
        misplaced += [_misplaced(root, file) for file in outside if file.suffix.lower() in ENDINGS]
        for class_folder in inside:
            files, wrong = walk(root, class_folder)
            problems += wrong
            entries += [Entry(file, convention.class_of(file), convention.split_of(file)) for file in files]
    if not entries:
        raise RequestError(f"{_nothing_in(root, misplaced)} {LAYOUTS}")
    if len({entry.label for entry in entries}) == 1:
        _refuse_a_class_of_classes(root, entries)
    entries.sort(key=lambda entry: entry.path)
    if group:
        groups = groups_of((entry.path for entry in entries), group)
        entries = [replace(entry, group=found) for entry, found in zip(entries, groups, strict=True)]
    return Listing(root, tuple(entries), (*misplaced, *problems))


def _nothing_in(root: Path, misplaced: list[Problem]) -> str:
    if not misplaced:
        return f"There is no image in '{root}'."
    return (
        f"'{root}' holds {len(misplaced):,} images, such as '{misplaced[0].path}', but no folder of a class with images in it; "
        "one folder a class is expected."
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


def _children(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the class or split folders in a folder, and the files beside them."""
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


def _parents_of_classes(root: Path) -> tuple[list[Path], FolderConvention]:
    """Return the folders in which the classes are, the splits or the root, and how paths in them are read."""
    folders, _ = _children(root)
    names = [folder.name for folder in folders]
    role = role_of_folders(names, lambda name: bool(_children(root / name)[0]))
    splits = [SPLIT_SYNONYMS.get(name.lower()) for name in names]
    if role == "mixed" or (role == "splits" and len(set(splits)) < len(splits)):
        raise RequestError(
            f"'{root}' holds {', '.join(names)}: one folder a split (train, val, test) or one "
            "folder a class, not both, and none twice. Move the others away."
        )
    if "train" not in splits:
        _refuse_a_level_too_high(root, folders)
    return (folders if role == "splits" else [root]), FolderConvention(0, role == "splits")


def _refuse_a_level_too_high(root: Path, folders: list[Path]) -> None:
    for folder in folders:
        if (folder / "train").is_dir() and any((folder / name).is_dir() for name in SPLIT_SYNONYMS if name != "train"):
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
