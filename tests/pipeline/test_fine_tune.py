"""Fine-tuning a real backbone, killed in the middle."""

import json
import signal
import subprocess
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from commandline import SMALL, bottleneck, command, invoke

EPOCHS = 4
TUNE = ("fine-tune", *SMALL, "--set", f"finetune.epochs={EPOCHS}", "--set", "finetune.learning_rate=1e-5", "--set",
        "finetune.crop_area=1", "--set", "finetune.flip=false", "--json")  # fmt: skip


def _prepared(home: Path) -> Path:
    assert bottleneck("features", *SMALL, home=home).returncode == 0
    return home


def _kill_after_epoch(home: Path, epoch: int) -> None:
    with subprocess.Popen(command(*TUNE, home=home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not list(home.glob(f"runs/digits/fine-tune/*/epoch-{epoch:04d}")):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_fine_tuning_killed_twice_ends_as_an_undisturbed_one(tmp_path):
    whole = json.loads(bottleneck(*TUNE, home=_prepared(tmp_path / "whole")).stdout)
    home = _prepared(tmp_path / "killed")
    _kill_after_epoch(home, 0)
    _kill_after_epoch(home, 2)
    resumed = json.loads(bottleneck(*TUNE, home=home).stdout)
    assert len(resumed["history"]["loss"]) == EPOCHS
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(resumed["history"][name], whole["history"][name], rtol=0.02)
    assert abs(resumed["methods"][0]["accuracy"]["test"] - whole["methods"][0]["accuracy"]["test"]) <= 0.02


@pytest.mark.slow
def test_without_a_cache_the_start_from_a_probe_names_the_command_that_makes_it(tmp_path):
    done = bottleneck(*TUNE, home=tmp_path)
    assert done.returncode == 2
    assert "Type first: bottleneck features" in done.stderr


@pytest.fixture(scope="module")
def token_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's file that gives a map of 4×4 positions, and 16 tokens of the same numbers, as a transformer does."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3))
    grid = keras.layers.Resizing(16, 16)(inputs)
    grid = keras.layers.Conv2D(64, 4, 4, activation="relu", name="map")(keras.layers.Rescaling(1 / 255)(grid))
    tokens = keras.layers.Reshape((16, 64), name="tokens")(grid)
    path = tmp_path_factory.mktemp("tokens") / "tokens.keras"
    keras.Model(inputs, tokens).save(path)
    return path


@pytest.mark.parametrize(("layer", "views"), [("map", "identity"), ("tokens", "identity,hflip")])
def test_fine_tuning_starts_from_a_probe_on_whatever_shape_the_cached_features_have(
    tmp_path, token_network, layer, views
):
    words = (
        "-e",
        "digits",
        "--set",
        "dataset.limit=120",
        "--set",
        "input.size=16,16",
        "--set",
        "features.pooling=none",
    )
    words += ("--set", f"backbone.name={token_network}", "--set", f"backbone.layers={layer}")
    words += ("--set", f"input.views={views}", "--set", "finetune.epochs=1", "--set", "finetune.crop_area=1")
    assert invoke("features", *words, home=tmp_path).exit_code == 0
    done = invoke("fine-tune", *words, "--json", home=tmp_path)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["methods"][0]["accuracy"]["validation"] > 0.3  # of ten classes
