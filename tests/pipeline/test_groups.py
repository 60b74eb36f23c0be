"""Images that come in groups: intervals and p-values that count the groups, and results that say so."""

import json

import numpy as np
import pytest
from commandline import invoke
from hypothesis import given
from hypothesis import strategies as st
from imagefiles import encoded, picture, write
from scipy.stats import permutation_test
from trained import target_of, trained_method

from bottleneck_features.pipeline.datasets.dataset import ArrayDataset, Samples
from bottleneck_features.pipeline.evaluation.comparisons import on_the_same_images
from bottleneck_features.pipeline.evaluation.differences import Answers
from bottleneck_features.pipeline.evaluation.duplicates import Duplicates
from bottleneck_features.pipeline.evaluation.evaluation_set import EvaluationSet
from bottleneck_features.pipeline.evaluation.groups import effective_images, scored_groups, sign_flip_test
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


@pytest.mark.parametrize(("count", "size"), [(40, 10), (20, 5)])
def test_intervals_and_p_values_keep_their_promise_on_images_in_groups(count, size):
    groups = np.repeat(np.arange(count), size)
    accuracy, difference, significant, alone = 0, 0, 0, 0
    for labels, first, second in _methods(count, groups):
        scored = score(labels, first, groups)
        accuracy += scored.low <= 0.85 * 0.9 <= scored.high
        found = accuracy_difference(labels, first, second, groups)
        difference += found.low <= 0 <= found.high
        gains = (first == labels).astype(int) - (second == labels)
        significant += sign_flip_test(gains, groups) < 0.05
        alone += mcnemar(labels, first, second).p_value < 0.05
    assert accuracy / RUNS >= 0.92
    assert difference / RUNS >= 0.93
    assert significant / RUNS <= 0.07
    assert alone / RUNS > 0.2  # as images: two equally good methods are called different


def test_two_methods_that_differ_in_most_groups_are_told_apart():
    groups = np.repeat(np.arange(40), 10)
    labels, good, bad = np.zeros(400, int), np.zeros(400, int), np.isin(groups, range(10)).astype(int)
    (pair,) = _compared(labels, {"good": good, "bad": bad}, groups)
    assert pair["test"] == "group sign-flip"
    assert pair["p_value"] == pytest.approx(2 * 0.5**10)
    assert (pair["only_first_right"], pair["only_second_right"]) == (100, 0)
    assert 0 < pair["difference_interval"][0] < 0.25 < pair["difference_interval"][1]
    (alone,) = _compared(labels, {"good": good, "bad": bad})
    assert alone["test"] == "mcnemar"
    assert alone["p_value"] == mcnemar(labels, good, bad).p_value


@given(seed=st.integers(0, 2**31), count=st.integers(1, 10))
def test_the_test_over_groups_is_the_exact_permutation_test(seed, count):
    random = np.random.default_rng(seed)
    groups, gains = random.integers(0, count, 30), random.choice([-1, 0, 0, 1, 1], 30)
    sums = np.bincount(groups, gains, count)
    if count > 1:
        exact = permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=np.inf)
        assert sign_flip_test(gains, groups) == pytest.approx(exact.pvalue)


@given(seed=st.integers(0, 2**31), n=st.integers(1, 3000))
def test_with_one_image_a_group_it_is_mcnemar_s_test(seed, n):
    labels, first, second = np.random.default_rng(seed).integers(0, 3, (3, n))
    gains = (first == labels).astype(int) - (second == labels)
    assert sign_flip_test(gains, np.arange(n)) == pytest.approx(mcnemar(labels, first, second).p_value)


def test_groups_whose_images_are_all_alike_count_as_one_image_each():
    groups = np.repeat(np.arange(40), 10)
    assert effective_images((groups < 30).astype(int), groups, 0.95) == pytest.approx(39 * (1.966 / 2.0227) ** 2, 1e-3)
    assert effective_images(np.ones(400), groups, 0.95) == 40
    assert effective_images(np.ones(400), None, 0.95) == 400
    perfect = score(np.zeros(400, int), np.zeros(400, int), groups)
    assert (perfect.low, perfect.high, perfect.n) == (score(np.zeros(40, int), np.zeros(40, int)).low, 1.0, 400)


def test_images_of_a_group_that_are_as_unlike_as_others_count_nearly_in_full():
    groups = np.repeat(np.arange(100), 10)
    right = np.random.default_rng(0).random(1000) < 0.8
    assert 700 < effective_images(right, groups, 0.95) <= 1000


def test_one_group_says_next_to_nothing():
    labels, first, second = np.zeros(9, int), np.zeros(9, int), np.ones(9, int)
    groups = np.zeros(9, int)
    (pair,) = _compared(labels, {"first": first, "second": second}, groups)
    assert pair["p_value"] == 1
    assert pair["difference_interval"][0] < 0
    assert score(labels, first, groups).low < 0.25


@pytest.mark.parametrize(("names", "expected"), [("aabbc", [0, 1, 1, 2]), ("abcde", None), (None, None)])
def test_groups_are_those_of_the_part_and_none_where_no_images_share_one(names, expected):
    samples = Samples(np.arange(5).astype(str), np.zeros(5, int))
    dataset = ArrayDataset("made", ("a",), {"test": np.zeros((5, 4, 4, 3), np.uint8)}, {"test": samples})
    dataset.groups = {"test": np.array(list(names))} if names else {}
    found = scored_groups(dataset, Subset("test", np.arange(1, 5)))
    assert (found if found is None else found.tolist()) == expected


@pytest.mark.parametrize(("split", "kind"), [("test", "test"), ("train", "validation")])
def test_every_final_score_of_a_method_counts_groups(split, kind):
    labels, groups = np.zeros(40, int), np.repeat(np.arange(10), 4)
    seen = Duplicates((), np.arange(40) < 4, "")
    final = EvaluationSet(target_of(), labels, Subset(split, np.arange(40)), seen, groups)
    wrong = (groups % 3 == 0).astype(int)
    before = Method("head", (), 0, {"validation": score(labels, wrong)}, {})
    method = final.score(trained_method(before, lambda part: np.eye(2)[wrong]))
    assert method.scores[kind] == score(labels, wrong, groups)
    assert method.scores["without_duplicates"] == score(labels[4:], wrong[4:], groups[4:])
    assert final.warnings()[0].startswith(f"The 40 {kind} images come in 10 groups (dataset.group)")


def test_without_groups_nothing_is_said():
    final = EvaluationSet(
        target_of(), np.zeros(2, int), Subset("test", np.arange(2)), Duplicates((), np.zeros(2, bool), "")
    )
    assert final.warnings() == ()


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
    assert {pair["test"] for pair in result["pairs"]} == {"group sign-flip"}
    for pair in result["pairs"]:
        assert f"exact sign-flip test over groups, p = {pair['p_value']:.2g}" in pair_line(pair, "test")
    for method in result["methods"]:
        low, high = method["interval"]["test"]
        alone = score(np.zeros(n, int), (np.arange(n) >= round(method["accuracy"]["test"] * n)).astype(int))
        assert high - low > 1.3 * (alone.high - alone.low)


def test_a_result_that_names_no_test_is_mcnemar_s():
    assert evidence_text({"test": "mcnemar", "p_value": 0.25}) == "exact McNemar p = 0.25"
