"""Figures beside the accuracy, their intervals and differences: equal to scikit-learn's, and kept as promised."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interval_coverage import Data, simulated
from sklearn.metrics import (
    auc,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    recall_score,
    roc_auc_score,
)

from bottleneck_features.pipeline.evaluation import estimates
from bottleneck_features.pipeline.evaluation.differences import Answers, holm, paired_difference
from bottleneck_features.pipeline.evaluation.figures import Figure, curves, figures, positive_class
from bottleneck_features.pipeline.evaluation.scores import mcnemar, score, wilson

MEASURES = ("accuracy", "balanced-accuracy", "macro-f1", "auroc", "average-precision")
seeds = st.integers(0, 2**31)


def _answers(seed: int, n: int, classes: int, rare: float = 0.2) -> tuple[np.ndarray, Answers]:
    """Labels, some classes of which may be absent, and answers that are better than chance, with ties."""
    random = np.random.default_rng(seed)
    shares = np.append(np.full(classes - 1, (1 - rare) / (classes - 1)), rare)
    labels = random.choice(classes, n, p=shares)
    scores = np.round(random.gamma(1.0, size=(n, classes)) + 1.5 * np.eye(classes)[labels], 1) + 0.1
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    return labels, Answers(probabilities, probabilities.argmax(axis=1))


def _shown(figure: Figure) -> tuple[float, float, float]:
    return figure.value, figure.low, figure.high


def _all(labels: np.ndarray, answers: Answers, groups: np.ndarray | None = None) -> list[Figure]:
    found = figures(labels, *answers, groups)
    shown = [found.accuracy, found.balanced_accuracy, found.macro_f1, found.auroc, found.average_precision]
    return [one for one in shown if one is not None]


@given(seed=seeds, n=st.integers(1, 200), classes=st.integers(2, 6))
def test_values_are_scikit_learn_s(seed, n, classes):
    labels, answers = _answers(seed, n, classes)
    found = figures(labels, *answers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # answers that are no labels
        assert found.balanced_accuracy.value == pytest.approx(balanced_accuracy_score(labels, answers.predicted))
    assert found.macro_f1.value == pytest.approx(f1_score(labels, answers.predicted, average="macro", zero_division=0))
    present = np.unique(labels)
    recalls = recall_score(labels, answers.predicted, labels=present, average=None)
    assert found.worst_class == present[recalls.argmin()]
    assert found.worst_recall == pytest.approx(recalls.min())
    assert found.majority == np.bincount(labels).max() / n
    assert _shown(found.accuracy) == (lambda one: (one.accuracy, one.low, one.high))(score(labels, answers.predicted))
    if classes > 2 or len(present) < 2:
        assert found.auroc is found.average_precision is None
        return
    rarer = positive_class(labels, answers.probabilities)
    positive, scores = labels == rarer, answers.probabilities[:, rarer]
    assert positive.sum() <= n / 2
    assert found.auroc.value == pytest.approx(roc_auc_score(positive, scores))
    assert found.average_precision.value == pytest.approx(average_precision_score(positive, scores))


@given(
    seed=seeds, n=st.integers(1, 60), classes=st.integers(2, 5), groups=st.integers(0, 20), rare=st.floats(0.02, 0.5)
)
def test_intervals_are_in_range_and_around_their_value(seed, n, classes, groups, rare):
    labels, answers = _answers(seed, n, classes, rare)
    numbers = np.random.default_rng(seed).integers(0, groups, n) if groups else None
    for one in _all(labels, answers, numbers):
        assert 0 <= one.low <= one.value <= one.high <= 1
        assert one.high - one.low > 0.01
    _, second = _answers(seed + 1, n, classes, rare)
    ranked = classes == 2 and len(np.unique(labels)) == 2
    for measure in MEASURES if ranked else MEASURES[:3]:
        found = paired_difference(labels, answers, second, numbers, measure)
        assert -1 - 1e-9 <= found.low < found.high <= 1 + 1e-9
        assert found.low <= found.value <= found.high
        assert 0 < found.p_value <= 1
        if found.test == "interval":
            assert (found.p_value < 0.05) == (not found.low < 0 < found.high)


@given(seed=seeds, classes=st.integers(2, 4))
def test_the_order_of_images_and_the_numbers_of_groups_do_not_matter(seed, classes):
    labels, answers = _answers(seed, 80, classes)
    order, groups = np.random.default_rng(seed).permutation(80), np.arange(80) // 4
    turned = Answers(*(part[order] for part in answers))
    for numbers, renamed in ((None, None), (groups, (groups * 7 % 20)[order])):
        pairs = zip(_all(labels, answers, numbers), _all(labels[order], turned, renamed), strict=True)
        assert all(_shown(one) == pytest.approx(_shown(other)) for one, other in pairs)


@given(seed=seeds)
def test_methods_swapped_have_the_opposite_difference(seed):
    labels, first = _answers(seed, 80, 2, 0.4)
    _, second = _answers(seed + 1, 80, 2, 0.4)
    for measure in MEASURES:
        there = paired_difference(labels, first, second, None, measure)
        back = paired_difference(labels, second, first, None, measure)
        assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
        assert there.p_value == pytest.approx(back.p_value)


@given(seed=seeds, classes=st.integers(2, 4))
def test_images_that_are_repeated_in_groups_add_nothing(seed, classes):
    labels, answers = _answers(seed, 100, classes, 0.3)
    groups = np.repeat(np.arange(100), 3)
    repeated = Answers(*(np.repeat(part, 3, axis=0) for part in answers))
    alone, together = _all(labels, answers), _all(np.repeat(labels, 3), repeated, groups)
    for one, other in zip(alone, together, strict=True):
        assert one.value == pytest.approx(other.value)
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.15)
    as_images = _all(np.repeat(labels, 3), repeated)
    assert all(one.high - one.low < 0.7 * (other.high - other.low) for one, other in zip(as_images, alone, strict=True))


@pytest.mark.parametrize("measure", ["balanced_accuracy", "macro_f1", "auroc", "average_precision"])
@pytest.mark.parametrize("image", [0, 7, 20])
def test_an_influence_is_what_more_of_an_image_adds(measure, image):
    labels, answers = _answers(3, 60, 2, 0.4)
    theirs = {
        "balanced_accuracy": balanced_accuracy_score,
        "macro_f1": lambda *given, **more: f1_score(*given, average="macro", **more),
        "auroc": roc_auc_score,
        "average_precision": average_precision_score,
    }[measure]
    ranked = measure in {"auroc", "average_precision"}
    given = (labels == 1, answers.probabilities[:, 1]) if ranked else (labels, answers.predicted)
    more = np.ones(60)
    more[image] += 1e-5
    slope = (theirs(*given, sample_weight=more) - theirs(*given)) / 1e-5 * 60
    assert getattr(estimates, measure)(*given).influence[image] == pytest.approx(slope, rel=1e-3, abs=1e-4)


def test_with_one_class_the_balanced_accuracy_is_the_accuracy():
    labels, predicted = np.zeros(20, int), (np.arange(20) < 5).astype(int)
    found = figures(labels, np.eye(2)[predicted], predicted)
    assert _shown(found.balanced_accuracy) == pytest.approx(_shown(found.accuracy))
    assert (found.majority, found.worst_class, found.auroc) == (1.0, 0, None)


def test_always_the_majority_s_answer_is_seen_through():
    labels, predicted = np.repeat([0, 1], [95, 5]), np.zeros(100, int)
    found = figures(labels, np.tile([0.9, 0.1], (100, 1)), predicted)
    assert found.accuracy.value == found.majority == 0.95
    assert (found.balanced_accuracy.value, found.worst_class, found.worst_recall) == (0.5, 1, 0.0)
    assert (found.auroc.value, found.average_precision.value) == (0.5, pytest.approx(0.05))


@pytest.mark.parametrize("right", [True, False])
def test_at_the_ends_an_interval_is_one_sided_and_counts_the_rare_class(right):
    labels = np.repeat([0, 1], [95, 5])
    predicted = labels if right else 1 - labels
    for one in _all(labels, Answers(np.eye(2)[predicted], predicted))[1:]:
        if right:
            assert (one.value, one.high) == (1.0, 1.0)
            assert wilson(1.0, 3)[0] < one.low < wilson(1.0, 25)[0]
        else:
            assert one.value < 0.06
            assert one.high > 0.1


def test_one_image_and_one_group_say_next_to_nothing():
    labels, probabilities = np.array([0, 0, 0, 1, 1, 1]), np.eye(2)[[0, 0, 0, 1, 1, 1]]
    for one in _all(labels, Answers(probabilities, labels), np.zeros(6, int)):
        assert one.low < 0.25
    alone = figures(labels[:1], probabilities[:1], labels[:1])
    assert _shown(alone.balanced_accuracy) == (1.0, *wilson(1.0, 1))


def test_methods_that_answer_alike_have_no_difference_but_an_interval():
    labels, answers = _answers(0, 100, 2)
    for measure in MEASURES:
        same = paired_difference(labels, answers, answers, None, measure)
        assert (same.value, same.p_value) == (0, 1)
        assert same.low < 0 < same.high


def test_of_equally_frequent_classes_a_difference_of_balanced_accuracies_is_about_that_of_accuracies():
    random, labels = np.random.default_rng(0), np.arange(400) % 2
    drawn = [np.where(random.random(400) < chance, labels, 1 - labels) for chance in (0.85, 0.75)]
    first, second = (Answers(np.eye(2)[predicted], predicted) for predicted in drawn)
    plain = paired_difference(labels, first, second, None, "accuracy")
    balanced = paired_difference(labels, first, second, None, "balanced-accuracy")
    assert (plain.test, plain.p_value) == ("mcnemar", mcnemar(labels, *drawn).p_value)
    assert (balanced.value, balanced.low, balanced.high) == pytest.approx(
        (plain.value, plain.low, plain.high), abs=5e-3
    )


def test_only_two_classes_that_occur_are_ranked():
    labels, answers = _answers(0, 50, 3)
    with pytest.raises(ValueError, match="two classes"):
        paired_difference(labels, answers, answers, None, "auroc")
    assert curves(labels, answers.probabilities) is None
    assert curves(np.zeros(5, int), np.eye(2)[np.zeros(5, int)]) is None


def test_curves_keep_their_shape_in_few_points():
    labels, answers = _answers(0, 5000, 2, 0.05)
    random = np.random.default_rng(1)
    blurred = answers.probabilities[:, 1] + random.normal(0, 0.05, 5000)
    probabilities = np.column_stack([1 - blurred, blurred])
    found, exact = curves(labels, probabilities), figures(labels, probabilities, answers.predicted)
    for x, y in (
        (found.false_positive_rate, found.true_positive_rate),
        (found.recall, found.precision),
    ):
        assert 50 < len(x) == len(y) <= 200
        assert x == sorted(x)
    assert (found.false_positive_rate[0], found.true_positive_rate[0]) == (0, 0)
    assert (found.false_positive_rate[-1], found.true_positive_rate[-1], found.recall[-1]) == (1, 1, 1)
    assert auc(found.false_positive_rate, found.true_positive_rate) == pytest.approx(exact.auroc.value, abs=0.003)
    assert auc(found.recall, found.precision) == pytest.approx(exact.average_precision.value, abs=0.02)
    assert found == curves(labels, probabilities)


def test_a_short_curve_is_kept_whole():
    found = curves(np.array([0, 0, 1, 1]), np.column_stack([[0.9, 0.4, 0.6, 0.1], [0.1, 0.6, 0.4, 0.9]]))
    assert (found.false_positive_rate, found.true_positive_rate) == ([0, 0, 0.5, 0.5, 1], [0, 0.5, 0.5, 1, 1])
    assert (found.recall, found.precision) == ([0, 0.5, 0.5, 1, 1], [1, 1, 0.5, 2 / 3, 0.5])


@pytest.mark.parametrize(
    ("values", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.9, 0.5, 0.02], [1.0, 1.0, 0.06]),
        ([0.3], [0.3]),
        ([], []),
    ],
)
def test_p_values_of_a_family_are_adjusted_step_by_step(values, adjusted):
    assert holm(values) == pytest.approx(adjusted)


@pytest.mark.parametrize("measure", MEASURES)
def test_intervals_hold_the_true_value_as_often_as_they_say(measure):
    found = simulated(Data(200, (0.75, 0.25)), measure, 40)
    assert 0.92 <= found.held.mean() <= 0.995
    assert 0.92 <= found.difference_held.mean() <= 0.995
    assert found.wrongly_different <= 0.08
