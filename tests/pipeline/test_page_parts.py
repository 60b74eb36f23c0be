"""What pages show of single images and classes: thresholds, confusion tables, typical and wrong images, repeated pairs."""

import dataclasses

import numpy as np
import pytest
from correcting import embedded
from hypothesis import given
from hypothesis import strategies as st

from bottleneck_features.pipeline.evaluation.details import Place
from bottleneck_features.pipeline.evaluation.predictions import Predictions
from bottleneck_features.pipeline.plots.points import _apart
from bottleneck_features.pipeline.plots.style import spanned
from bottleneck_features.pipeline.reporting.class_images import sample_rows, wrong_rows
from bottleneck_features.pipeline.reporting.confusion import confusion_tables
from bottleneck_features.pipeline.reporting.gallery import MOST, OF_A_PAIR, _surest
from bottleneck_features.pipeline.reporting.page import breakable
from bottleneck_features.pipeline.reporting.repeated import pairs_of_result, repeated_pairs
from bottleneck_features.pipeline.reporting.thresholds import thresholds

ROW = {"name": "head", "layers": ["a"], "threshold": None}
LABEL = "head@a"


def predictions(labels: list[int], predicted: list[int], confidence: list[float]) -> Predictions:
    ids = np.array([f"i{number}" for number in range(len(labels))])
    own = np.array(confidence, np.float32)
    return Predictions("test", ids, np.array(labels), {LABEL: np.array(predicted)}, {LABEL: own})


def counts(shares: list) -> list[tuple[int, int]]:
    return [(hits, of) for *_, hits, of in shares]


def test_a_moved_threshold_of_two_classes_gives_recall_and_precision():
    kept = predictions(
        [1, 1, 1, 0, 0], [1, 1, 0, 1, 0], [0.9, 0.75, 0.625, 0.75, 0.8]
    )  # of class 1: .9 .75 .375 .75 .2
    found = thresholds(kept, {**ROW, "threshold": 0.3}, {"positive": 1}, 1.0, None)
    assert (found.positive, found.used, found.chosen) == (1, 0.3, True)
    assert found.steps == pytest.approx([0, 0.2875, 0.3, 0.5625, 0.825])
    assert counts(found.found) == [(3, 3), (3, 3), (3, 3), (2, 3), (1, 3)]
    assert counts(found.right) == [(3, 5), (3, 4), (3, 4), (2, 3), (1, 1)]
    assert found.found[3][:3] == pytest.approx((2 / 3, 0.208, 0.939), abs=1e-3)  # Wilson's interval
    assert found.for_script()["start"] == 2


def test_the_threshold_of_the_first_of_two_classes_is_turned_round_and_calibrated():
    kept = predictions([0, 0, 1], [0, 1, 1], [0.9, 0.6, 0.7])  # of class 0: .9 .4 .3
    found = thresholds(kept, {**ROW, "threshold": 0.8}, {"positive": 0}, 2.0, None)
    assert found.used == pytest.approx(1 / 3)  # odds of 4 at temperature 2 are odds of 2
    assert found.steps == pytest.approx([0, 1 / 3, 0.35, 0.65])
    assert counts(found.found) == [(2, 2), (2, 2), (2, 2), (1, 2)]
    assert counts(found.right) == [(2, 3), (2, 2), (2, 2), (1, 1)]


def test_answers_of_many_classes_are_withheld_below_a_threshold_and_groups_widen_the_intervals():
    kept = predictions([0, 1, 2, 2], [0, 1, 2, 0], [0.5, 0.6, 0.7, 0.8])
    found = thresholds(kept, ROW, None, 1.0, None)
    assert (found.positive, found.used, found.chosen) == (None, 0.0, False)
    assert counts(found.found) == [(4, 4), (3, 4), (2, 4), (1, 4)]
    assert counts(found.right) == [(3, 4), (2, 3), (1, 2), (0, 1)]
    grouped = thresholds(kept, ROW, None, 1.0, np.array([0, 0, 1, 1]))
    assert grouped.right[0][0] == found.right[0][0]
    assert grouped.right[0][1] < found.right[0][1]


