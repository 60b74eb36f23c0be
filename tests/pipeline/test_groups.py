"""Images that come in groups: intervals and p-values that count the groups, and results that say so."""

import json

import numpy as np
import pytest
from commandline import invoke
from hypothesis import given
from hypothesis import strategies as st
from imagefiles import encoded, picture, write
from scipy.stats import t
from trained import target_of, trained_method

from bottleneck_features.pipeline.evaluation.comparisons import on_the_same_images
from bottleneck_features.pipeline.evaluation.differences import Answers, paired_difference
from bottleneck_features.pipeline.evaluation.duplicates import Duplicates
from bottleneck_features.pipeline.evaluation.evaluation_set import EvaluationSet
from bottleneck_features.pipeline.evaluation.groups import (
    group_numbers,
    group_warnings,
    images_kept,
    lone_class_warnings,
)
from bottleneck_features.pipeline.evaluation.per_class import absent_warnings
from bottleneck_features.pipeline.evaluation.scores import accuracy_difference, mcnemar, score
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.tables import evidence_text, pair_line

RUNS = 300
SAME = 0.9  # how alike the images of a group are: their answers' correlation


def _compared(labels, predicted, groups=None) -> list[dict]:
    answers = {name: Answers(np.eye(2)[own], own) for name, own in predicted.items()}
    return [one.as_json() for one in on_the_same_images(labels, answers, groups, "accuracy")]


def _right(random: np.random.Generator, chance: float, groups: np.ndarray) -> np.ndarray:
    """Draw which images a method gets right; a group's share is beta-distributed about the chance."""
    spread = (1 - SAME) / SAME
    shares = random.beta(chance * spread, (1 - chance) * spread, groups.max() + 1)
    return random.random(len(groups)) < shares[groups]


