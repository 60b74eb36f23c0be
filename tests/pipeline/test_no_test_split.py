"""Data without test images: nothing is scored on what it has learned from, and no training of other samples is taken up."""

import json
from itertools import combinations

import numpy as np
import pytest
from commandline import invoke
from imagefiles import class_folders

from bottleneck_features.pipeline.evaluation.scores import accuracy_difference
from bottleneck_features.pipeline.evaluation.splits import Subset, digest
from bottleneck_features.pipeline.method_names import row_label
from bottleneck_features.pipeline.tables import calibration_sentence

COLOURS_TOO_ALIKE = tuple(f"shade {i}" for i in range(4))


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> tuple[str, ...]:
    """An artifacts folder with the features of four classes that are hard to tell, all of them training images."""
    home = tmp_path_factory.mktemp("own")
    root = class_folders(home / "pictures", images=30, classes=COLOURS_TOO_ALIKE)
    words = ("-e", "natural-images")
    for override in (
        f"dataset.path={root}", "dataset.test_fraction=0", "backbone.name=efficientnet-lite0",
        "backbone.layers=block3b_add,top_activation", "input.size=32,32", "head.epochs=2", "convnet.epochs=1",
    ):  # fmt: skip
        words += ("--set", override)
    assert invoke("features", *words, home=home).exit_code == 0
    return (*words, str(home))


def test_a_probe_is_compared_by_the_model_that_had_not_seen_the_validation_images(own):
    *words, home = own
    result = json.loads(invoke("probe", *words, "--json", home=home).stdout)
    assert result["scored_on"] == "validation"
    assert "test_looks" not in result
    accuracy = {row_label(method): method["accuracy"]["validation"] for method in result["methods"]}
    for pair in result["pairs"]:
        assert pair["difference"] == pytest.approx(accuracy[pair["first"]] - accuracy[pair["second"]])
    assert {(pair["first"], pair["second"]) for pair in result["pairs"]} == set(combinations(accuracy, 2))


def test_compare_shows_the_same_numbers_in_table_and_confusion_matrix(own):
    *words, home = own
    done = invoke("compare", *words, "--set", "compare.methods=best-probe,convnet-small", "--json", home=home)
    result = json.loads(done.stdout)
    probe = next(method for method in result["methods"] if method["name"] == "best-probe")
    matrix = next(np.array(counts) for name, counts in result["confusion"].items() if name == "best-probe")
    assert np.trace(matrix) / matrix.sum() == pytest.approx(probe["accuracy"]["validation"])
    for calibration in result["calibration"].values():
        assert calibration["held_out"] is False
        scaled = calibration["temperature"] != 1
        assert ("so it is too optimistic" in calibration_sentence(calibration)) == scaled


def test_the_label_curve_shows_validation_figures_under_that_name(own):
    *words, home = own
    done = invoke("compare", *words, "--label-curve", "2,all", "--seeds", "2", "--json", home=home)
    result = json.loads(done.stdout)
    assert result["scored_on"] == "validation"
    assert "test_looks" not in result
    assert result["n_scored"] == 24  # a fifth of 120
    assert "which chose its settings, so it is a little too high" in result["protocol"]
    whole = next(p for p in result["points"] if p["method"] == "logistic" and p["per_class"] == "all")
    chosen = json.loads(invoke("probe", *words, "--json", home=home).stdout)
    (row,) = [r for r in chosen["table"] if r["name"] == "logistic" and r["layers"] == ["top_activation"]]
    assert whole["accuracies"][0] == pytest.approx(row["accuracy"]["validation"])
    page = json.loads(invoke("report", *words, "--json", home=home).stdout)
    assert "label-curve" in page["shown"]


def test_samples_that_were_parted_otherwise_are_another_training():
    train, validation = np.arange(8), np.arange(8, 10)
    one = digest(Subset("train", train), Subset("train", validation))
    assert one == digest(Subset("train", train.copy()), Subset("train", validation.copy()))
    assert one != digest(Subset("train", np.arange(1, 9)), Subset("train", np.array([0, 9])))
    assert one != digest(Subset("train", train), Subset("validation", validation))


def test_one_image_tells_nothing_of_a_difference():
    found = accuracy_difference(np.array([1]), np.array([1]), np.array([0]))
    assert found.value == 1
    assert found.low < 0 < found.high
