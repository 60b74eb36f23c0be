import numpy as np
import pytest

from pipeline.evaluation import confusion, mcnemar, score


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
