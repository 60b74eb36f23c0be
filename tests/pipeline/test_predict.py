"""Prediction as a user runs it: files in, the classes that were scored out, whatever is wrong with some of the files."""

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commandline import invoke
from deepfiles import tiff
from imagefiles import encoded, picture, write
from PIL import Image

from bottleneck_features import models
from bottleneck_features.features import open_features
from bottleneck_features.pipeline.datasets.sources.embedded import digits
from bottleneck_features.pipeline.methods.saved_head import load_head, save_head
from bottleneck_features.pipeline.use.saved_model import open_model


@pytest.fixture(scope="module")
def files(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test images of those digits, named by their place in the cache, beside noise and what is no picture."""
    (folder,) = (trained / "features").iterdir()
    root, everything = tmp_path_factory.mktemp("files"), digits()
    for name in ("digits", "noise", "wrong"):
        (root / name).mkdir()
    places = {identity: place for place, identity in enumerate(everything.splits["test"].ids)}
    for place, identity in enumerate(open_features(folder)["test"].ids):
        (image,) = everything.images("test", np.array([places[identity]]))
        Image.fromarray(image).save(root / "digits" / f"{place:03d}.png")
    for place, image in enumerate(np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)):
        Image.fromarray(image).save(root / "noise" / f"{place}.png")
    write(root / "wrong" / "a.jpg", encoded(picture())[:400])
    write(root / "wrong" / "b" / "notes.txt", b"no picture")
    write(root / "wrong" / ".hidden.png", b"passed over")
    os.mkfifo(root / "wrong" / "c.png")
    return root


@pytest.fixture(scope="module")
def predicted(trained: Path, files: Path) -> tuple[dict[str, list[dict[str, str]]], str]:
    """The rows by folder, and what was said on the error stream."""
    options = ("--model", "train-head", "--out", str(files.parent / "out.csv"))  # other tests may leave other models
    done = invoke("predict", "-e", "digits", str(files), *options, home=trained)
    assert done.exit_code == 0, done.output
    rows: dict[str, list[dict[str, str]]] = {"digits": [], "noise": [], "wrong": []}
    for row in csv.DictReader((files.parent / "out.csv").open()):
        rows[Path(row["file"]).relative_to(files).parts[0]].append(row)
    return rows, done.stderr


def test_files_are_told_apart_exactly_as_the_scored_features_were(trained, predicted):
    rows = predicted[0]["digits"]
    (folder,) = (trained / "features").iterdir()
    test = open_features(folder)["test"]
    head = load_head(trained / "runs" / "digits" / "train-head" / "head.npz")
    expected = head.probabilities(test.features["top_activation"][:])
    assert [row["label"] for row in rows] == [str(label) for label in expected.argmax(axis=1)]
    np.testing.assert_allclose([float(row["probability"]) for row in rows], expected.max(axis=1), atol=1e-6)
    right = np.mean([row["label"] == str(label) for row, label in zip(rows, test.y, strict=True)])
    assert right == head.recipe["accuracy"]["test"]


def test_a_broken_file_is_reported_with_its_reason_and_the_others_are_classified(predicted):
    rows, said = predicted
    assert [Path(row["file"]).name for row in rows["wrong"]] == ["a.jpg", "notes.txt", "c.png"]
    assert not any(row["label"] for row in rows["wrong"])
    for row, reason in zip(rows["wrong"], ("truncated", "a text file", "a named pipe"), strict=True):
        assert reason in row["error"].lower()
    assert "126 files: 123 classified" in said
    assert "train-head" in said


def test_what_looks_like_no_training_image_is_flagged_and_what_does_is_not(predicted):
    rows, _ = predicted
    assert [row["unlike"] for row in rows["noise"]] == ["yes"] * 3
    assert np.mean([row["unlike"] == "yes" for row in rows["digits"]]) < 0.15


@pytest.mark.slow
def test_json_gives_the_counts_and_classes_and_warns_of_an_engine_that_is_not_to_be_had(trained, files, tmp_path):
    head = load_head(trained / "runs" / "digits" / "train-head" / "head.npz")
    identity = {**head.recipe["cache_identity"], "compute.engine": "tensorflow", "compute.precision": "float16"}
    folder = tmp_path / "runs" / "digits" / "train-head"
    folder.mkdir(parents=True)
    save_head(replace(head, recipe={**head.recipe, "cache_identity": identity}), folder / "head.npz")
    image = str(files / "digits" / "000.png")
    done = invoke("predict", "-e", "digits", image, "--json", "--top", "2", home=tmp_path)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["model"]["name"] == "train-head"
    assert result["model"]["n"] == {"train": 96, "validation": 24, "test": 120}
    (row,) = result["predictions"]
    assert [len(row["classes"]), row["error"], row["unlike"]] == [2, None, row["distance"] > 1]
    assert sum(result["labels"].values()) == result["classified"] == result["files_found"] == 1
    assert json.loads((tmp_path / "runs" / "digits" / "predict" / "result.json").read_text()) == result
    assert any(
        "tensorflow in float16, which is not available on this machine" in warning for warning in result["warnings"]
    )


def test_a_model_of_an_engine_that_is_not_to_be_had_runs_on_the_one_its_warning_names(trained, tmp_path):
    head = load_head(trained / "runs" / "digits" / "train-head" / "head.npz")
    identity = {**head.recipe["cache_identity"], "compute.engine": "tensorflow", "compute.precision": "float16"}
    path = tmp_path / "runs" / "digits" / "train-head" / "head.npz"
    path.parent.mkdir(parents=True)
    save_head(replace(head, recipe={**head.recipe, "cache_identity": identity}), path)
    compute = open_model(tmp_path, "digits").experiment.compute
    assert (compute.engine, compute.precision) == models.resolve_engine()


@pytest.mark.slow
def test_when_no_file_can_be_used_the_command_fails_and_says_why(trained, tmp_path):
    write(tmp_path / "a.jpg", b"")
    done = invoke("predict", "-e", "digits", str(tmp_path), home=trained)
    assert done.exit_code == 1
    assert "None of the 1 files" in done.stderr
    assert "an empty file" in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["Name images"]),
        (["nowhere.jpg"], ["'nowhere.jpg'", "Name images"]),
        (["{empty}"], ["empty': a folder without a file", "Name images"]),
        (["nowhere.jpg", "{empty}"], ["'nowhere.jpg': there is no such file or folder"]),
        (
            ["{file}", "--model", "from-pretrained"],
            ["from-pretrained/model.keras", "--model train-head", "bottleneck fine-tune --method from-pretrained"],
        ),
        (["{file}", "--out", "nowhere/out.csv"], ["--out", "'nowhere'"]),
        (["{file}", "--set", "input.size=48,48"], ["input.size", "[32, 32] then", "[48, 48] now"]),
        (["{file}", "--set", "backbone.weights=random"], ["backbone.weights", "random:", "train it again"]),
    ],
)  # fmt: skip
def test_a_wrong_request_quotes_what_was_received(trained, files, tmp_path, words, expected):
    (tmp_path / "empty").mkdir()
    words = [word.format(empty=tmp_path / "empty", file=files / "digits" / "000.png") for word in words]
    done = invoke("predict", "-e", "digits", *words, home=trained)
    assert done.exit_code == 2, done.output
    for text in expected:
        assert text in done.stderr


def test_an_experiment_of_a_file_that_is_gone_is_found_by_its_name(trained, files, tmp_path):
    shutil.copytree(trained / "runs" / "digits" / "train-head", tmp_path / "runs" / "messy" / "train-head")
    image = str(files / "digits" / "000.png")
    done = invoke("predict", "-e", "messy", image, "--json", home=tmp_path)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["model"]["path"].endswith("runs/messy/train-head/head.npz")
    wrong = invoke("predict", "-e", "mess", image, home=tmp_path)
    assert wrong.exit_code == 2
    assert "There is no experiment 'mess'. Nearest: " in wrong.stderr
    assert f"Others with results in '{tmp_path}': messy." in wrong.stderr


def test_without_any_trained_model_the_command_that_makes_one_is_named(tmp_path):
    write(tmp_path / "a.jpg", encoded(picture()))
    done = invoke("predict", "-e", "digits", str(tmp_path / "a.jpg"), home=tmp_path)
    assert done.exit_code == 2
    assert "bottleneck probe" in done.stderr


def test_predict_refuses_numbers_without_a_range_until_one_is_given(trained, tmp_path):
    write(tmp_path / "files" / "deep.tif", tiff(np.full((20, 20), 700, np.int16)))
    write(tmp_path / "files" / "plain.png", encoded(picture(), "PNG"))
    words = ("predict", "-e", "digits", "--json")
    done = invoke(*words, str(tmp_path / "files"), home=trained)
    deep, plain = json.loads(done.stdout)["predictions"]
    assert "unknown" in deep["error"]
    assert "--set dataset.value_range=LOW,HIGH" in deep["error"]
    assert plain["error"] is None
    done = invoke(*words, "--set", "dataset.value_range=0,1000", str(tmp_path / "files"), home=trained)
    assert done.exit_code == 0, done.output
    assert [one["error"] for one in json.loads(done.stdout)["predictions"]] == [None, None]


def test_of_files_that_are_named_one_by_one_the_missing_are_listed_and_the_others_classified(trained, files, tmp_path):
    (tmp_path / "empty").mkdir()
    named = [str(files / "digits" / "000.png"), "gone.png", str(tmp_path / "empty"), str(files / "digits" / "001.png")]
    done = invoke("predict", "-e", "digits", *named, home=trained)
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [row["file"] for row in rows] == named
    assert [bool(row["label"]) for row in rows] == [True, False, False, True]
    assert [rows[1]["error"], rows[2]["error"]] == ["there is no such file or folder", "a folder without a file"]
    assert "4 files: 2 classified" in done.stderr


def test_the_missing_and_the_unreadable_alone_end_with_the_reason_of_the_first(trained, tmp_path):
    write(tmp_path / "a.jpg", b"no picture")
    done = invoke("predict", "-e", "digits", "gone.png", str(tmp_path / "a.jpg"), home=trained)
    assert done.exit_code == 1
    assert "None of the 2 files could be classified. The first: 'gone.png': there is no such file" in done.stderr
