"""Whether folders of images are splits or classes, found out from the paths of all of them."""

import posixpath
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.labels.reading import plain_label
from bottleneck_features.pipeline.datasets.layout import refusals
from bottleneck_features.pipeline.datasets.layout.convention import UNLABELLED, FolderConvention
from bottleneck_features.pipeline.datasets.layout.refusals import Location, counted, listed
from bottleneck_features.pipeline.datasets.layout.split_names import splits_said
from bottleneck_features.pipeline.datasets.layout.tree import ImageFolder, plain_name, tree_of
from bottleneck_features.pipeline.datasets.listing import looks_like_image

PICTURES = frozenset(
    ("all", "data", "dataset", "images", "image", "imgs", "img", "jpegimages", "jpg", "png", "pictures", "photos")
)
MASKS = frozenset(
    (
        "annotations", "labels", "mask", "masks", "gt", "groundtruth", "ground_truth", "segmentation", "segmentations",
        "segmentationclass", "segmentationobject", "trimaps",
    )
)  # fmt: skip
SPLITS = ("train", "validation", "test", UNLABELLED)
NO_CLASS = PICTURES | {"unknown", "unlabelled", "unlabeled", "unclassified", "none"}


def convention_of(paths: Iterable[str], settings: DatasetSettings, where: Location) -> FolderConvention:
    """Find out how the paths of images are to be read, where folders say what they show.

    Args:
        paths: of the images, relative to the root, with `/`.
        settings: `splits` and `class_level`.
        where: the folder, or the archives.

    Raises:
        RequestError: a setting names what is not there, or it cannot be told what are splits and classes.
    """
    tree = _tree(paths)
    base = tree if where.root else _below_shared(tree)
    where = replace(where, shared=base.depth)
    asked = _asked_splits(tree, settings, where)
    if bases := asked or _recognised_splits(base):
        return replace(_splits(tree, bases, settings.class_level, where), asked=bool(asked))
    if settings.class_level:
        return _classes_at(tree, settings.class_level, where)
    _refuse_splits(base, where)
    return _classes(base, where)


def split_convention_of(paths: Iterable[str], settings: DatasetSettings, where: Location) -> FolderConvention:
    """Find out which folders are splits, where something else says what the images show; otherwise as `convention_of`."""
    tree = _tree(paths)
    base = _below_shared(tree)
    asked = bases = _asked_splits(tree, settings, where)
    said = splits_said(base.folders)
    if not bases and "train" in said.values():
        if _recognised_splits(base) or len(said) == len(base.folders):
            bases = {base.folders[name].path: split for name, split in said.items() if split != UNLABELLED}
        else:
            _refuse_splits(base, where)
    return FolderConvention(bases or {"": ""}, asked=bool(asked))


def _tree(paths: Iterable[str]) -> ImageFolder:
    """Return the tree of what is named like an image; where nothing is, of all that may be one."""
    named, every = Counter[str](), Counter[str]()
    for path in paths:
        folder = posixpath.dirname(path)
        every[folder] += 1
        named[folder] += looks_like_image(path)
    return tree_of(+named or every)


def _below_shared(tree: ImageFolder) -> ImageFolder:
    """Return the folder below the ones that all images share; the last that they share is a class or a split."""
    found = tree
    while (inner := found.only) and inner.folders and not inner.images and not splits_said([inner.name]):
        found = inner
    return found


def _asked_splits(tree: ImageFolder, settings: DatasetSettings, where: Location) -> dict[str, str]:
    """Return the splits that the settings name, by the paths of their folders."""
    bases: dict[str, str] = {}
    for split in ("train", "validation", "test"):
        given = getattr(settings.splits, split)
        if not given:
            continue
        folder = tree.find(_relative(given, where.root))
        if folder is None or not folder.total:
            raise refusals.no_such_split(where, split, given, tree)
        for other in bases:
            if _is_within(folder.path, other) or _is_within(other, folder.path):
                raise refusals.splits_in_one_another(other or ".", folder.path or ".")
        bases[folder.path] = split
    return bases


def _is_within(path: str, folder: str) -> bool:
    return not folder or f"{path}/".startswith(f"{folder}/")


def _relative(given: str, root: Path | None) -> str:
    path = posixpath.normpath(given.replace("\\", "/"))
    if root and posixpath.isabs(path) and Path(path).is_relative_to(root):
        return Path(path).relative_to(root).as_posix()
    return path


