"""Images put in their places by what their folders say, with what is passed over named and counted."""

import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bottleneck_features.errors import enumerated
from bottleneck_features.pipeline.datasets.layout.convention import UNLABELLED, FolderConvention, Place
from bottleneck_features.pipeline.datasets.layout.walking import Walk
from bottleneck_features.pipeline.datasets.listing import Problem, printable
from bottleneck_features.pipeline.datasets.pixels.file_kinds import ENDINGS

SHOWN = 10  # names in a message
MISPLACED = "it is in no class folder"
NO_SPLIT = "it is in no folder of a split"


@dataclass(frozen=True)
class Placed:
    """Where images are in a data set.

    Attributes:
        labelled: the paths of those in class folders, sorted, and what is said of each.
        unlabelled: those of which nothing says what they show, in places where that is usual.
        misplaced: those in no class folder, where there should be one.
        left_out: those in folders that are passed over.
        passed_over: how many lie in each such folder.
    """

    labelled: tuple[tuple[str, Place], ...]
    unlabelled: tuple[Problem, ...]
    misplaced: tuple[Problem, ...]
    left_out: tuple[Problem, ...]
    passed_over: Mapping[str, int]


@dataclass(frozen=True)
class Imageless:
    """What has no images.

    Attributes:
        classes: the names of folders in the place of a class with nothing in them.
        passed_over: other folders, and how many files they hold.
    """

    classes: tuple[str, ...]
    passed_over: Mapping[str, int]


def placed(paths: Iterable[str], convention: FolderConvention) -> Placed:
    """Put images in their places.

    Args:
        paths: of what may be an image. Of those in no class folder only what is named like an image counts as one.
        convention: how they are read.
    """
    places: dict[str, Place | None] = {}
    labelled: list[tuple[str, Place]] = []
    unlabelled, misplaced, left_out = list[Problem](), list[Problem](), list[Problem]()
    over: Counter[str] = Counter()
    for path in sorted(paths):
        folder = posixpath.dirname(path)
        if folder not in places:
            places[folder] = convention.place_of(folder)
        place = places[folder]
        if place and place.label:
            labelled.append((path, place))
        elif place and place.split == UNLABELLED:
            unlabelled.append(Problem(printable(path), "no folder says what it shows"))
        elif not place and (convention.asked or not convention.leads_to_a_base(folder)):
            over[convention.passed_over(folder)] += 1
            left_out.append(Problem(printable(path), NO_SPLIT))
        elif posixpath.splitext(path)[1].lower() in ENDINGS:
            misplaced.append(Problem(printable(path), MISPLACED))
    return Placed(tuple(labelled), tuple(unlabelled), tuple(misplaced), tuple(left_out), over)


def imageless(found: Walk, convention: FolderConvention) -> Imageless:
    """Find the folders that hold nothing that may be an image.

    Args:
        found: what lies below the root.
        convention: how its paths are read.
    """
    inhabited = _with_those_above(found.files)
    described = _with_those_above(found.beside)
    classes: list[str] = []
    over: Counter[str] = Counter()
    for folder in found.folders:
        if convention.base_of(folder) is None and not convention.leads_to_a_base(folder):
            over[convention.passed_over(folder)] += 0
        elif folder not in inhabited and convention.is_class_folder(folder):
            if folder in described:
                over[folder] += 0
            else:
                classes.append(posixpath.basename(folder))
    for folder in map(posixpath.dirname, found.beside):
        highest = next((path for path in _paths_to(folder) if path in over), None)
        if highest:
            over[highest] += 1
    return Imageless(tuple(map(printable, classes)), over)


def passed_over_notice(*counts: Mapping[str, int]) -> tuple[str, ...]:
    """Name the folders that are passed over, with the number of files in each."""
    total: Counter[str] = Counter()
    for count in counts:
        for folder, files in count.items():
            total[folder] += files
    if not total:
        return ()
    named = enumerated(f"'{printable(folder) or '.'}' ({files:,} files)" for folder, files in sorted(total.items()))
    return (f"Data: folders that are no split, or have no images, are passed over: {named}.",)


def beside_notice(beside: Iterable[str], convention: FolderConvention) -> tuple[str, ...]:
    """Count the files that come beside images, where images are."""
    endings = [
        posixpath.splitext(path)[1].lower()
        for path in beside
        if (place := convention.place_of(posixpath.dirname(path))) and (place.label or place.split == UNLABELLED)
    ]
    return counted_endings(Counter(endings))


def counted_endings(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Say how many files are ignored, by their endings; nothing where there are none."""
    if not counts:
        return ()
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{ending or 'without an ending'} {count:,}" for ending, count in most[:SHOWN])
    more = ", …" if most[SHOWN:] else ""
    return (f"Data: {sum(counts.values()):,} files that come beside images are ignored: {named}{more}.",)


def _with_those_above(files: Iterable[str]) -> set[str]:
    """Return the folders that files lie in or below."""
    return {path for folder in set(map(posixpath.dirname, files)) for path in _paths_to(folder)}


def _paths_to(folder: str) -> list[str]:
    parts = folder.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
