"""Labels by lot: no command recognises them, by hold-out or in folds, with equal classes or unequal ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from commandline import invoke
from tossed import tossed

from bottleneck_features.pipeline.evaluation.scores import wilson
from bottleneck_features.pipeline.stages.advise import NOT_ENOUGH

ONCE = ("as it is.png",)
QUICK = ("head.epochs=3", "convnet.epochs=2", "finetune.epochs=1")
Made = tuple[Path, tuple[str, ...]]


@pytest.fixture(scope="module")
def held_out(tmp_path_factory) -> Made:
    """300 pictures of which about 120 are for testing."""
    home = tmp_path_factory.mktemp("held out")
    return home, tossed(home, 300, ONCE, "dataset.test_fraction=0.4", *QUICK)


@pytest.fixture(scope="module")
def unequal(tmp_path_factory) -> Made:
    """Likewise, one of five in the second class."""
    home = tmp_path_factory.mktemp("unequal")
    return home, tossed(home, 300, ONCE, "dataset.test_fraction=0.4", *QUICK, rare=5)


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Made:
    """60 pictures, which are cross-validated."""
    home = tmp_path_factory.mktemp("few")
    return home, tossed(home, 60, ONCE, *QUICK)


def _result(made: Made, command: str, *options: str) -> dict[str, Any]:
    home, words = made
    done = invoke(command, *words, *options, "--json", home=home)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def _by_chance(result: dict[str, Any], split: str, measure: str = "interval") -> None:
    assert result["scored_on"] == split
    for row in result["methods"]:
        low, high = row[measure][split]
        assert low < 0.5 < high, row["name"]


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("train-head", ()),
        ("probe", ()),
        pytest.param(
            "compare", ("--set", "compare.methods=head,ridge,best-probe,convnet-small"), marks=pytest.mark.slow
        ),
        pytest.param("fine-tune", (), marks=pytest.mark.slow),
    ],
)
def test_test_images_are_recognized_by_chance(held_out, command, options):
    _by_chance(_result(held_out, command, *options), "test")


@pytest.mark.parametrize("command", ["probe", pytest.param("train-head", marks=pytest.mark.slow)])
def test_a_threshold_that_validation_images_choose_gains_nothing(unequal, command):
    result = _result(unequal, command)
    assert result["select"] == "balanced-accuracy"
    _by_chance(result, "test", "balanced_accuracy_interval")


@pytest.mark.slow
def test_every_point_of_the_label_curve_is_by_chance(held_out):
    result = _result(held_out, "compare", "--label-curve", "5,all", "--seeds", "2")
    low, high = wilson(0.5, 120)
    assert {point["method"] for point in result["points"]} == {"logistic", "convnet-small"}
    assert all(low < point["mean"] < high for point in result["points"])


@pytest.mark.parametrize("made", ["held_out", pytest.param("unequal", marks=pytest.mark.slow)])
def test_nothing_is_recommended(made, request):
    result = _result(request.getfixturevalue(made), "advise")
    assert result["recommendation"] == NOT_ENOUGH
    assert "not shown to be better than" in result["reasons"][-1]


def test_nothing_is_recommended_by_folds(few):
    result = _result(few, "advise", "--repeats", "1")
    assert result["recommendation"] == NOT_ENOUGH
    found = result["evidence"]["probe"]["figure"]
    assert result["evidence"]["measured_on"] == "cross_validated"
    assert found["low"] < 0.5 < found["high"]


@pytest.mark.slow
def test_images_of_folds_are_recognized_by_chance(few):
    methods = "compare.methods=head,best-probe,convnet-small"
    _by_chance(_result(few, "compare", "--repeats", "1", "--set", methods), "cross_validated")