def _recognised_splits(base: ImageFolder) -> dict[str, str]:
    """Return the splits, by the paths of their folders, where all folders are such and nothing is in doubt."""
    said = splits_said(base.folders)
    times = Counter(split for split in said.values() if split != UNLABELLED)
    if len(said) < len(base.folders) or times["train"] != 1 or max(times.values()) > 1:
        return {}
    train = next(base.folders[name] for name, split in said.items() if split == "train")
    return {base.folders[name].path: split for name, split in said.items()} if _inner(train).folders else {}


def _inner(split: ImageFolder, classes: Collection[str] = ()) -> ImageFolder:
    """Return the folder that holds what a split does: it, or the only one in it, whose name says nothing of its own."""
    found = split
    while (inner := found.only) and plain_name(inner.name) not in classes:
        if plain_name(inner.name) not in NO_CLASS | {plain_name(found.name)}:
            break
        found = inner
    return found


def _splits(tree: ImageFolder, bases: Mapping[str, str], class_level: int, where: Location) -> FolderConvention:
    folders = {path: tree.find(path) or tree for path in bases}
    level = class_level or 1
    train = _inner(next(folders[path] for path, split in bases.items() if split == "train"))
    if not train.folders:
        raise refusals.asked_split_without_classes(train)
    if train.levels < level:
        raise refusals.level_too_deep(level, train, where)
    classes = list(train.at_level(level))
    names = {plain_name(folder.name) for folder in classes}
    inner = {path: _inner(folder, names) for path, folder in folders.items()}
    bare = {path for path, split in bases.items() if split == UNLABELLED or inner[path].levels < level}
    read = {inner[path].path: UNLABELLED if path in bare else split for path, split in bases.items()}
    notices = [_without_labels(inner[path], bases[path]) for path in bases if path in bare]
    notices += _joined(classes) if class_level else _doubts(train, Location(where.name), train.depth)
    return FolderConvention(read, level, notices=tuple(notices))


def _without_labels(folder: ImageFolder, split: str) -> str:
    why = "is called as unlabelled images are" if split == UNLABELLED else "has no class folders"
    return f"Data: '{refusals.printable(folder.path)}' {why}, so its {folder.total:,} images have no label."


def _classes_at(tree: ImageFolder, level: int, where: Location) -> FolderConvention:
    if tree.levels < level:
        raise refusals.level_too_deep(level, tree, where)
    return FolderConvention({"": ""}, level, notices=_joined(list(tree.at_level(level))))


def _joined(classes: Collection[ImageFolder]) -> tuple[str, ...]:
    """Name the classes that several folders make up."""
    parents = defaultdict(list)
    for folder in classes:
        parents[plain_label(folder.name)].append(folder.path)
    several = {name: paths for name, paths in parents.items() if len(paths) > 1}
    if not several:
        return ()
    name, paths = next(iter(several.items()))
    return (
        f"Data: folders of the same name are one class: {listed(several)}; '{refusals.printable(name)}' is {listed(paths)}.",
    )


def _refuse_splits(base: ImageFolder, where: Location) -> None:
    """Refuse folders that are called as splits are, and are neither splits nor, as it seems, classes."""
    said = splits_said(base.folders)
    others = [folder for name, folder in base.folders.items() if name not in said]
    named: dict[str, list[ImageFolder]] = defaultdict(list)
    for name, split in said.items():
        named[split].append(base.folders[name])
    every = [folder for split in SPLITS for folder in named.get(split, ())]
    usable = {split: named[split][0] for split in SPLITS if split in named and split != UNLABELLED}
    with_classes = [folder for folder in every if said[folder.name] != UNLABELLED and _inner(folder).folders]
    if not said or (not with_classes and others and len(usable) < 2):
        return
    if not with_classes and ("train" in named or not others):
        raise refusals.splits_without_classes(where, every)
    if "train" not in named and others and not any(folder.folders for folder in others):
        raise refusals.classes_beside_splits(where, usable, others)
    if "train" not in named:
        raise refusals.no_training_split(where, every, _with_a_training_split(usable, others))
    if others:
        raise refusals.splits_beside_others(where, usable, others)
    for split, folders in named.items():
        if len(folders) > 1 and split != UNLABELLED:
            raise refusals.same_split_twice(where, split, folders, usable)
    raise refusals.splits_without_classes(where, named["train"])


def _with_a_training_split(
    usable: Mapping[str, ImageFolder], others: Collection[ImageFolder]
) -> dict[str, ImageFolder]:
    """Return splits with the folder that may hold the training images: another one, else the largest of them."""
    candidates = [folder for folder in others if folder.folders] or usable.values()
    train = max(candidates, key=lambda folder: folder.total)
    return {"train": train, **{split: folder for split, folder in usable.items() if folder is not train}}


