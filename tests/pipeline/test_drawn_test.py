"""The drawn test split: what decides is an image's content, and every class is in both parts."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from bottleneck_features.pipeline.datasets.drawn_test import draw_test
from bottleneck_features.pipeline.datasets.texts import TEXT, text_array
from bottleneck_features.pipeline.errors import RequestError

NAMES = tuple("abcdefgh")
fractions, seeds = st.floats(0.05, 0.6), st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Image:
    """What an image is: its content, which files may share, its class, and perhaps a group."""

    content: int
    label: int
    group: str = ""


def drawn(images: list[Image], fraction: float = 0.2, seed: int = 0) -> set[int]:
    """The positions of the test images; what every split must be is checked."""
    hashes = b"".join(sha256(str(image.content).encode()).digest() for image in images)
    labels = np.array([image.label for image in images])
    groups = text_array(image.group for image in images) if any(image.group for image in images) else np.empty(0, TEXT)
    contents = np.frombuffer(hashes, np.uint8).reshape(-1, 32)
    train, test = draw_test(labels, NAMES, contents, groups, fraction, seed)
    assert sorted([*train, *test]) == list(range(len(images)))
    assert set(labels[train]) == set(labels[test]) == set(labels)
    for key in ("content", "group"):
        sides = ({getattr(images[i], key) for i in part} - {""} for part in (train, test))
        assert not set.intersection(*sides)
    return set(test.tolist())


def distinct(counts: list[int]) -> list[Image]:
    """So many images of each class, all different."""
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    return [Image(content, label) for content, label in enumerate(labels)]


@given(st.lists(st.integers(2, 30), min_size=2, max_size=5), fractions, seeds)
def test_every_class_is_in_both_parts_and_keeps_two_images_to_train_on(counts, fraction, seed):
    images = distinct(counts)
    test = drawn(images, fraction, seed)
    assert test == drawn(images, fraction, seed)
    kept = Counter(image.label for i, image in enumerate(images) if i not in test)
    assert all(kept[label] >= min(2, count - 1) for label, count in enumerate(counts))


@given(
    st.lists(st.builds(Image, st.integers(0, 40), st.integers(0, 3), st.sampled_from(["", *map(str, range(12))])),
             min_size=8, max_size=60),
    fractions, seeds,
)  # fmt: skip
def test_neither_groups_nor_copies_are_parted_or_there_is_no_such_split(images, fraction, seed):
    images = [replace(image, group=image.group or f"own {i}") for i, image in enumerate(images)]
    with suppress(RequestError):
        drawn(images, fraction, seed)


@given(st.data(), seeds)
@settings(max_examples=50)
def test_what_is_added_removed_and_relabelled_moves_no_other_image(data, seed):
    images = [replace(image, group=f"{image.content // 2}") for image in distinct([120, 90, 80])]
    before = {images[i].content for i in drawn(images, 0.2, seed)}
    gone = data.draw(st.sets(st.sampled_from(range(len(images))), max_size=30))
    turned = data.draw(st.sets(st.sampled_from(range(len(images))), max_size=30))
    added = data.draw(
        st.lists(st.builds(Image, st.integers(1000, 2000), st.integers(0, 3), st.just("new")), max_size=9)
    )
    others = [
        replace(image, label=(image.label + 1) % 3) if i in turned else image
        for i, image in enumerate(images)
        if i not in gone
    ]
    touched = {images[i].group for i in gone}
    others += [replace(image, label=image.label % 3, group=f"new {image.content}") for image in added]
    after = {others[i].content for i in drawn(others, 0.2, seed)}
    for image in others:
        if image.content < 1000 and image.group not in touched:
            assert (image.content in after) == (image.content in before)


@given(seeds, st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_the_order_of_the_files_does_not_matter(seed, random):
    images = [Image(i // 2, i % 2, f"{i // 6}") for i in range(240)]
    shuffled = random.sample(images, len(images))
    assert {images[i] for i in drawn(images, 0.3, seed)} == {shuffled[i] for i in drawn(shuffled, 0.3, seed)}


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_the_share_is_as_by_lot_in_every_class(fraction):
    images = distinct([4000, 1000, 300])
    for seed in range(5):
        counts = Counter(images[i].label for i in drawn(images, fraction, seed))
        for label, size in enumerate([4000, 1000, 300]):
            low, high = binom.interval(1 - 1e-6, size, fraction)
            assert low <= counts[label] <= high


def test_another_seed_draws_another_split_independently_of_the_first():
    images = distinct([2000, 2000])
    first, second = drawn(images, 0.2, 0), drawn(images, 0.2, 1)
    low, high = binom.interval(1 - 1e-6, len(images), 0.2 * 0.2)
    assert low <= len(first & second) <= high


def test_of_two_units_the_one_of_several_images_is_trained_on():
    for seed in range(20):
        images = [*distinct([6]), *(Image(100, 1) for _ in range(4)), Image(101, 1)]
        assert {i for i in drawn(images, 0.3, seed) if i >= 6} == {10}


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([*distinct([4]), Image(9, 1), Image(9, 1)], "All images of b are copies of one image"),
        ([*(Image(i, i % 2, f"{i}") for i in range(4)), Image(9, 2, "g"), Image(8, 2, "g")], "All images of c are in one group"),
        ([Image(i, label, f"{i}") for i, pair in enumerate([(0, 1), (1, 2), (2, 0)]) for label in pair], "No test split"),
    ],
)  # fmt: skip
def test_classes_that_cannot_be_in_both_parts_are_named(images, said):
    with pytest.raises(RequestError, match=said):
        drawn(images)
