"""Whatever moment a command is killed at, no file is half there, and the same command ends as an undisturbed one."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import killing
import numpy as np
import pytest
from PIL import Image

LIGHT = ("-e", "photo-patches", "--set", "dataset.limit=60", "--set", "input.size=32,32", "--set", "head.epochs=3",
         "--set", "finetune.epochs=3", "--set", "features.shard_size=8", "--home", "home")  # fmt: skip
TRAINED = ("-e", "photo-patches", "--home", "home")
COMPARED = "compare.methods=head,best-probe,convnet-small"
# h5py tells of an object that it was just about to make; the command has ended as it should
IN_H5PY = re.compile(r"(Exception ignored in: 'h5py.*\n)?Traceback .*\n +File \"h5py/_objects.pyx\".*\n.*\n")
CHEAP = ("cache import",)  # how `features` is killed: test_resume.py
STARTS = {"features": "given", "cache import": "given", "cache export": "imported"}  # fixtures
COMMANDS = {
    "features": ("features", *LIGHT),
    "features that grow": ("features", *LIGHT, "--set", "dataset.limit=90"),
    "train-head": ("train-head", *LIGHT),
    "probe": ("probe", *LIGHT),
    "compare": ("compare", *LIGHT, "--set", COMPARED),
    "fine-tune": ("fine-tune", *LIGHT),
    "predict": ("predict", *TRAINED, "pictures", "--out", "labels.csv"),
    "export": ("export", *TRAINED, "--format", "savedmodel,onnx,openvino"),
    "report": ("report", *LIGHT),
    "cache export": ("cache", "export", "CACHE", "--home", "home", "--to", "exported"),
    "cache import": ("cache", "import", "given", "train=given.npz", "test=given.npz", "--home", "home"),
}


@pytest.fixture(scope="module")
def process() -> Iterator[killing.Warmed]:
    with killing.warmed() as process:
        yield process


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with features that another program saved."""
    folder, random = tmp_path_factory.mktemp("given") / "start", np.random.default_rng(0)
    folder.mkdir()
    features, labels = random.random((20_000, 256), np.float32), random.integers(0, 4, 20_000)
    np.savez(folder / "given.npz", features=features, labels=labels)
    return folder


@pytest.fixture(scope="module")
def imported(process: killing.Warmed, given: Path) -> Path:
    """The same folder with a cache of them."""
    folder = given.with_name("imported")
    shutil.copytree(given, folder)
    ended = process.run(folder, COMMANDS["cache import"])
    assert ended.code == 0, ended.error
    return folder


@pytest.fixture(scope="module")
def prepared(process: killing.Warmed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with features, a trained head and pictures."""
    folder = tmp_path_factory.mktemp("prepared") / "start"
    (folder / "pictures").mkdir(parents=True)
    for name in ("features", "train-head"):
        ended = process.run(folder, COMMANDS[name])
        assert ended.code == 0, ended.error
    random = np.random.default_rng(0)
    for number in range(150):
        Image.fromarray(random.integers(0, 256, (40, 40, 3), np.uint8)).save(folder / "pictures" / f"{number:03d}.png")
    return folder


@pytest.fixture
def told(name: str, process: killing.Warmed, request: pytest.FixtureRequest, tmp_path: Path) -> killing.Undisturbed:
    """What a command leaves that nothing happens to, and where it begins."""
    start = request.getfixturevalue(STARTS.get(name, "prepared"))
    caches = [path.name for path in start.glob("home/features/*")]
    words = tuple(caches[0] if word == "CACHE" else word for word in COMMANDS[name])
    return killing.undisturbed(process, start, words, tmp_path)


@pytest.mark.parametrize("name", CHEAP)
def test_a_killed_command_leaves_whole_files_and_ends_as_an_undisturbed_one(process, told, tmp_path):
    tally = killing.kills(process, told, tmp_path, count=2, seed=0)
    assert tally.wrong == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_may_be_killed_at_any_moment(process, told, tmp_path):
    tally = killing.kills(process, told, tmp_path, count=15, seed=1)
    print("", killing.HEADER, tally, *tally.wrong, sep="\n")
    assert tally.wrong == []
    assert tally.kills >= 12


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_is_asked_to_end_says_so_and_leaves_nothing_half_done(process, told, tmp_path):
    stopped = 0
    for place, number in enumerate((signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
        home = tmp_path / f"stopped-{place}"
        shutil.copytree(told.start, home)
        ended = process.run(home, told.words, after=told.seconds * (0.05 + 0.13 * place), number=number)
        if ended.code in (0, -number):  # all was done, and Python about to end
            assert killing.differences(home, told, replace(ended, code=0)) == []
            continue
        stopped += 1
        assert ended.code == 1, f"{place}: {ended}"
        assert "Error: Stopped." in ended.error, f"{place}: {ended.error}"
        assert "Traceback" not in IN_H5PY.sub("", ended.error), f"{place}: {ended.error}"
        assert killing.damage(home, told) == []
        assert not list(home.rglob(".lock.json"))
        assert not list(home.rglob("*.tmp"))
        assert not list((home / "temporary").iterdir())
    assert stopped >= 2
