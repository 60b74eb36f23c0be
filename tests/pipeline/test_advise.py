import json

import pytest
from commandline import SMALL, invoke
from hypothesis import given
from hypothesis import strategies as st

from bottleneck_features.pipeline.evaluation.scores import score_counts
from bottleneck_features.pipeline.method_row import Score
from bottleneck_features.pipeline.stages.advise import (
    Evidence,
    LearningCurvePoint,
    extrapolated,
    recommend,
    rule_of_thumb,
)


def _score(right: int, of: int = 1000) -> Score:
    return score_counts(right, of)


def _evidence(**changed: object) -> Evidence:
    base = {
        "train": 20_000, "validation": 1000, "classes": 10, "last": _score(800), "earlier": _score(700),
        "earlier_layer": "conv4", "earlier_tried": 3, "p_value": 1e-6, "best": _score(800), "best_layers": ("conv5",),
        "curve": (), "doubled": None, "fine_tune_seconds": 600.0,
    }  # fmt: skip
    return Evidence(**{**base, **changed})


@pytest.mark.parametrize(
    ("train", "earlier", "p_value", "expected"),
    [
        (20_000, 700, 1e-6, "fine-tune"),
        (20_000, 900, 1e-6, "from-pretrained"),
        (500, 700, 1e-6, "logistic"),
        (500, 900, 1e-6, "logistic@conv4"),
        (500, 810, 0.4, "logistic"),  # ahead, but perhaps by chance
        (500, 830, 0.03, "logistic"),  # as the best of three by chance
    ],
)
def test_each_corner_of_the_table_has_its_method(train, earlier, p_value, expected):
    evidence = _evidence(train=train, earlier=_score(earlier), p_value=p_value)
    assert recommend(evidence)[0] == expected
    assert rule_of_thumb(evidence).endswith(expected)


def test_where_nothing_is_left_to_gain_the_network_stays_frozen_whatever_the_rule_of_thumb_says():
    evidence = _evidence(best=_score(990), last=_score(990))
    method, reasons = recommend(evidence)
    assert method == "logistic"
    assert "within 1.8 points of 100 %" in reasons[0]
    assert rule_of_thumb(evidence).endswith("fine-tune")


@pytest.mark.parametrize(("right", "of"), [(15, 24), (16, 17), (17, 17)])
def test_few_validation_images_are_not_enough_evidence_however_many_are_right(right, of):
    method, reasons = recommend(_evidence(validation=of, best=_score(right, of)))
    assert method == "not enough evidence"
    assert f"About {4 * of} would halve its interval: label more images" in reasons[0]


def test_what_the_best_probe_reaches_is_said_to_be_of_the_images_that_chose_it():
    _, reasons = recommend(_evidence())
    assert any("80.0 % [77.4, 82.4] on the 1,000 validation images it was chosen on" in one for one in reasons)


@given(scale=st.floats(0.5, 5), slope=st.floats(0.1, 0.9))
def test_a_power_law_is_continued(scale, slope):
    sizes = (100, 200, 400, 800)
    curve = [LearningCurvePoint(n, 1 - scale * n**-slope, 1) for n in sizes]
    if min(point.accuracy for point in curve) < 0:
        return
    assert extrapolated(curve) == pytest.approx(1 - scale * 1600**-slope)


@pytest.mark.parametrize("accuracies", [(0.9, 0.8, 0.7), (1.0, 1.0, 1.0), (0.5, 0.6)])
def test_a_curve_without_a_trend_is_not_continued(accuracies):
    assert extrapolated([LearningCurvePoint(10 * 2**i, accuracy, 1) for i, accuracy in enumerate(accuracies)]) is None


def test_the_command_gives_its_numbers_and_what_to_type_next(extracted):
    done = invoke("advise", *SMALL, "--json", home=extracted)
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["recommendation"] == "not enough evidence"  # 24 validation images
    assert result["evidence"]["validation"] == 24
    assert [point["images"] for point in result["evidence"]["curve"]][-1] == 96
    assert result["commands"][0].startswith("bottleneck probe -e digits")
