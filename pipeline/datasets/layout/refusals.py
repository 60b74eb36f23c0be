"""What is said of folders that cannot be told to be splits or classes: what was found, and what to type."""

import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bottleneck_features.errors import enumerated, nearest
from bottleneck_features.pipeline.datasets.layout.tree import ImageFolder
from bottleneck_features.pipeline.datasets.listing import printable
from bottleneck_features.pipeline.errors import RequestError

LAYOUTS = (
    "Put images into <folder>/<class>/… or <folder>/{train,val,test}/<class>/…, and give <folder> as dataset.path. "
    "If a table says what each image shows, give the table, with dataset.source=csv."
)


@dataclass(frozen=True)
class Location:
    """Where the folders are.

    Attributes:
        name: of the folder or the archives, as a message names it.
        root: the folder on a disk; None for archives.
        shared: how many folders above the classes all images of archives share.
    """

    name: str
    root: Path | None = None
    shared: int = 0

    @property
    def layouts(self) -> str:
        """Where images are to be put."""
        if self.root:
            return LAYOUTS
        return (
            "An image's label is its class folder in the archive, <class>/… or {train,val,test}/<class>/…, or what a .cls file "
            "beside it says, or the field label of a .json."
        )

    @property
    def classes_setting(self) -> str:
        """The setting that makes the highest folders that differ the classes."""
        return f"dataset.class_level={self.shared + 1}"

    @property
    def as_classes(self) -> str:
        """What to type where folders are classes after all."""
        return f"if these folders are the classes themselves, {self.classes_setting}"

    def path_setting(self, folder: ImageFolder) -> str:
        """Return the setting that makes a folder the root; for archives, the one that makes it the training split."""
        if self.root is None:
            return _setting("splits.train", folder.path)
        return _setting("path", str(self.root / folder.path))


def listed(names: Iterable[str]) -> str:
    """Return names in quotation marks, the first of many."""
    return enumerated(f"'{printable(name)}'" for name in names)


def counted(folders: Collection[ImageFolder]) -> str:
    """Return folders with the number of their images."""
    return enumerated(f"'{printable(folder.path)}' ({folder.total:,} images)" for folder in folders)


def split_settings(folders: Mapping[str, ImageFolder]) -> str:
    """Return the settings that name the folder of each split."""
    given = [(split, folders[split]) for split in ("train", "validation", "test") if split in folders]
    return " ".join(_setting(f"splits.{split}", folder.path) for split, folder in given)


def no_such_split(where: Location, split: str, given: str, tree: ImageFolder) -> RequestError:
    """Of a setting that names no folder with images."""
    names = [folder.path for level in range(1, min(tree.levels, 2) + 1) for folder in tree.at_level(level)]
    close = f" Nearest: {listed(nearest(given, names)[:3])}." if names else ""
    return RequestError(
        f"dataset.splits.{split}={given}: in {where.name} there is no folder '{given}' with images in it. "
        f"Folders with images: {listed(names) or 'none'}.{close}"
    )


def splits_in_one_another(first: str, second: str) -> RequestError:
    """Of two settings that name the same images."""
    return RequestError(
        f"dataset.splits: '{first}' and '{second}' are one folder, or lie in one another, so images would be in two splits. "
        "Give a folder of its own for each."
    )


def level_too_deep(level: int, folder: ImageFolder, where: Location) -> RequestError:
    """Of a class level below all images."""
    base = f"'{printable(folder.path)}'" if folder.path else where.name
    return RequestError(
        f"dataset.class_level={level}: no image lies {level} folders below {base}; the deepest lies {folder.levels} below. "
        f"Give a level from 1 to {folder.levels}."
        if folder.levels
        else f"dataset.class_level={level}: {base} has {folder.images:,} images and no folder of a class. {where.layouts}"
    )


def not_in_folders(where: Location, tree: ImageFolder) -> RequestError:
    """Of images that lie in no folder at all."""
    return RequestError(
        f"{where.name} holds {tree.images:,} images, but no folder of a class with images in it; one folder per class is "
        f"expected. {where.layouts}"
    )


def same_split_twice(
    where: Location, split: str, twice: Collection[ImageFolder], usable: Mapping[str, ImageFolder]
) -> RequestError:
    """Of several folders of one split."""
    return RequestError(
        f"{where.name} has several folders that say the same split, {split}: {counted(twice)}. Name the ones to use: "
        f"{split_settings(usable)}; {where.as_classes}."
    )


def splits_beside_others(
    where: Location, splits: Mapping[str, ImageFolder], others: Collection[ImageFolder]
) -> RequestError:
    """Of folders with images beside those of the splits."""
    classes = set(splits["train"].folders) if "train" in splits else set()
    alike = [folder for folder in others if folder.folders and set(folder.folders) <= classes]
    test = ""
    if alike and "test" not in splits:
        settings = split_settings({**splits, "test": alike[0]})
        test = f"'{alike[0].path}' has the same classes: if it holds test images, give {settings}. "
    return RequestError(
        f"{where.name} has folders that are called as splits are, {counted(splits.values())}, and beside them others with "
        f"images: {counted(others)}. {test}To pass the others over, give {split_settings(splits)}; {where.as_classes}."
    )


def no_training_split(
    where: Location, splits: Collection[ImageFolder], usable: Mapping[str, ImageFolder]
) -> RequestError:
    """Of validation or test images without training images."""
    return RequestError(
        f"{where.name} has folders that are called as splits are, {counted(splits)}, but no train folder beside them. Name "
        f"the folder of the training images, such as {split_settings(usable)}; {where.as_classes}."
    )


