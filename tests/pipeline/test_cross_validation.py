"""Cross-validation by the commands: labels by lot give chance, and pictures that are there several times gain nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commandline import invoke
from sklearn.metrics import average_precision_score
from tossed import COPIES, tossed
from trained import target_of, trained_method

from bottleneck_features.pipeline.evaluation.differences import Answers, paired_difference
from bottleneck_features.pipeline.evaluation.folded_set import FoldedSet
from bottleneck_features.pipeline.evaluation.folds import Fold, folded_difference
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.methods import cross_validation
from bottleneck_features.pipeline.methods.saved_head import load_head


def _probed(*words: str, home: Path) -> dict[str, Any]:
    done = invoke("probe", *words, "--json", home=home)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_labels_by_lot_are_recognized_as_often_as_by_chance(tmp_path):
    result = _probed(*tossed(tmp_path, 60, ("as it is.png",)), "--repeats", "2", home=tmp_path)
    assert (result["folds"], result["repeats"], result["units"]) == (5, 2, 60)
    for row in result["methods"]:
        low, high = row["interval"]["cross_validated"]
        assert low < 0.5 < high, row["name"]


def test_pictures_that_are_there_four_times_gain_nothing(tmp_path, monkeypatch):
    words = tossed(tmp_path, 40, tuple(COPIES))
    result = _probed(*words, "--repeats", "1", home=tmp_path)
    assert result["units"] == 40
    assert load_head(Path(result["files"][0])).novelty.counts() == {"images": 160, "groups": 40}
    for row in result["methods"]:
        low, high = row["interval"]["cross_validated"]
        assert low < 0.5 < high, row["name"]
    chosen = [row["accuracy"]["validation"] for row in result["table"]]
    assert min(chosen) < 0.8  # of the model that is kept: with copies on both sides all are 1

    monkeypatch.setattr(cross_validation, "training_units", lambda study: np.arange(160))
    parted = _probed(*words, "--repeats", "1", home=tmp_path)
    assert min(row["accuracy"]["cross_validated"] for row in parted["methods"]) > 0.8


@pytest.mark.parametrize("shift", [1.0, 2.0])
def test_figures_of_a_rare_class_are_not_better_because_folds_are_small(shift):
    random, labels = np.random.default_rng(0), np.repeat([0, 1], [300, 30])
    many = np.repeat([0, 1], [100_000, 10_000])
    truth = average_precision_score(many, random.normal(size=len(many)) + shift * many)
    found, means = [], []
    for _ in range(60):
        scores = random.normal(size=330) + shift * labels
        folded = FoldedSet(target_of(2), labels, Subset("train", np.arange(330)), np.arange(330))
        means.append([])
        for number in range(5):
            scored = np.flatnonzero(np.r_[np.arange(300), np.arange(30)] % 5 == number)
            rest = np.setdiff1d(np.arange(330), scored)
            fold = Fold(0, Holdout(Subset("train", rest[:200]), Subset("train", rest[200:])), Subset("train", scored))
            second = 1 / (1 + np.exp(-scores[scored] - number))  # every fold's model on a scale of its own
            probabilities = np.stack([1 - second, second], axis=1)
            row = Method("ridge", ("a",), 1, {}, {})
            folded.add("ridge", fold, trained_method(row, lambda part, own=probabilities: own))
            means[-1].append(average_precision_score(labels[scored], second))
        scored_row = folded.score(trained_method(row, lambda part: np.zeros((0, 2))))
        found.append(scored_row.figure("cross_validated", "average-precision").value)
    assert np.mean(found) == pytest.approx(truth, abs=0.03)
    assert np.mean(means) > truth + 0.03


def test_a_class_that_most_folds_are_without_counts_as_much_as_the_others():
    labels = np.repeat([0, 1, 2], [30, 30, 2])
    folded = FoldedSet(target_of(3), labels, Subset("train", np.arange(62)), np.arange(62))
    row = Method("ridge", ("a",), 1, {}, {})
    for number in range(5):
        scored = np.flatnonzero(np.arange(62) % 5 == number)
        rest = np.setdiff1d(np.arange(62), scored)
        fold = Fold(0, Holdout(Subset("train", rest[:30]), Subset("train", rest[30:])), Subset("train", scored))
        answers = np.eye(3)[labels[scored] % 2]  # all right but the rare class, which is never answered
        folded.add("ridge", fold, trained_method(row, lambda part, own=answers: own))
    found = folded.score(trained_method(row, lambda part: np.zeros((0, 3)))).figures["cross_validated"]
    assert found.worst_recall == 0
    assert found.balanced_accuracy.value == pytest.approx(2 / 3)
    assert found.balanced_accuracy.low < 2 / 3 < found.balanced_accuracy.high


@pytest.mark.parametrize("select", ["auroc", "average-precision", "balanced-accuracy", "macro-f1", "log-loss"])
def test_validation_images_of_one_class_can_choose_by_any_criterion(select):
    target, labels = target_of(2, select), np.array([0, 0])
    right, half = np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([[0.9, 0.1], [0.2, 0.8]])
    assert target.criterion(right, labels) >= target.criterion(half, labels)
    answers = [Answers(one, one.argmax(axis=1)) for one in (right, half)]
    found = paired_difference(labels, *answers, None, target.compared)
    assert found.value >= 0.5
    assert found.p_value > 0.05


@pytest.mark.parametrize("gains", [[], [0.3]])
def test_one_fold_shows_no_difference(gains):
    found = folded_difference(np.array(gains), np.zeros(len(gains)), (80, 20))
    assert (found.low, found.high, found.p_value) == (-1, 1, 1)
    assert found.value == sum(gains)


@pytest.mark.parametrize(("units", "code"), [(2, 2), (3, 0)])
def test_too_few_different_pictures_to_cross_validate_are_refused(tmp_path, monkeypatch, units, code):
    words = tossed(tmp_path, 12, ("as it is.png",))
    monkeypatch.setattr(cross_validation, "training_units", lambda study: np.arange(12) % units)
    done = invoke("probe", *words, "--repeats", "1", home=tmp_path)
    assert done.exit_code == code, done.stderr
    assert ("needs at least 3 groups or different pictures" in done.stderr) == bool(code)
