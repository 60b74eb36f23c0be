import json
from dataclasses import replace
from typing import Any

import pytest
from commandline import SMALL, invoke
from hypothesis import given
from hypothesis import strategies as st

from bottleneck_features.pipeline.evaluation.differences import PairedDifference
from bottleneck_features.pipeline.evaluation.scores import wilson
from bottleneck_features.pipeline.figures import Figure, Figures
from bottleneck_features.pipeline.methods.learning_curve import LearningCurvePoint, extrapolated
from bottleneck_features.pipeline.stages.advise import (
    NOT_ENOUGH,
    Evidence,
    Option,
    cannot_tell,
    commands,
    recommend,
    rule_of_thumb,
)
from bottleneck_features.pipeline.tables import no_better_than, select_name


def _figure(share: float, of: int = 1000) -> Figure:
    return Figure(share, *wilson(share, of))


def _gap(value: float, p_value: float) -> PairedDifference:
    return PairedDifference(value, value - 0.05, value + 0.05, p_value, "mcnemar")


def _evidence(probe: float | Option = 0.8, images: int = 1000, scratch: float | None = 0.5, **changed: Any) -> Evidence:
    own = probe if isinstance(probe, Option) else Option("ridge@conv5", 2.0, _figure(probe, images))
    assert own.figure
    base: dict[str, Any] = {
        "select": "accuracy", "images": images, "groups": None, "measured_on": "validation", "tried": 1, "train": 20_000,
        "classes": 10, "probe": own,
        "rivals": (
            Option("convnet-small", 600.0, None if scratch is None else _figure(scratch, images)),
            Option("fine-tune", 6000.0, None),
        ),
        "level": (), "against_scratch": None if scratch is None else _gap(own.figure.value - scratch, 1e-6),
        "last_against_earlier": _gap(0.1, 1e-6), "earlier_layer": "conv4", "earlier_tried": 3, "curve": (), "doubled": None,
    }  # fmt: skip
    return Evidence(**{**base, **changed})


@pytest.mark.parametrize(
    ("train", "gap", "p_value", "expected"),
    [
        (20_000, 0.1, 1e-6, "fine-tune"),
        (20_000, -0.1, 1e-6, "from-pretrained"),
        (500, 0.1, 1e-6, "logistic"),
        (500, -0.1, 1e-6, "logistic@conv4"),
        (500, -0.01, 0.4, "cannot be told: logistic or logistic@conv4"),  # ahead, but perhaps by chance
        (500, -0.03, 0.03, "cannot be told: logistic or logistic@conv4"),  # as the best of three by chance
    ],
)
def test_each_corner_of_the_table_has_its_method_and_a_gap_that_may_be_chance_has_none(train, gap, p_value, expected):
    assert rule_of_thumb(_evidence(train=train, last_against_earlier=_gap(gap, p_value))).endswith(expected)


def test_what_was_measured_is_recommended_and_what_was_not_is_named_with_its_cost():
    evidence = _evidence()
    method, reasons = recommend(evidence)
    assert method == "ridge@conv5"
    assert (
        "accuracy 80.0 % [77.4, 82.4] on the 1,000 validation images that chose it, the best that was measured"
        in reasons[0]
    )
    assert cannot_tell(evidence) == (
        "Whether fine-tune is better cannot be told without training it (about 100.0 min here).",
    )
    assert commands(method, evidence, ())[1].endswith("compare.methods=best-probe,convnet-small,fine-tune")


def test_a_network_from_scratch_that_is_clearly_ahead_is_recommended():
    method, reasons = recommend(_evidence(0.8, scratch=0.9))
    assert method == "convnet-small"
    assert "90.0 %" in reasons[0]


