import numpy as np
import pytest

from pipeline.comparison.evaluation import accuracy_difference, confusion, mcnemar, paired_comparisons, score


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


def _predictions(only_first: int, only_second: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels, first, second = np.zeros(n, int), np.zeros(n, int), np.zeros(n, int)
    second[:only_first] = 1
    first[only_first : only_first + only_second] = 1
    return labels, first, second


def test_the_bootstrapped_difference_has_the_width_that_theory_gives_for_paired_proportions():
    labels, first, second = _predictions(300, 100, 2000)
    difference = accuracy_difference(labels, first, second)
    assert difference.value == pytest.approx(0.1)
    wald = 1.96 * np.sqrt(0.2 - 0.1**2) / np.sqrt(2000)  # variance of a paired difference, Agresti 2013, eq. 11.2
    assert (difference.low, difference.high) == pytest.approx((0.1 - wald, 0.1 + wald), abs=0.001)


def test_pairing_makes_the_interval_narrower_than_two_separate_ones():
    labels, first, second = _predictions(30, 10, 2000)
    first[1000:] = second[1000:] = 1  # both wrong: their mistakes go together
    difference = accuracy_difference(labels, first, second)
    alone = [score(labels, guess) for guess in (first, second)]
    assert difference.high - difference.low < min(value.high - value.low for value in alone) / 2
    assert difference.low > 0


def test_a_method_does_not_differ_from_itself_and_the_interval_is_repeatable():
    labels, first, second = _predictions(30, 10, 200)
    same = accuracy_difference(labels, first, first)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert accuracy_difference(labels, first, second) == accuracy_difference(labels, first, second)


def test_every_two_methods_are_compared_once_with_the_sign_of_the_first():
    labels, good, bad = _predictions(30, 10, 200)
    pairs = paired_comparisons(labels, {"bad": bad, "good": good, "same": good})
    assert [(pair["first"], pair["second"]) for pair in pairs] == [("bad", "good"), ("bad", "same"), ("good", "same")]
    assert pairs[0]["difference"] == pytest.approx(-0.1)
    assert pairs[0]["difference_interval"][1] < 0
    assert (pairs[0]["only_first_right"], pairs[0]["only_second_right"]) == (10, 30)


def test_confusion_rows_are_the_true_classes():
    assert confusion(np.array([0, 0, 1]), np.array([1, 1, 1]), 3).tolist() == [[0, 2, 0], [0, 1, 0], [0, 0, 0]]
