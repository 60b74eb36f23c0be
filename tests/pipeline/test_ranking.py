"""Which method validation images speak for, also where they are few."""

from dataclasses import dataclass

import numpy as np
import pytest

from bottleneck_features.pipeline.evaluation.ranking import calibrated_loss, level_with_best, ranked
from bottleneck_features.pipeline.evaluation.scores import score
from bottleneck_features.pipeline.method_row import Method

LABELS = np.array([0, 1] * 8)


@dataclass(frozen=True)
class _Rival:
    method: Method
    validation_probabilities: np.ndarray


def _rival(name: str, layer: str, chances: np.ndarray) -> _Rival:
    """A method that gives the true class these probabilities, `(16,)`."""
    probabilities = np.where(np.arange(2) == LABELS[:, None], chances[:, None], 1 - chances[:, None])
    scores = {"validation": score(LABELS, probabilities.argmax(axis=1))}
    return _Rival(Method(name, (layer,), 1, scores, {}), probabilities)


def _order(*rivals: _Rival) -> list[str]:
    return [one.method.name for one in ranked(rivals, LABELS, "abc")]


def test_accuracy_comes_first():
    wrong_once = np.array([0.4] + [0.99] * 15)
    assert _order(_rival("sure", "c", wrong_once), _rival("right", "a", np.full(16, 0.51))) == ["right", "sure"]


def test_of_equal_accuracies_the_better_probabilities_win_wherever_they_are_listed():
    steady, loose = np.full(16, 0.9), np.array([0.99, 0.55] * 8)
    for order in ((0, 1), (1, 0)):
        rivals = [_rival("loose", "c", loose), _rival("steady", "a", steady)]
        assert _order(*(rivals[place] for place in order)) == ["steady", "loose"]


def test_a_method_that_is_not_sure_enough_of_itself_is_not_held_against_it():
    timid = np.full(16, 0.55)  # one temperature makes it as sure as it is right
    assert _order(_rival("uneven", "c", np.array([0.99, 0.6] * 8)), _rival("timid", "a", timid)) == ["timid", "uneven"]
    losses = [
        calibrated_loss(LABELS, _rival("", "a", np.full(16, value)).validation_probabilities) for value in (0.55, 0.9)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_of_the_same_answers_the_latest_layer_is_taken_in_whatever_order_they_were_tried():
    same = np.full(16, 0.9)
    assert _order(_rival("b", "b", same), _rival("c", "c", same), _rival("a", "a", same)) == ["c", "b", "a"]
    assert _order(_rival("a", "a", same), _rival("c", "c", same), _rival("b", "b", same)) == ["c", "b", "a"]


def test_neighbours_come_after_classifiers_of_the_same_accuracy():
    certain, doubtful = np.full(16, 0.999), np.array([0.99, 0.6] * 8)
    assert _order(_rival("knn", "c", certain), _rival("ridge", "a", doubtful)) == ["ridge", "knn"]
    assert _order(_rival("knn", "c", certain), _rival("ridge", "a", np.array([0.4] + [0.99] * 15))) == ["knn", "ridge"]


def test_how_many_are_level_is_counted():
    rivals = ranked([_rival("x", "a", np.full(16, 0.9)), _rival("y", "b", np.full(16, 0.6))], LABELS, "abc")
    assert level_with_best(rivals, LABELS) == 2
    worse = _rival("z", "c", np.array([0.4] + [0.9] * 15))
    assert level_with_best([*rivals, worse], LABELS) == 2
