"""Which members of an archive are one sample, by their names: up to the first dot, or up to the last."""

import itertools
import os
import posixpath
from collections.abc import Callable, Iterable, Sequence

from bottleneck_features.pipeline.datasets.pixels.file_kinds import ENDINGS

ANNOTATIONS = ("cls", "json", "txt")  # endings of what says what a sample shows

Parting = Callable[[str], tuple[str, str]]  # a name as that of its sample, and what follows the dot, in lower case


def name_parting(names: Iterable[str]) -> Parting:
    """Return how the names of an archive's members are parted: at the first dot, as WebDataset does, or at the last.

    At the last dot, where the names have dots of their own (`img.v1.0001.jpg`): parting at the first would put images
    together that have notes of their own, or that follow no scheme of `left.jpg` and `right.jpg` for each sample.

    Args:
        names: of all members, in the archive's order.
    """
    known = [name for name in names if _kind(name) in ENDINGS or _kind(name)[1:] in ANNOTATIONS]
    first = _samples(known, at_first_dot)
    if max((len(_images(sample)) for sample in first), default=0) < 2:
        return at_first_dot
    with_notes = [
        sample for sample in _samples(known, at_last_dot) if _images(sample) and len(_images(sample)) < len(sample)
    ]
    if not with_notes:
        return at_first_dot
    fields = {at_first_dot(name)[1] for sample in first for name in _images(sample)}
    every_image_has_notes = sum(len(_images(sample)) for sample in with_notes) == len(_images(known))
    return at_last_dot if every_image_has_notes or len(fields) > len(first) else at_first_dot


def at_first_dot(name: str) -> tuple[str, str]:
    """Part a name at the first dot of its last part."""
    folder, slash, file = name.rpartition("/")
    stem, _, ending = file.partition(".")
    return folder + slash + stem, ending.lower()


def at_last_dot(name: str) -> tuple[str, str]:
    """Part a name at its last dot."""
    stem, ending = posixpath.splitext(name)
    return stem, ending[1:].lower()


def differing_endings(names: Sequence[str]) -> list[str]:
    """Return what tells the images of one sample apart: their names after the last dot that all share."""
    shared = os.path.commonprefix(names).rpartition(".")[0]
    return [name[len(shared) + 1 :].lower() for name in names]


def _samples(names: Sequence[str], parted: Parting) -> list[list[str]]:
    return [list(members) for _, members in itertools.groupby(names, lambda name: parted(name)[0])]


def _images(names: Iterable[str]) -> list[str]:
    return [name for name in names if _kind(name) in ENDINGS]


def _kind(name: str) -> str:
    return posixpath.splitext(name)[1].lower()
