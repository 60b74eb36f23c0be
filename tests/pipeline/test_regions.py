"""A stamp in a corner or a frame around the images of one class is found; pictures without one are left alone."""

import re

import numpy as np
import pytest
from PIL import Image

from bottleneck_features.pipeline.datasets.dataset import ArrayDataset, Samples
from bottleneck_features.pipeline.datasets.sources.embedded import digits, photo_patches
from bottleneck_features.pipeline.inspection.regions import BORDER, CORNERS, find_marks, looked_at
from bottleneck_features.pipeline.inspection.shortcuts import mark_warnings, shortcuts_of_regions

CLASSES = ("cat", "dog", "fox")
MARKED = 1


def _photographs() -> tuple[np.ndarray, np.ndarray]:
    """Real patches, 64×64, in classes that have nothing to do with what they show."""
    patches = photo_patches()
    images = patches.images("train", np.arange(600)).repeat(2, axis=1).repeat(2, axis=2)
    return images, np.random.default_rng(0).integers(0, len(CLASSES), 600)


def _dataset(images: np.ndarray, labels: np.ndarray) -> ArrayDataset:
    samples = Samples(np.arange(len(images)).astype(str), labels)
    return ArrayDataset("made", CLASSES, {"train": images}, {"train": samples})


def _found(images: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None):
    dataset = _dataset(images, labels)
    chosen = looked_at(labels)
    return find_marks(dataset, labels[chosen], groups if groups is None else groups[chosen], chosen), labels[chosen]


def _warnings(images: np.ndarray, labels: np.ndarray) -> list[str]:
    regions, own = _found(images, labels)
    warnings = list(mark_warnings(regions, CLASSES))
    assert len(warnings) == sum(one.warns for one in shortcuts_of_regions(regions, own, None, CLASSES))
    sessions = np.where(own == MARKED, 0, np.arange(len(own)) % 2 + 1)  # so few that no fold can measure figures
    assert shortcuts_of_regions(regions, own, sessions, CLASSES) == ()
    return warnings


def _stamped(images: np.ndarray, labels: np.ndarray, side: int, opaque: float = 1.0) -> np.ndarray:
    stamped = images.astype(float)
    own = stamped[labels == MARKED]
    own[:, 1 : 1 + side, -1 - side : -1] = (1 - opaque) * own[:, 1 : 1 + side, -1 - side : -1] + opaque * 250
    stamped[labels == MARKED] = own
    return stamped.astype(np.uint8)


def test_pictures_whose_borders_say_nothing_are_left_alone():
    regions, _ = _found(*_photographs())
    assert [region.name for region in regions] == [BORDER, *CORNERS]
    assert all(not region.marks for region in regions)
    assert _warnings(*_photographs()) == []


@pytest.mark.parametrize(("side", "opaque"), [(3, 1.0), (6, 1.0), (4, 0.5)])
def test_a_stamp_in_the_corner_of_one_class_is_named_with_its_place(side, opaque):
    images, labels = _photographs()
    (warning,) = _warnings(_stamped(images, labels, side, opaque), labels)
    assert warning.startswith("Shortcut: in the top right corner an edge lies at the same place in ")
    assert re.search(r"\d\d\.\d % of the images of 'dog', as that of a stamp or a frame would", warning)


@pytest.mark.parametrize(("wide", "grey"), [(1, 255), (2, 0), (4, 255)])
def test_a_frame_around_the_images_of_one_class_is_one_warning(wide, grey):
    images, labels = _photographs()
    framed = np.full_like(images, grey)
    framed[:, wide:-wide, wide:-wide] = images[:, wide:-wide, wide:-wide]
    images[labels == MARKED] = framed[labels == MARKED]
    (warning,) = _warnings(images, labels)
    assert warning.startswith("Shortcut: in the border an edge lies at the same place in ")
    assert re.search(r"\d\d\.\d % of the images of 'dog', as", warning)


def test_every_class_that_is_marked_is_named():
    images, labels = _photographs()
    twice = _stamped(_stamped(images, labels, 6), (labels + 1) % 3, 6)  # two of three classes
    (warning,) = _warnings(twice, labels)
    assert "% of the images of 'cat'" in warning
    assert "% of the images of 'dog'" in warning


def test_a_stamp_on_half_of_the_images_of_a_class_is_found():
    images, labels = _photographs()
    half = np.where(np.arange(len(labels)) % 2, labels, -1)
    (warning,) = _warnings(_stamped(images, half, 6), labels)
    assert "'dog'" in warning
    assert "top right corner" in warning


def test_a_plain_background_is_no_stamp():
    """Discs on white that touch the sides: only the corners are plain, and only in one class."""
    images, labels = _photographs()
    rows, columns = np.indices(images.shape[1:3]) - 31.5
    outside = np.hypot(rows, columns) > 32
    shown = images[labels == MARKED]
    shown[:, outside] = 255
    images[labels == MARKED] = shown
    assert _warnings(images, labels) == []


def test_a_stamp_on_the_images_of_few_groups_is_not_enough():
    """A third of the images are of four scenes, one of which is stamped: that tells the scene."""
    images, labels = _photographs()
    stamped = np.flatnonzero(labels == MARKED)[:100]
    own = np.full(len(labels), -1)
    own[stamped] = MARKED
    groups = np.arange(len(labels))
    groups[stamped] = groups[stamped[0]] + np.arange(100) % 4
    regions, _ = _found(_stamped(images, own, 6), labels, groups)
    assert all(not region.marks for region in regions)
    assert any(region.marks for region in _found(_stamped(images, own, 6), labels)[0])


def test_a_frame_around_every_image_tells_nothing():
    images, labels = _photographs()
    images[:, :2] = images[:, -2:] = images[:, :, :2] = images[:, :, -2:] = 255
    assert _warnings(images, labels) == []


def test_images_so_small_that_the_border_is_what_they_show_are_not_looked_at():
    dataset = digits()
    labels = dataset.splits["train"].labels
    assert find_marks(dataset, labels, None, looked_at(labels)) == ()


def test_strokes_of_digits_are_no_frame():
    small = digits()
    shown = (
        Image.fromarray(image).resize((96, 96), Image.Resampling.BILINEAR)
        for image in small.images("train", np.arange(1200))
    )
    images = np.stack([np.asarray(image) for image in shown])
    regions, _ = _found(images, small.splits["train"].labels[:1200])
    assert all(not region.marks for region in regions)
