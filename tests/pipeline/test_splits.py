import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bottleneck_features.pipeline.datasets.dataset import ArrayDataset, Samples
from bottleneck_features.pipeline.datasets.splitting import grouped_split, straddling, stratified_split
from bottleneck_features.pipeline.datasets.texts import factorized, text_array
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.evaluation.splits import hold_out, scored_subset


def _dataset(labels: np.ndarray, splits: tuple[str, ...], groups: dict[str, np.ndarray] | None = None) -> ArrayDataset:
    samples = Samples(np.arange(len(labels)).astype(str), labels)
    pixels = np.zeros((len(labels), 4, 4, 3), np.uint8)
    dataset = ArrayDataset("made", ("a", "b"), dict.fromkeys(splits, pixels), dict.fromkeys(splits, samples))
    dataset.groups = groups or {}
    return dataset


@settings(deadline=None)  # the first example imports scikit-learn
@given(
    counts=st.lists(st.integers(2, 5) | st.integers(20, 900), min_size=2, max_size=6),
    share=st.floats(0.02, 0.98),
    seed=st.integers(0, 2**31),
)
def test_a_stratified_split_is_disjoint_complete_and_has_every_class_on_both_sides(counts, share, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    assume(np.ceil(share * len(labels)) <= len(labels) - len(counts))
    train, validation = stratified_split(labels, share, seed)
    assert sorted([*train, *validation]) == list(range(len(labels)))
    assert set(labels[train]) == set(labels[validation]) == set(range(len(counts)))


@pytest.mark.parametrize("images", [2, 3, 4])
def test_of_classes_of_few_images_one_each_is_held_out(images):
    labels = np.repeat(np.arange(5), images)
    _, validation = stratified_split(labels, 0.2, 0)
    assert np.bincount(labels[validation]).tolist() == [1] * 5


@pytest.mark.parametrize("groups", [None, np.arange(7) // 3])
def test_a_class_of_which_nothing_can_be_held_out_is_named(groups):
    dataset = _dataset(np.array([0, 0, 0, 0, 0, 0, 1]), ("train",), groups if groups is None else {"train": groups})
    with pytest.raises(RequestError, match=r"of 'b' there is only 1 .*, and 2 are needed\. Add images"):
        hold_out(dataset, 0.2, 0)


def test_a_split_that_cannot_be_stratified_says_what_to_change():
    with pytest.raises(RequestError, match=r"head\.validation_split"):
        stratified_split(np.array([0, 0, 0, 1]), 0.2, 0)


@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 5), min_size=24, max_size=40), seed=st.integers(0, 2**31))
def test_no_group_is_on_both_sides_and_every_class_is(sizes, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = groups % 2
    try:
        train, validation = grouped_split(labels, groups, 0.2, seed)
    except RequestError:
        assume(False)
    assert sorted([*train, *validation]) == list(range(len(labels)))
    assert not set(groups[train]) & set(groups[validation])
    assert set(labels[train]) == set(labels[validation]) == {0, 1}


def test_groups_that_cannot_be_parted_say_so():
    with pytest.raises(RequestError, match="in 2 groups"):
        grouped_split(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), 0.2, 0)


def test_held_out_groups_come_from_the_data_set():
    labels = np.tile([0, 1], 30)
    groups = np.arange(60) // 4
    holdout = hold_out(_dataset(labels, ("train",), {"train": groups}), 0.2, 0)
    assert not set(groups[holdout.train.indices]) & set(groups[holdout.validation.indices])


def test_a_validation_split_is_used_as_it_is_and_nothing_of_train_is_lost():
    holdout = hold_out(_dataset(np.tile([0, 1], 5), ("train", "validation", "test")), 0.2, 0)
    assert (holdout.train.split, len(holdout.train)) == ("train", 10)
    assert (holdout.validation.split, len(holdout.validation)) == ("validation", 10)


@pytest.mark.parametrize(("splits", "expected"), [(("train", "test"), "test"), (("train",), "train")])
def test_what_is_scored_at_the_end_is_the_test_split_or_else_the_validation_images(splits, expected):
    dataset = _dataset(np.tile([0, 1], 20), splits)
    holdout = hold_out(dataset, 0.2, 0)
    assert scored_subset(dataset, holdout).split == expected


def test_many_texts_that_come_twice_in_the_same_order_are_told_apart():
    texts = [f"patient {i}" for i in range(1000)] * 2
    names, codes = factorized(text_array(texts))
    assert names == tuple(sorted(set(texts)))
    assert [names[code] for code in codes] == texts
    assert straddling({"train": text_array(texts), "test": text_array(texts[::-1])}) == 1000