def test_thresholds_of_a_rare_class_lie_among_its_images_and_equal_scores_have_none():
    random = np.random.default_rng(0)
    labels = np.array([0] * 5000 + [1] * 50)
    scores = np.concatenate([random.uniform(0, 0.5, 5000), random.uniform(0.3, 0.99, 50)])
    answers = (scores >= 0.5).astype(int)
    kept = predictions(labels.tolist(), answers.tolist(), np.where(answers, scores, 1 - scores).tolist())
    found = thresholds(kept, ROW, {"positive": 1}, 1.0, None)
    assert 0.5 in found.steps
    assert len(found.steps) < 110
    assert len({hits for hits, _ in counts(found.found)}) >= 45
    alike = predictions([0, 1], [0, 0], [0.7, 0.7])
    assert thresholds(alike, ROW, None, 1.0, None) is None


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.05, 0.5))
def test_an_axis_shows_all_and_is_as_wide_as_was_asked(first, second, least):
    low, high = sorted((first, second))
    start, end = spanned(low, high, least)
    assert 0 <= start <= low
    assert high <= end <= 1.018
    assert end - start >= min(least, 1.0) - 1e-9


def test_labels_are_apart_and_stay_in_the_picture():
    assert _apart([10, 20, 100], [28, 28, 28]) == [10, 38, 100]
    assert _apart([200, 215, 220], [28, 28, 28]) == [160, 188, 216]


def test_a_confusion_table_has_the_mistakes_most_frequent_first():
    row = {**ROW, "accuracy": {"validation": 0.5, "test": 0.6}, "kept": True, "interval": {}, "n": {"test": 10}}
    result = {
        "command": "probe", "methods": [row], "classes": ["a", "b", "a class with a name that is long"], "scored_on": "test",
        "confusion": {LABEL: [[3, 1, 0], [0, 2, 2], [0, 0, 2]]},
    }  # fmt: skip
    (table,) = confusion_tables({"probe": result})
    assert (table.method, table.right, table.n, table.opens, table.numbered) == (LABEL, 7, 10, True, True)
    assert [(one.true, one.predicted, one.count, one.share) for one in table.worst] == [(1, 2, 2, 0.5), (0, 1, 1, 0.25)]
    assert dataclasses.astuple(table.cells[1][2]) == (2, 0.5)
    many = {**result, "classes": [f"c{n}" for n in range(31)], "confusion": {LABEL: np.eye(31, dtype=int).tolist()}}
    (large,) = confusion_tables({"probe": many})
    assert (large.cells, large.worst, large.right, large.numbered) == ((), (), 31, False)


def test_mistakes_are_the_surest_and_not_all_of_one_kind():
    labels, predicted = [0] * 40 + [1] * 3, [1] * 40 + [0, 2, 1]
    kept = predictions(labels, predicted, [0.9 - number / 100 for number in range(43)])
    rows = _surest(kept, LABEL)
    assert rows.tolist() == [*range(OF_A_PAIR), 40, 41]
    assert len(_surest(predictions(list(range(400)), [401] * 400, [0.5] * 400), LABEL)) == MOST
    assert [own.tolist() for own in wrong_rows(kept, LABEL, 3)] == [[0, 1, 2], [40, 41], []]


def test_the_pictures_drawn_by_chance_are_the_same_each_time():
    kept = predictions([0] * 50, [0] * 50, [0.5] * 50)
    assert len(set(sample_rows(kept, 0).tolist())) == 12
    assert sample_rows(kept, 0).tolist() == sample_rows(kept, 0).tolist() != sample_rows(kept, 1).tolist()
    assert len(sample_rows(predictions([0], [0], [0.5]), 0)) == 1


def test_pairs_that_a_result_makes_up_are_left_out():
    digits = embedded("digits", "dataset.limit=120")
    train, test = (digits.splits[split].ids.tolist() for split in ("train", "test"))
    pair = {"learned_id": train[3], "scored_id": test[5], "kind": "exact"}
    made_up = [
        "no object", {}, {**pair, "learned_id": "nobody"}, {**pair, "scored_id": train[0]}, {**pair, "kind": "<script>"}, pair,
    ]  # fmt: skip
    found = pairs_of_result(digits, {"duplicates": {"pairs": made_up}})
    assert sorted(kind for *_, kind in found) == ["alike", "exact"]
    assert {own[:2] for own in found} == {(Place("train", 3), Place("test", 5))}
    (shown, _) = repeated_pairs(digits, found)
    assert (shown.first.id, shown.second.id, shown.second.split) == (train[3], test[5], "test")
    assert pairs_of_result(digits, {}) == []


def test_a_page_breaks_long_names_between_words_and_keeps_numbers_with_their_unit():
    assert str(breakable("head@block3b_add <b> 80.6 % of 1,020")) == (
        "head@<wbr>block3b_<wbr>add &lt;b&gt; 80.6\xa0% of 1,020"
    )
