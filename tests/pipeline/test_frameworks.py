"""No command imports TensorFlow or Keras before it needs it: their import takes longer than the work of most."""

import csv
from pathlib import Path

import pytest
from commandline import SMALL, frameworks_loaded, invoke
from imagefiles import encoded, picture, write

from bottleneck_features import open_features

DIGITS = (*SMALL, "--set", "backbone.layers=top_activation")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifacts folder with features, their network and a trained head, and a table that corrects a label beside it."""
    home = tmp_path_factory.mktemp("light")
    for words in (("features", *DIGITS), ("train-head", *DIGITS, "--set", "head.epochs=1")):
        done = invoke(*words, home=home)
        assert done.exit_code == 0, done.output
    (cache,) = (home / "features").iterdir()
    train = open_features(cache)["train"]
    with (home / "fixes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "label"), (train.ids[0], "0" if train.y[0] else "1")])
    write(home / "picture.png", encoded(picture(), "PNG"))
    return home


COMMANDS = [
    (("features", *DIGITS), 0),  # nothing to do
    (("features", *DIGITS, "--set", "dataset.corrections={home}/fixes.csv"), 0),  # every row is reused
    (("report", *DIGITS), 0),
    (("inspect", *DIGITS), 0),
    (("cache", "ls"), 0),
    (("cache", "export", "{cache}", "--format", "parquet", "--to", "{home}/out"), 0),
    (("cache", "rm", "--superseded"), 0),
    (("features", "-e", "nonsense"), 2),
    (("features", "-e", "natural-images", "--set", "dataset.path=/nowhere"), 2),
    (("features", *DIGITS, "--set", "backbone.name=resnet5"), 2),
    (("features", *DIGITS, "--set", "backbone.weights=/nowhere.h5"), 2),
    (("features", *DIGITS, "--set", "compute.engine=onnx"), 2),
    (("train-head", "-e", "digits"), 2),  # there are no such features
    (("probe", "-e", "digits"), 2),
    (("compare", "-e", "digits", "--label-curve", "1,many"), 2),
    (("predict", "-e", "digits", "/nowhere.png"), 2),
    (("predict", "-e", "digits", "--model", "fine-tune", "{home}"), 2),
    (("export", "-e", "digits", "--model", "fine-tune"), 2),
    (("predict", "-e", "digits", "{home}/picture.png"), 0),  # by the network that is kept beside the head
    (("evaluate", "digits", "digits", "--split", "test"), 0),
]
TRAINING = ("train-head", *DIGITS, "--set", "head.epochs=1")


@pytest.fixture(scope="module")
def ends(home) -> list[tuple[int, set[str]]]:
    """How each command ended, and last one that trains, all in one process: what one of them imports the next ones have."""
    commands = [*(words for words, _ in COMMANDS), TRAINING]
    (cache,) = (home / "features").iterdir()
    return frameworks_loaded(
        *(tuple(word.format(home=home, cache=cache) for word in words) for words in commands), home=home
    )


@pytest.mark.parametrize("place", range(len(COMMANDS)), ids=[" ".join(words[:1] + words[-2:]) for words, _ in COMMANDS])
def test_a_command_that_builds_no_network_needs_no_framework(ends, place):
    assert ends[place] == (COMMANDS[place][1], set())


def test_the_check_above_sees_a_command_that_trains(ends):
    assert ends[-1] == (0, {"tensorflow", "keras"})
