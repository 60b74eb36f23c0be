"""The commands as a user types them, those whose output a process of its own could disturb in one."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from commandline import SMALL, bottleneck, invoke

from bottleneck_features.pipeline.commandline.cli import main

FAST_HEAD = (
    "--set",
    "head.epochs=3",
    "--set",
    "convnet.epochs=2",
    "--set",
    "compare.methods=head,head@block5c_add,best-probe,convnet-small",
)


def test_help_teaches_every_command_by_an_example():
    for name, found in main.commands.items():
        commands = found.commands if name == "cache" else {name: found}
        for word, one in commands.items():
            prefix = "cache " if name == "cache" else ""
            assert f"Example: bottleneck {prefix}{word}" in CliRunner().invoke(one, ["--help"]).output


def test_help_and_completion_load_nothing_that_computes():
    heavy = ("sklearn", "scipy", "tensorflow", "keras", "matplotlib")
    code = f"import sys, bottleneck_features.pipeline.commandline.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_whole_path_from_images_to_a_report(extracted, tmp_path):
    shutil.copytree(extracted / "features", tmp_path / "features")  # results of other tests would be on the page
    done = invoke("compare", *SMALL, *FAST_HEAD, home=tmp_path)
    assert done.exit_code == 0, done.output
    assert re.search(r"head@top_activation .*\[\d+\.\d, \d+\.\d\]", done.stdout)
    assert "convnet-small" in done.stdout
    runs = tmp_path / "runs" / "digits"
    assert {path.name for path in (runs / "compare").iterdir()} == {"result.json", "predictions.npz"}
    page = (runs / "report" / "report.html").read_text()
    drawn = 3 + 4 + 3  # of all methods; calibration of each; learning curves of those that are trained in epochs
    assert page.count('<svg class="wide"') == page.count('<svg class="narrow"') == drawn
    assert "://" not in re.sub(r"https://keras\.io\S*", "", page)


def test_json_is_the_only_thing_on_stdout_and_is_what_is_kept(extracted):
    done = bottleneck("train-head", *SMALL, *FAST_HEAD, "--json", home=extracted)
    result = json.loads(done.stdout)
    kept = json.loads((extracted / "runs" / "digits" / "train-head" / "result.json").read_text())
    assert result == kept
    for key in ("command", "experiment", "cache_key", "seconds", "peak_memory_mib", "versions", "hardware", "warnings"):
        assert key in result
    method = result["methods"][0]
    assert method["n"] == {"train": 96, "validation": 24, "test": 120}
    low, high = method["interval"]["test"]
    assert 0 < low < method["accuracy"]["test"] < high < 1
    assert np.sum(result["confusion"]) == 120
    assert np.trace(result["confusion"]) / 120 == method["accuracy"]["test"]
    calibration = result["calibration"]
    assert calibration["fitted_on"] == "validation"
    assert calibration["held_out"] is True
    assert sum(calibration["before"]["bins"]["count"]) == 120
    assert calibration["fitted_images"] == 24
    assert {"after", "before", "bins", "fitted_images", "held_out", "temperature"} <= set(calibration)
    assert "reliability.png" in {Path(file).name for file in result["files"]}
    for file in result["files"]:
        assert Path(file).stat().st_size > 0


def test_a_second_extraction_does_nothing_and_says_so(extracted):
    done = invoke("features", *SMALL, home=extracted)
    assert done.exit_code == 0
    assert "nothing to do" in done.stdout


def test_the_cache_is_plain_hdf5_with_every_layer_of_one_pass(extracted):
    (folder,) = (extracted / "features").iterdir()
    with h5py.File(folder / "train.h5") as file:
        layers = {name: array.shape for name, array in file["features"].items()}
        assert layers == {"block3b_add": (120, 40), "block5c_add": (120, 112), "top_activation": (120, 1280)}
        assert np.isfinite(file["features/top_activation"][:]).all()
        assert len(file["ids"]) == len(file["labels"]) == 120


def test_the_cache_is_listed_and_exported_as_the_walk_through_saved_it(extracted, tmp_path):
    rows = json.loads(invoke("cache", "ls", "--json", home=extracted).stdout)
    assert [(row["experiment"], row["images"], row["state"]) for row in rows] == [("digits", 240, "complete")]
    folder = extracted / "features" / rows[0]["cache"]
    assert invoke("cache", "export", str(folder), "--to", str(tmp_path), home=extracted).exit_code == 0
    with np.load(tmp_path / f"{folder.name}_train.npz") as exported:
        assert exported["features"].shape == (120, 1280)
        assert exported["labels"].shape == (120,)


def test_features_made_with_other_settings_are_never_used_silently(extracted):
    done = invoke("train-head", *SMALL, "--set", "input.size=48,48", home=extracted)
    assert done.exit_code == 2
    assert "input.size" in done.stderr
    assert "[48, 48]" in done.stderr
    assert "[32, 32]" in done.stderr
    assert "bottleneck features -e digits" in done.stderr


@pytest.mark.slow
def test_random_weights_are_marked_in_every_output(tmp_path):
    options = (*SMALL, "--set", "backbone.weights=random")
    done = bottleneck("features", *options, home=tmp_path)
    assert "RANDOM WEIGHTS" in done.stderr
    done = bottleneck("compare", *options, *FAST_HEAD, home=tmp_path)
    assert "RANDOM WEIGHTS" in done.stderr
    folder = tmp_path / "runs" / "digits" / "report"
    assert "RANDOM WEIGHTS" in (folder / "report.html").read_text()
    assert any("RANDOM WEIGHTS" in text for text in json.loads((folder / "result.json").read_text())["warnings"])


def test_without_a_network_both_missing_files_are_named_with_their_places(tmp_path):
    done = bottleneck(
        "features", "-e", "cifar10", home=tmp_path, KERAS_HOME=str(tmp_path / "keras"), https_proxy="http://127.0.0.1:9"
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for words in (
        "cifar-10-python.tar.gz",
        str(tmp_path / "keras" / "datasets" / "cifar-10-batches-py"),
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        str(tmp_path / "keras" / "models"),
        "dataset.path",
        "backbone.weights",
        "make demo",
    ):
        assert words in done.stderr, words


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["features", "-e", "digit"], 2, ["'digit'", "digits"]),
        (["features", "-e", "digits", "--set", "backbone.name=resnet5"], 2, ["'resnet5'", "resnet50"]),
        (["features", "-e", "digits", "--set", "backbone.layers=top_activatoin"], 2, ["top_activation"]),
        (["features", "-e", "digits", "--set", "head.epoch=3"], 2, ["head.epoch", "epochs"]),
        (["features", "-e", "digits", "--set", "head.epochs=many"], 2, ["integer", "'many'"]),
        (["features", "-e", "digits", "--set", "backbone.weights=nowhere.pth"], 2, ["nowhere.pth", "backbone.weights"]),
        (["features", "-e", "digits", "--set", "backbone.weights=imagenett"], 2, ["'imagenett'", "'random'"]),
        (["features", "-e", "digits", "--set", "backbone.name=nowhere.keras"], 2, ["nowhere.keras"]),
        (["features", "-e", "cifar10", "--set", "dataset.path=/nowhere"], 2, ["/nowhere", "dataset.path"]),
        (["train-head", "-e", "digits"], 2, ["bottleneck features -e digits"]),
        (["extract"], 2, ["extract"]),
    ],
)  # fmt: skip
def test_a_wrong_request_ends_with_one_message_and_no_traceback(tmp_path, words, code, expected):
    done = invoke(*words, home=tmp_path)
    assert done.exit_code == code, done.stderr
    assert isinstance(done.exception, SystemExit)
    for text in expected:
        assert text in done.stderr


@pytest.mark.parametrize("damage", ["another architecture", "truncated", "not a model"])
def test_a_weights_file_that_does_not_fit_is_one_clear_line(tmp_path, damage):
    import keras

    file = tmp_path / "weights.weights.h5"
    keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)]).save_weights(file)
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:1000])
    if damage == "not a model":
        file.write_bytes(b"\x89PNG\r\n")
    done = invoke("features", *SMALL, "--set", f"backbone.weights={file}", home=tmp_path)
    assert done.exit_code in (1, 2)
    assert isinstance(done.exception, SystemExit)
    assert str(file) in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_artifacts_folder_is_refused_at_once(tmp_path):
    tmp_path.chmod(0o500)
    done = invoke("features", *SMALL, home=tmp_path)
    assert done.exit_code == 2
    assert "--home" in done.stderr


def test_an_artifacts_folder_that_cannot_be_made_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = invoke("features", *SMALL, home=tmp_path / "file" / "artifacts")
    assert done.exit_code == 2
    assert "--home" in done.stderr
    assert isinstance(done.exception, SystemExit)