def classes_beside_splits(
    where: Location, splits: Mapping[str, ImageFolder], classes: Collection[ImageFolder]
) -> RequestError:
    """Of folders that may be the classes of training images, beside validation or test images."""
    return RequestError(
        f"{where.name} has folders that are called as splits are, {counted(splits.values())}, but no train folder beside them, "
        f"only {counted(classes)}. If these are the classes of the training images, move them into a folder train and give "
        f"dataset.splits.train=train {split_settings(splits)}; {where.as_classes}."
    )


def splits_without_classes(where: Location, flat: Collection[ImageFolder]) -> RequestError:
    """Of training images in no class folders."""
    example = f"{printable(next(iter(flat)).path)}/<class>/…".lstrip("/")
    return RequestError(
        f"The folders of the splits in {where.name} have no class folders in them: {counted(flat)}. If a table says what the "
        f"images show, give it: dataset.source=csv with the table as dataset.path; else put the images into '{example}'; "
        f"{where.as_classes}."
    )


def asked_split_without_classes(train: ImageFolder) -> RequestError:
    """Of a folder of training images that is given, and has no class folders."""
    return RequestError(
        f"dataset.splits.train: '{printable(train.path) or '.'}' holds {train.images:,} images, but no class folders. If a table "
        "says what the images show, give it: dataset.source=csv with the table as dataset.path; else put the images into "
        f"'{f'{printable(train.path)}/'.lstrip('/')}<class>/…'."
    )


def splits_inside_classes(where: Location, classes: Collection[ImageFolder]) -> RequestError:
    """Of classes that hold the splits, instead of splits that hold the classes."""
    first = next(iter(classes))
    example = f"{printable(next(iter(first.folders)))}/{printable(first.name)}/…"
    return RequestError(
        f"In {where.name} the folders {counted(classes)} hold splits, {listed(first.folders)}. Splits are read above the "
        f"classes: move the images into '{example}', or give a table with dataset.source=csv and dataset.split_column. To take "
        f"all images of a folder together, whatever their split, give {where.classes_setting}."
    )


def masks_inside_classes(where: Location, classes: Collection[ImageFolder], shared: Collection[str]) -> RequestError:
    """Of classes that hold pictures and their masks."""
    return RequestError(
        f"In {where.name} the folders {counted(classes)} hold folders of the same names, {listed(shared)}, as pictures and "
        f"their masks are called. Move away what is no picture; to take the images of all of them, give {where.classes_setting}."
    )


def level_too_high(where: Location, folder: ImageFolder, splits: Mapping[str, ImageFolder]) -> RequestError:
    """Of splits in one of the folders."""
    setting = where.path_setting(folder) if where.root else split_settings(splits)
    return RequestError(
        f"{where.name} is a level too high: '{printable(folder.path)}' in it has a train folder and others. Give {setting}"
    )


def class_of_classes(where: Location, only: ImageFolder, inner: ImageFolder) -> RequestError:
    """Of a single folder that holds folders of images."""
    return RequestError(
        f"There is only one class in {where.name}: '{printable(only.name)}'. The {len(inner.folders):,} folders "
        f"{listed(list(inner.folders)[:3])} in it look like classes: give {where.path_setting(inner)}"
    )


def shared_folders(
    where: Location, folders: Collection[ImageFolder], shared: Collection[str], level: int
) -> RequestError:
    """Of folders side by side with the same folders in them: folds, sites, or splits of other names."""
    first = max(folders, key=lambda folder: ("train" in folder.path.casefold(), folder.total))
    last = next(folder for folder in reversed(list(folders)) if folder is not first)
    group = "/".join(["[^/]+"] * first.depth)
    return RequestError(
        f"In {where.name} the folders {counted(folders)} hold folders of the same names, {listed(shared)}, so they hardly are "
        f"the classes. If they are folds, sites or sessions of the same classes, give dataset.class_level={level} (with "
        f"dataset.group='{group}' no test set is drawn across them); if they are splits, name them, such as "
        f"{split_settings({'train': first, 'test': last})}; if they are the classes themselves, {where.classes_setting}."
    )


def folder_of_classes_beside_images(where: Location, classes: ImageFolder, images: ImageFolder) -> RequestError:
    """Of a folder of class folders beside one of images."""
    return RequestError(
        f"In {where.name} '{printable(classes.path)}' holds {len(classes.folders):,} folders of images, "
        f"{listed(list(classes.folders)[:3])}, and '{printable(images.path)}' beside it holds {images.total:,} images. If the "
        f"folders in '{printable(classes.path)}' are the classes, give {where.path_setting(classes)}; if "
        f"'{printable(classes.path)}' and '{printable(images.path)}' are the classes, {where.classes_setting}."
    )


def pictures_and_masks(where: Location, folders: Collection[ImageFolder]) -> RequestError:
    """Of folders whose names say what kind of files they hold."""
    return RequestError(
        f"In {where.name} the folders {counted(folders)} are called as pictures and their masks are, not as classes. If a "
        f"table says what the images show, give it: dataset.source=csv with the table as dataset.path; {where.as_classes}."
    )


def _setting(key: str, value: str) -> str:
    return f"dataset.{key}={shlex.quote(printable(value))}"
