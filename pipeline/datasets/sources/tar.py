"""Tar archives as data sets: images by their place in the archive, labels beside them or in their folder's name."""

import json
import posixpath
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bottleneck_features.pipeline.datasets.assembly import LabelledScan, assemble, resizing_of
from bottleneck_features.pipeline.datasets.containers import find_containers, named_splits, unique_ids
from bottleneck_features.pipeline.datasets.image_dataset import ImageDataset
from bottleneck_features.pipeline.datasets.layout.convention import UNLABELLED, FolderConvention, Place, groups_of
from bottleneck_features.pipeline.datasets.layout.placing import (
    MISPLACED,
    NO_SPLIT,
    counted_endings,
    passed_over_notice,
)
from bottleneck_features.pipeline.datasets.layout.recognition import convention_of, split_convention_of
from bottleneck_features.pipeline.datasets.layout.refusals import Location
from bottleneck_features.pipeline.datasets.layout.sample_names import ANNOTATIONS, differing_endings
from bottleneck_features.pipeline.datasets.listing import Listing, Problem
from bottleneck_features.pipeline.datasets.scanned import ScanResult
from bottleneck_features.pipeline.datasets.scanning import scan_containers
from bottleneck_features.pipeline.datasets.sources.tar_members import BESIDE, TarReader, images_in_tar
from bottleneck_features.pipeline.datasets.texts import factorized, text_array
from bottleneck_features.pipeline.experiment import DatasetSettings, Experiment

CAPTIONS = 10  # so many .txt that are mostly different are captions and no labels


def open_tar(experiment: Experiment, home: Path) -> ImageDataset:
    """Open `dataset.path` as tar archives: images with `.cls`, `.json` or `.txt` files beside them, or in class folders.

    Args:
        experiment: its `dataset` and `input` sections.
        home: the artifacts folder; images that cannot be used are listed in `runs/<experiment>/quarantine.csv`.

    Raises:
        RequestError: the path or a setting cannot be right.
        PipelineError: more images than `dataset.error_limit` cannot be used, or any with `on_error = "fail"`.
        features.StoreError: a URL cannot be opened.
    """
    settings = experiment.dataset
    resizing = resizing_of(experiment)  # refuses what cannot be before every image is read
    containers = find_containers(settings.path, ".tar")
    images = partial(images_in_tar, label_field=settings.label_column, ending=settings.image_column)
    scan = scan_containers(containers, images, (*ANNOTATIONS, BESIDE), home, resizing, max_pixels=settings.max_pixels)
    ids, repeated = unique_ids(scan.ids, scan.images["container"], containers)
    said = _said(scan, settings, named_splits(containers))
    groups = _groups(ids, scan.usable & ~said.outside, settings.group)
    problems = {**said.problems, **repeated, **scan.problems}
    labelled = LabelledScan(scan, ids, said.labels, said.splits, groups, problems, place=said.place)
    left_out = tuple(Problem(str(name), NO_SPLIT) for name in ids[said.outside])
    listing = Listing(Path(settings.path), (), left_out=left_out, notices=said.notices, unit="images")
    return assemble(
        experiment,
        home,
        labelled.without(said.outside),
        reader=TarReader(containers),
        location=settings.path,
        listing=listing,
    )


class _Said(NamedTuple):
    """What archives say of `n` images.

    Attributes:
        labels: `(n,)` text; empty where there is none.
        splits: `(n,)` text; empty where none is said.
        problems: why images cannot be used, by position.
        outside: `(n,)` mask of those that are passed over, since the settings name splits, and they are in none.
        notices: sentences a reader of any number from these data must know.
        place: where the labels are written; empty where they are names of folders.
    """

    labels: np.ndarray
    splits: np.ndarray
    problems: dict[int, str]
    outside: np.ndarray
    notices: tuple[str, ...]
    place: str