def _methods(seed: int, groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Labels and the answers of two methods that are right by 0.85 · 0.9, by turns on the same and on other groups."""
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(RUNS):
        easy = _right(random, 0.85, groups)
        first, second = (1 - (easy & _right(random, 0.9, groups)) for _ in range(2))
        drawn.append((np.zeros(len(groups), int), first, second))
    return drawn


SIZES = {
    "40 of 10": np.full(40, 10),
    "20 of 5": np.full(20, 5),
    "Zipf": (160 / np.arange(1, 36) / 4.147).astype(int),
    "one of 47 %": np.array([74] + [2] * 19 + [3] * 15),
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_intervals_and_p_values_keep_their_promise_on_images_in_groups(sizes):
    groups, count = np.repeat(np.arange(len(sizes)), sizes), len(sizes)
    accuracy, difference, significant, alone = 0, 0, 0, 0
    for labels, first, second in _methods(count, groups):
        scored = score(labels, first, groups)
        accuracy += scored.low <= 0.85 * 0.9 <= scored.high
        found = accuracy_difference(labels, first, second, groups)
        difference += found.low <= 0 <= found.high
        compared = paired_difference(
            labels, *(Answers(np.eye(2)[one], one) for one in (first, second)), groups, "accuracy"
        )
        significant += compared.p_value < 0.05
        assert (compared.p_value < 0.05) == (
            not compared.low <= 0 <= compared.high
        )  # they never contradict one another
        alone += mcnemar(labels, first, second).p_value < 0.05
    assert accuracy / RUNS >= 0.92
    assert difference / RUNS >= 0.93
    assert significant / RUNS <= 0.06
    assert alone / RUNS > 0.2  # as images: two equally good methods are called different


def test_two_methods_that_differ_in_most_groups_are_told_apart():
    groups = np.repeat(np.arange(40), 10)
    labels, good, bad = np.zeros(400, int), np.zeros(400, int), np.isin(groups, range(10)).astype(int)
    (pair,) = _compared(labels, {"good": good, "bad": bad}, groups)
    assert pair["test"] == "interval"
    assert 1e-5 < pair["p_value"] < 0.01
    assert (pair["only_first_right"], pair["only_second_right"]) == (100, 0)
    assert 0 < pair["difference_interval"][0] < 0.25 < pair["difference_interval"][1]
    (alone,) = _compared(labels, {"good": good, "bad": bad})
    assert alone["test"] == "mcnemar"
    assert alone["p_value"] == mcnemar(labels, good, bad).p_value


def test_groups_whose_images_are_all_alike_count_as_one_image_each():
    groups = np.repeat(np.arange(40), 10)
    right = (groups < 30) - 0.75
    assert 400 * images_kept(right, groups) == pytest.approx(39 * (1.966 / 2.0227) ** 2, 1e-3)
    assert 400 * images_kept(np.zeros(400), groups) == pytest.approx(40)
    assert images_kept(right, None) == 1
    perfect = score(np.zeros(400, int), np.zeros(400, int), groups)
    assert (perfect.low, perfect.high, perfect.n) == (score(np.zeros(40, int), np.zeros(40, int)).low, 1.0, 400)


def test_images_of_a_group_that_are_as_unlike_as_others_count_nearly_in_full():
    groups = np.repeat(np.arange(100), 10)
    right = np.random.default_rng(0).random(1000) < 0.8
    assert 0.7 < images_kept(right - right.mean(), groups) <= 1


def test_what_a_large_group_costs_can_be_reckoned_by_hand():
    groups = np.repeat([0, 1, 2, 3], [6, 2, 2, 2])
    assert images_kept(np.zeros(12), groups) == pytest.approx(
        12 / (36 + 4 + 4 + 4)
    )  # an image's group has 4 on average
    alike = np.repeat([-1.0, 2.0, 1.0, 0.0], [6, 2, 2, 2])
    sums, shares = np.array([-6, 4, 2, 0]), np.array([6, 2, 2, 2]) / 12
    effect = np.sum(sums**2 / (1 - shares)) / np.sum(alike**2)  # 96 / 16
    matrix = (
        np.diag((1 - shares) ** -0.5) @ (np.diag(shares) - np.outer(shares, shares)) @ np.diag((1 - shares) ** -0.5)
    )
    freedom = np.trace(matrix) ** 2 / np.sum(matrix**2)
    by_sums = (t.ppf(0.975, 11) / t.ppf(0.975, freedom)) ** 2 / effect
    by_likeness = (t.ppf(0.975, 11) / t.ppf(0.975, 3)) ** 2 / 4  # images of a group are the same
    assert images_kept(alike, groups) == pytest.approx(min(by_sums, by_likeness))


def test_classes_are_compared_with_their_own_groups_only():
    labels, groups = np.repeat([0, 1], [40, 8]), np.repeat(np.arange(24), 2)
    influence = np.where(np.arange(48) % 4 < 2, 1.0, -1.0)
    influence[labels == 1] *= 5
    assert images_kept(influence, groups, labels) < 0.7 * images_kept(influence, groups)  # 4 groups make most of it
    single = np.repeat([0, 1], [40, 1]), np.r_[np.repeat(np.arange(20), 2), 20]
    assert images_kept(np.r_[influence[:40], 0.0], single[1], single[0]) > 0


@given(seed=st.integers(0, 2**31), count=st.integers(1, 30), classes=st.integers(1, 4))
def test_images_in_groups_never_count_for_more_than_independent_ones(seed, count, classes):
    random = np.random.default_rng(seed)
    groups, strata = random.integers(0, count, 40), random.integers(0, classes, 40)
    kept = images_kept(random.normal(size=40) * random.integers(0, 2, 40), groups, strata)
    assert 0 < kept <= 1


def test_a_group_that_has_many_of_the_images_is_named():
    names = np.repeat(["street", *"abcdefghi"], [8, *[6] * 9])
    together = group_warnings(names, "test images")
    assert together[0].startswith(
        "The 62 test images come in 10 groups (dataset.group). Figures are means over images; "
    )
    assert together[1].startswith("Groups: 8 of the 62 test images (13%) are of one group, 'street'")
    assert "more groups" not in together[1]
    assert "more groups" in group_warnings(np.repeat(["a", "b", "c"], [4, 2, 2]), "images")[1]
    assert len(group_warnings(np.repeat(np.arange(20).astype(str), 2), "images")) == 1
    assert group_warnings(np.arange(9).astype(str), "images") == group_warnings(None, "images") == ()


def test_one_group_says_next_to_nothing():
    labels, first, second = np.zeros(9, int), np.zeros(9, int), np.ones(9, int)
    groups = np.zeros(9, int)
    (pair,) = _compared(labels, {"first": first, "second": second}, groups)
    assert pair["p_value"] > 0.05
    assert pair["difference_interval"][0] < 0
    assert score(labels, first, groups).low < 0.25


@pytest.mark.parametrize(("names", "expected"), [("aabbc", [0, 1, 1, 2]), ("abcde", None), (None, None)])
def test_groups_are_those_of_the_part_and_none_where_no_images_share_one(names, expected):
    found = group_numbers(np.array(list(names))[1:] if names else None)
    assert (found if found is None else found.tolist()) == expected


@pytest.mark.parametrize(("split", "kind"), [("test", "test"), ("train", "validation")])
def test_every_final_score_of_a_method_counts_groups(split, kind):
    labels, groups = np.zeros(40, int), np.repeat(np.arange(10), 4)
    seen = Duplicates((), np.arange(40) < 4, "")
    final = EvaluationSet(target_of(), labels, Subset(split, np.arange(40)), seen, groups)
    wrong = (groups % 3 == 0).astype(int)
    before = Method("head", (), 0, {"validation": score(labels, wrong, groups)}, {})
    method = final.score(trained_method(before, lambda part: np.eye(2)[wrong]))
    assert method.scores[kind] == score(labels, wrong, groups)
    assert method.scores["without_duplicates"] == score(labels[4:], wrong[4:], groups[4:])


def test_a_probe_of_images_in_groups_names_the_test_and_warns(tmp_path):
    root, names = tmp_path / "pictures", ("shade 1", "shade 2")
    for number, name in enumerate(names):
        for i in range(60):
            write(root / name / f"{name} {i // 4}-{i}.jpg", encoded(picture(100 * number + i // 4, (110, 90, 90))))
    words = ["-e", "natural-images"]
    for override in (
        f"dataset.path={root}", "dataset.test_fraction=0.2", r"dataset.group=shade \d \d+", "backbone.name=efficientnet-lite0",
        "backbone.layers=top_activation", "input.size=32,32", "head.epochs=1",
    ):  # fmt: skip
        words += ["--set", override]
    assert invoke("features", *words, home=tmp_path).exit_code == 0
    result = json.loads(invoke("probe", *words, "--json", home=tmp_path).stdout)
    n = result["methods"][0]["n"]["test"]
    expected = f"The {n} test images come in {n // 4} groups (dataset.group)"
    assert any(warning.startswith(expected) for warning in result["warnings"])
    assert {pair["test"] for pair in result["pairs"]} == {"interval"}
    for pair in result["pairs"]:
        assert f"by the interval, p = {pair['p_value']:.2g}" in pair_line(pair, "test")
    for method in (*result["methods"], *result["table"]):
        validation = method["n"]["validation"]
        assert method["groups"]["validation"] == validation // 4
    for method in result["methods"]:
        assert method["groups"]["test"] == n // 4
        low, high = method["interval"]["test"]
        alone = score(np.zeros(n, int), (np.arange(n) >= round(method["accuracy"]["test"] * n)).astype(int))
        assert high - low > 1.3 * (alone.high - alone.low)


def test_a_result_that_names_no_test_is_mcnemar_s():
    assert evidence_text({"test": "mcnemar", "p_value": 0.25}) == "exact McNemar p = 0.25"


def test_a_class_whose_images_are_all_of_one_group_is_named():
    names, labels = np.array(["x", "x", "y", "z", "z", "y"]), np.array([0, 0, 1, 1, 1, 2])
    (warning,) = lone_class_warnings(names, labels, ("cat", "dog", "fox"), "test images")
    assert warning.startswith("Groups: all test images of 'cat' are of one group for each class")
    assert lone_class_warnings(np.arange(6).astype(str), labels, ("cat", "dog", "fox"), "images") == ()
    assert lone_class_warnings(None, labels, ("cat", "dog", "fox"), "images") == ()


def test_classes_without_images_are_named():
    (warning,) = absent_warnings(np.array([0, 2, 2]), ("cat", "dog", "fox", "owl"), "test images")
    assert "there are no test images of 'dog', 'owl': how well the model finds these classes is not measured" in warning
    assert absent_warnings(np.array([1, 0]), ("cat", "dog"), "test images") == ()
