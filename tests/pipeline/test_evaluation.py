import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import RequestError
from pipeline.evaluation import confusion, mcnemar, score
from pipeline.splits import stratified_split


def test_the_wilson_interval_is_the_published_one():
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    labels = np.zeros(263, int)
    value = score(labels, np.where(np.arange(263) < 81, 0, 1))
    assert (round(value.low, 4), round(value.high, 4)) == (0.2553, 0.3662)
    assert value.accuracy == 81 / 263


def test_a_perfect_score_has_an_interval_below_one():
    value = score(np.zeros(10, int), np.zeros(10, int))
    assert value.accuracy == 1.0
    assert value.low < 0.75


def test_mcnemar_counts_only_images_on_which_the_methods_differ():
    labels = np.zeros(20, int)
    first, second = np.zeros(20, int), np.zeros(20, int)
    second[:6] = 1
    test = mcnemar(labels, first, second)
    assert (test.only_first, test.only_second) == (6, 0)
    assert test.p_value == pytest.approx(2 * 0.5**6)
    assert mcnemar(labels, first, first).p_value == 1.0


def test_confusion_rows_are_the_true_classes():
    assert confusion(np.array([0, 0, 1]), np.array([1, 1, 1]), 3).tolist() == [[0, 2, 0], [0, 1, 0], [0, 0, 0]]


@given(counts=st.lists(st.integers(5, 40), min_size=2, max_size=6), seed=st.integers(0, 2**31))
def test_a_stratified_split_is_disjoint_complete_and_has_every_class_on_both_sides(counts, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    train, held = stratified_split(labels, 0.2, seed)
    assert sorted([*train, *held]) == list(range(len(labels)))
    assert set(labels[train]) == set(labels[held]) == set(range(len(counts)))


def test_a_split_that_cannot_be_stratified_says_what_to_change():
    with pytest.raises(RequestError, match=r"head\.validation_split"):
        stratified_split(np.array([0, 0, 0, 1]), 0.2, 0)