def _classes(base: ImageFolder, where: Location) -> FolderConvention:
    """Take the folders as classes, but those called unlabelled."""
    if not base.folders:
        if base.images:
            raise refusals.not_in_folders(where, base)
        return FolderConvention({"": ""})
    said = splits_said(base.folders)
    bare = {name: folder for name, folder in base.folders.items() if said.get(name) == UNLABELLED}
    classes = ImageFolder(base.path, base.images, {name: f for name, f in base.folders.items() if name not in bare})
    notices = [
        f"Data: the name of {counted([folder])} says that its images have no label, so they have none; if it is a class, "
        f"give {where.classes_setting}."
        for folder in bare.values()
    ]
    notices += [
        f"Data: '{refusals.printable(name)}' is taken as a class, as the folders beside it are; if it is none, move it away."
        for name in classes.folders
        if said.get(name) == "test" or plain_name(name) in PICTURES | MASKS
    ]
    _refuse_one_folder(classes, where)
    notices += _doubts(classes, where, 0)
    bases = {base.path: "", **{folder.path: UNLABELLED for folder in bare.values()}}
    return FolderConvention(bases, notices=tuple(notices))


def _refuse_one_folder(base: ImageFolder, where: Location) -> None:
    """Say where the splits or classes are that a folder too high was given for."""
    for folder in base.folders.values():
        inner = _below_shared(folder)
        splits = {split: inner.find(posixpath.basename(path)) for path, split in _recognised_splits(inner).items()}
        if len(splits) > (len(base.folders) > 1):
            raise refusals.level_too_high(
                where, inner, {split: f for split, f in splits.items() if f and split != UNLABELLED}
            )
    if len(base.folders) > 1:
        return
    only = next(iter(base.folders.values()))
    inner = _below_shared(only)
    _refuse_splits(inner, replace(where, shared=inner.depth))
    if len(inner.folders) > 1 and not inner.images:
        raise refusals.class_of_classes(where, only, inner)


def _doubts(base: ImageFolder, where: Location, above: int) -> tuple[str, ...]:
    """Return hints where folders of classes hold folders that may be the classes, and refuse what hardly is any.

    `above` is how many folders above the classes `dataset.class_level` does not count.
    """
    folders = list(base.folders.values())
    if _pictures_and_masks(base.folders):
        raise refusals.pictures_and_masks(where, folders)
    nested = {folder.name: _inner(folder) for folder in folders if folder.folders and not folder.images}
    several = [folder for folder in nested.values() if len(folder.folders) > 1]
    level = max((folder.depth for folder in several), default=1) + 1 - above
    shared = _shared(several)
    _refuse_shared(several, shared, where, level)
    flat = [folder for folder in folders if not folder.folders]
    if len(several) == len(flat) == 1 and len(folders) == 2:
        raise refusals.folder_of_classes_beside_images(where, several[0], flat[0])
    if not several:
        return ()
    inside = listed([name for folder in several for name in folder.folders][:4])
    names = listed(folder.path for folder in several)
    if len(nested) < len(folders):
        return (
            f"Data: the folders {names} hold folders of images, {inside}, and are taken as one class each, like the folders "
            f"beside them. If that is right, {where.classes_setting} says so; if not, give each class a folder of its own.",
        )
    joined = f" Folders of the same name would be one class: {listed(shared)}." if shared else ""
    return (
        f"Data: the folders {names} are taken as classes, but hold folders of images, {inside}, which look like classes. If "
        f"those are the classes, give dataset.class_level={level}.{joined} If they are sessions or patients, keep each in one "
        f"split with dataset.group, or say {where.classes_setting}.",
    )


def _pictures_and_masks(names: Collection[str]) -> bool:
    """Whether names of folders are those of pictures and of their masks, and of nothing else."""
    plain = {plain_name(name) for name in names}
    return bool(plain & PICTURES and plain & MASKS and plain <= PICTURES | MASKS)


def _shared(folders: Collection[ImageFolder]) -> list[str]:
    """Return the names of folders that several folders hold."""
    times = Counter(plain_label(name) for folder in folders for name in folder.folders)
    return [name for name, count in times.items() if count > 1]


def _refuse_shared(folders: Collection[ImageFolder], shared: Collection[str], where: Location, level: int) -> None:
    """Refuse folders that have more than one folder in common: they are no classes, or hold no classes' images alone."""
    if len(set(splits_said(shared).values())) > 1:
        raise refusals.splits_inside_classes(where, folders)
    sharing = [folder for folder in folders if sum(plain_label(name) in shared for name in folder.folders) > 1]
    if len(sharing) < max(2, len(folders) / 2):
        return
    if _pictures_and_masks(shared):
        raise refusals.masks_inside_classes(where, sharing, shared)
    raise refusals.shared_folders(where, sharing, shared, level)