def _said(scan: ScanResult, settings: DatasetSettings, named: tuple[str, ...]) -> _Said:
    """Read what the archives say; one kind of note holds for all images, else, or where a setting says so, their folders."""
    kind, notices = ("", ()) if settings.class_level else _kind_of_notes(scan)
    recognised = split_convention_of if kind else convention_of
    convention = recognised(scan.ids[scan.usable], settings, Location(f"'{settings.path}'"))
    places = _places(scan, convention)
    splits = [place.split if place else "" for place in places]
    outside = np.array([place is None for place in places], bool)
    if kind:
        labels, problems = scan.annotations[kind], _crowded(scan)
    else:
        labels = text_array(place.label if place else "" for place in places)
        problems = dict.fromkeys(_without_class(labels, splits, scan.images["container"], named), MISPLACED)
    over = Counter(convention.passed_over(posixpath.dirname(path)) for path in scan.ids[outside])
    return _Said(
        labels,
        text_array(
            "" if split == UNLABELLED else split or named[owner]
            for split, owner in zip(splits, scan.images["container"], strict=True)
        ),
        problems,
        outside,
        (*convention.notices, *notices, *passed_over_notice(over), *_beside(scan)),
        f"the .{kind} files" if kind else "",
    )


def _kind_of_notes(scan: ScanResult) -> tuple[str, tuple[str, ...]]:
    """Return the kind of notes that say the labels, empty where none does, and what is to be said of others."""
    for kind in ANNOTATIONS:
        texts = scan.annotations[kind][scan.usable]
        texts = texts[texts != ""]
        different = len(factorized(texts)[0])
        if kind == "txt" and len(texts) >= CAPTIONS and 2 * different > len(texts):
            return "", (
                f"Data: the .txt files beside {len(texts):,} images are ignored: with {different:,} different texts they are "
                "no labels.",
            )
        if len(texts):
            return kind, ()
    return "", ()


def _places(scan: ScanResult, convention: FolderConvention) -> list[Place | None]:
    """Return what the folder of each image says; None where the settings name splits, and it is in none of them."""
    nothing = None if convention.asked else Place("", "")
    known: dict[str, Place | None] = {}
    places = []
    for path in scan.ids:
        folder = posixpath.dirname(path)
        if folder not in known:
            known[folder] = convention.place_of(folder) or nothing
        places.append(known[folder])
    return places


def _without_class(labels: np.ndarray, splits: list[str], owners: np.ndarray, named: tuple[str, ...]) -> list[int]:
    """Return the images in no class folder, but for those of an unlabelled folder, or of a test archive without classes."""
    with_classes = set(owners[labels != ""].tolist())
    bare = {owner for owner, split in enumerate(named) if split in ("validation", "test") and owner not in with_classes}
    return [i for i in np.flatnonzero(labels == "").tolist() if splits[i] != UNLABELLED and owners[i] not in bare]


def _crowded(scan: ScanResult) -> dict[int, str]:
    """Return the images that are not the only one of their sample."""
    samples = scan.images[["container", "sample"]]
    _, inverse, counts = np.unique(samples, return_inverse=True, return_counts=True)
    crowded = np.flatnonzero(counts[inverse] > 1)
    if not len(crowded):
        return {}
    ending = differing_endings(scan.ids[inverse == inverse[crowded[0]]].tolist())[0]
    reason = f"its sample has several images: name the one to use, such as dataset.image_column={ending}"
    return dict.fromkeys(crowded.tolist(), reason)


def _beside(scan: ScanResult) -> tuple[str, ...]:
    """Count the members that are neither images nor notes."""
    texts = scan.annotations[BESIDE]
    total: Counter[str] = Counter()
    for text in texts[texts != ""].tolist():
        total.update(json.loads(text))
    return counted_endings(total)


def _groups(ids: np.ndarray, mask: np.ndarray, expression: str) -> np.ndarray:
    """Return the group of each image in the mask, `(n,)` text; `(0,)` where none are asked for."""
    groups = np.full(len(ids) if expression else 0, "", ids.dtype)
    if expression:
        groups[mask] = text_array(groups_of(ids[mask], expression))
    return groups