def test_a_network_from_scratch_that_may_be_ahead_by_chance_cannot_be_told_apart():
    evidence = _evidence(0.8, scratch=0.82, against_scratch=_gap(-0.02, 0.2))
    method, reasons = recommend(evidence)
    assert method == "ridge@conv5"
    assert "convnet-small is not shown to be better" in reasons[0]
    assert cannot_tell(evidence)[0] == "convnet-small cannot be told from ridge@conv5 on these images."


def test_probes_of_other_families_that_may_be_as_good_are_named():
    assert cannot_tell(_evidence(level=("knn@conv5", "head@conv5")))[0] == (
        "knn@conv5, head@conv5 cannot be told from ridge@conv5 on the validation images."
    )


def test_where_nothing_is_left_to_gain_no_training_is_proposed():
    evidence = _evidence(0.995)
    assert recommend(evidence)[0] == "ridge@conv5"
    assert cannot_tell(evidence) == ()


@pytest.mark.parametrize(("share", "of"), [(0.6, 24), (0.94, 17), (1.0, 17)])
def test_few_images_are_not_enough_evidence_however_many_are_right(share, of):
    method, reasons = recommend(_evidence(share, images=of))
    assert method == NOT_ENOUGH
    assert f"About {4 * of} would halve its interval: label more images" in reasons[0]


def test_what_needs_no_image_is_never_recommended():
    guessing = "always answering the most frequent class (80.0 %)"
    probe = Option("ridge@conv5", 2.0, _figure(0.8), guessing)
    method, reasons = recommend(_evidence(probe=probe))
    assert method == NOT_ENOUGH
    assert reasons == (f"ridge@conv5, the best that was measured, is not shown to be better than {guessing}.",)
    chosen = recommend(_evidence(probe=probe, tried=15))[1]
    assert chosen == (
        f"ridge@conv5, the best of 15, chosen on these images, is not shown to be better than {guessing}.",
    )
    better = Option("convnet-small", 600.0, _figure(0.9))
    evidence = _evidence(probe=probe, rivals=(better,), against_scratch=_gap(-0.1, 1e-6))
    assert recommend(evidence)[0] == "convnet-small"


@pytest.mark.parametrize(
    ("select", "said"), [("accuracy", "the most frequent class (95.0 %)"), ("log-loss", "the most frequent class (95.0 %)"),
                         ("balanced-accuracy", ""), ("auroc", "")],
)  # fmt: skip
def test_what_a_figure_has_to_beat_depends_on_what_decides(select, said):
    found = Figures(400, Figure(0.95, 0.92, 0.97), 0.95, Figure(0.8, 0.7, 0.9), Figure(0.7, 0.6, 0.8), 1, 0.6)
    assert no_better_than(found, select, 2).endswith(said)
    assert bool(no_better_than(found, select, 2)) == bool(said)
    by_chance = replace(found, balanced_accuracy=Figure(0.52, 0.45, 0.6))
    assert no_better_than(by_chance, "auroc", 2) == "guessing (balanced accuracy 50.0 %)"


@pytest.mark.parametrize(
    ("select", "named"),
    [
        ("accuracy", "points behind"),
        ("auroc", "points of AUROC behind"),
        ("macro-f1", "points of macro F1 behind"),
    ],
)
def test_figures_have_the_name_of_what_decides(select, named):
    evidence = _evidence(select=select, scratch=None, last_against_earlier=_gap(-0.02, 0.5))
    reached, layers, _ = recommend(evidence)[1]
    assert f"reaches {select_name(select)} 80.0 %" in reached
    assert named in layers


@given(scale=st.floats(0.5, 5), slope=st.floats(0.1, 0.9))
def test_a_power_law_is_continued(scale, slope):
    sizes = (100, 200, 400, 800)
    curve = [LearningCurvePoint(n, 1 - scale * n**-slope, 1) for n in sizes]
    if min(point.value for point in curve) < 0:
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
    assert result["evidence"]["images"] == 24
    assert [point["images"] for point in result["evidence"]["curve"]][-1] == 96
    assert result["commands"][0].startswith("bottleneck probe -e digits")
