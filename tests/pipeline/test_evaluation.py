import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from bottleneck_features.pipeline.evaluation.comparisons import adjusted, on_the_same_images
from bottleneck_features.pipeline.evaluation.differences import Answers
from bottleneck_features.pipeline.evaluation.scores import (
    accuracy_difference,
    confusion,
    mcnemar,
    score,
    wilson,
)


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


@given(n=st.integers(1, 10_000), share=st.floats(0, 1))
def test_the_closed_form_is_the_library_s_wilson_interval(n, share):
    correct = round(share * n)
    found = binomtest(correct, n).proportion_ci(method="wilson")
    assert wilson(correct / n, n) == (found.low, found.high)


def _table(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    counts = (both, only_first, only_second, neither)
    first, second = np.repeat([0, 0, 1, 1], counts), np.repeat([0, 1, 0, 1], counts)
    return np.zeros(sum(counts), int), first, second


@pytest.mark.parametrize(
    ("table", "published"),
    [
        # Cavo et al. 2012, in M. Fagerland, S. Lydersen, P. Laake, Statistical Analysis of Contingency Tables, 2017,
        # chapter 8: Newcombe's square-and-add interval, as their R package contingencytables tests it
        ((59, 6, 16, 80), (-0.1186, -0.0046)),
        # Newcombe 1998, method 10
        ((36, 12, 2, 0), (0.0569, 0.3404)),
    ],
)
def test_the_interval_of_a_difference_is_the_published_one(table, published):
    difference = accuracy_difference(*_table(*table))
    assert (round(difference.low, 4), round(difference.high, 4)) == published


@given(counts=st.tuples(*[st.integers(0, 60)] * 4).filter(any))
def test_the_interval_of_a_difference_has_the_value_inside_and_turns_round_with_the_methods(counts):
    labels, first, second = _table(*counts)
    one, other = accuracy_difference(labels, first, second), accuracy_difference(labels, second, first)
    assert -1 - 1e-12 <= one.low <= one.value <= one.high <= 1 + 1e-12
    assert one.high - one.low > 0.01
    assert (other.value, other.low, other.high) == pytest.approx((-one.value, -one.high, -one.low), abs=1e-12)


@pytest.mark.parametrize(
    ("n", "only_first", "only_second"), [(40, 0.05, 0), (40, 0.05, 0.05), (100, 0.02, 0.02), (500, 0.05, 0)]
)
def test_the_interval_of_a_difference_holds_the_truth_where_few_images_tell_the_methods_apart(
    n, only_first, only_second
):
    random, runs, covered = np.random.default_rng(0), 400, 0
    for _ in range(runs):
        drawn = random.multinomial(n, [0.8, only_first, only_second, 0.2 - only_first - only_second])
        found = accuracy_difference(*_table(*drawn))
        covered += found.low <= only_first - only_second <= found.high
    assert covered / runs >= 0.93


def test_a_difference_has_the_width_that_theory_gives_for_many_paired_images():
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


@pytest.mark.parametrize("n", [1, 40, 400])
def test_where_no_image_tells_two_methods_apart_the_interval_is_no_point(n):
    labels, first, _ = _predictions(0, 0, n)
    same = accuracy_difference(labels, first, first)
    assert same.value == 0
    assert same.low < -1 / n < 1 / n < same.high or n == 1
    assert same.low == pytest.approx(-same.high)


def test_every_two_methods_are_compared_once_with_the_sign_of_the_first():
    labels, good, bad = _predictions(30, 10, 200)
    answers = {name: Answers(np.eye(2)[own], own) for name, own in (("bad", bad), ("good", good), ("same", good))}
    pairs = [one.as_json() for one in on_the_same_images(labels, answers, None, "accuracy")]
    assert [(pair["first"], pair["second"]) for pair in pairs] == [("bad", "good"), ("bad", "same"), ("good", "same")]
    assert pairs[0]["difference"] == pytest.approx(-0.1)
    assert pairs[0]["difference_interval"][1] < 0
    assert (pairs[0]["only_first_right"], pairs[0]["only_second_right"]) == (10, 30)


def test_confusion_rows_are_the_true_classes():
    assert confusion(np.array([0, 0, 1]), np.array([1, 1, 1]), 3).tolist() == [[0, 2, 0], [0, 1, 0], [0, 0, 0]]


def test_the_p_values_against_the_best_are_adjusted_together_and_the_others_are_not():
    labels, good, bad = _predictions(12, 2, 200)
    answers = {name: Answers(np.eye(2)[own], own) for name, own in (("a", good), ("b", bad), ("c", bad))}
    found = adjusted(on_the_same_images(labels, answers, None, "accuracy"), "a")
    assert [one.adjusted for one in found] == [2 * found[0].p_value, 2 * found[1].p_value, None]
