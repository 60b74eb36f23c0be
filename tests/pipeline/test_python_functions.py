"""The commands as Python functions: the same results, settings, errors, and nothing of the caller's changed."""

import json
import logging
import os
import random
import signal
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from commandline import SMALL, bottleneck, invoke
from markupsafe import escape
from PIL import Image

import bottleneck_features as bf

DIGITS = {"dataset": {"limit": 120}, "size": 32}
TIMED = ("seconds", "peak_memory_mib", "images_per_second", "folder", "files", "hardware", "predictions", "test_looks")


@pytest.fixture(scope="module")
def home(extracted: Path) -> Path:
    return extracted


def test_a_function_returns_what_the_command_prints(home):
    found = bf.probe("digits", home=home, head={"epochs": 2}, **DIGITS)
    done = invoke("probe", *SMALL, "--set", "head.epochs=2", "--json", home=home)
    typed = json.loads(done.stdout[done.stdout.index("{") :])
    assert dict(found) | dict.fromkeys(TIMED) == _without_times(typed, found)
    assert found.verdict.startswith(f"{found.table.iloc[0].method} (efficientnet-lite0) reaches ")
    assert found.folder == home / "runs" / "digits" / "probe"


def _without_times(typed: dict, found: bf.Result) -> dict:
    """Return what was typed with the seconds of what was found, and with what differs between two runs left out."""
    for key in ("methods", "table"):
        for own, other in zip(typed[key], found[key], strict=True):
            assert own.keys() == other.keys()
            own["seconds"] = other["seconds"]
    for key in ("paths", "curves"):
        assert typed[key] == found[key]
    return typed | dict.fromkeys(TIMED)


def test_run_gives_the_verdict_the_table_the_page_the_model_and_the_features(tmp_path):
    found = bf.run("digits", home=tmp_path, minutes=0, head={"epochs": 2}, **DIGITS)
    assert "%" in found.verdict
    assert found.table.chosen.tolist() == [True, *[False] * (len(found.table) - 1)]
    assert found.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert found.model.name == "head.npz"
    assert set(bf.open_features(found.cache)) == {"train", "test"}
    again = bf.load_result(found.folder)
    assert dict(again) == json.loads((found.folder / "result.json").read_bytes())
    assert again.verdict == found.verdict


def test_an_experiment_is_taken_as_well_and_can_be_typed_afterwards(tmp_path, home):
    ready = bf.load_experiment("digits", ("dataset.limit=120", "input.size=32,32"))
    assert bf.extract(ready, home=home)["images"] == 0
    own = replace(ready, name="mine", head=replace(ready.head, epochs=2))
    found = bf.extract(own, home=tmp_path)
    assert found.said == (f"The experiment is kept in {tmp_path / 'experiments' / 'mine.toml'}.",)
    done = bottleneck("features", "-e", "mine", home=tmp_path)
    assert done.stdout.startswith("All features are already in the cache"), done.stderr


def test_settings_of_an_experiment_are_in_the_words_that_repeat_it(home):
    ready = bf.load_experiment("digits", ("dataset.limit=120", "input.size=32,32", "score.select=macro-f1"))
    commands = bf.advise(ready, home=home, folds=0)["commands"]
    assert all("--set score.select=macro-f1" in command and "dataset.limit=120" in command for command in commands)


def test_a_folder_is_understood_and_its_settings_are_kept(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(12):
        for name, low in (("dark", 0), ("light", 150)):
            (tmp_path / "pictures" / name).mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(rng.integers(low, low + 100, (20, 20, 3), np.uint8))
            picture.save(tmp_path / "pictures" / name / f"{number}.png")
    found = bf.inspect(tmp_path / "pictures", home=tmp_path / "home", backbone="efficientnet-lite0")
    assert found.said
    assert found.table.groupby("class").images.sum().to_dict() == {"dark": 12, "light": 12}
    assert (tmp_path / "home" / "experiments" / "pictures.toml").is_file()
    assert bf.inspect(str(tmp_path / "pictures"), home=tmp_path / "home").said == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": 3}, "There is no setting 'epochs'. Nearest: "),
        ({"haed": {"epochs": 3}}, "There is no setting 'haed'. Nearest: head"),
        ({"head": {"epoch": 3}}, "Unknown key 'head.epoch' in --set head.epoch=3. Nearest: epochs"),
        ({"head": {"epochs": 0}}, "head.epochs: "),
        (
            {"head": {"epochs": None}},
            "head.epochs takes a text, a number, true or false, or a list of these. Received: None",
        ),
        ({"head": 3}, "head takes the settings of a section, such as head={'epochs': 30}. Received: 3"),
        ({"backbone": "resnet5"}, "resnet50"),
        ({"size": (1, 2, 3)}, "input.size"),
        ({"seed": -1}, "seed: "),
    ],
)
def test_settings_that_cannot_be_right_are_refused_as_by_the_command_line(settings, words, home):
    with pytest.raises(bf.BottleneckError) as refused:
        bf.probe("digits", home=home, **settings)
    assert refused.value.exit_code == 2
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("/nowhere/pictures", "/nowhere/pictures"),
        (np.zeros((3, 8, 8, 3)), "np.savez('images.npz', x=images, y=labels)"),
        (None, "Received: NoneType"),
        ("mistyped.toml", "mistyped.toml"),
    ],
)
def test_data_that_are_none_are_refused(data, words, home):
    with pytest.raises(bf.RequestError) as refused:
        bf.probe(data, home=home)
    assert words in str(refused.value)


def test_an_experiment_has_a_name(home):
    with pytest.raises(bf.RequestError, match="'digits'. Leave it out"):
        bf.probe(bf.load_experiment("digits"), name="other", home=home)


def test_missing_features_are_said_with_the_words_and_the_function_that_make_them(tmp_path):
    with pytest.raises(bf.NoCache) as missing:
        bf.probe("digits", home=tmp_path, seed=3)
    said = str(missing.value).splitlines()[-1]
    assert said == (
        f"Type first: bottleneck features -e digits --set seed=3 --home {tmp_path}, or call bf.extract with the same arguments."
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda home: bf.fine_tune("digits", method="finetune", home=home),
        lambda home: bf.label_curve("digits", [0, 5], home=home),
        lambda home: bf.label_curve("digits", [], home=home),
        lambda home: bf.probe("digits", folds=1, home=home, **DIGITS),
        lambda home: bf.load_result(home),
    ],
)
def test_arguments_that_cannot_be_right_are_refused(call, home):
    with pytest.raises(bf.RequestError, match=r"Received|Give a result"):
        call(home)


@pytest.mark.parametrize(
    "call",
    [
        partial(bf.compare, compare={"methods": ["head", "convnet-small"]}, head={"epochs": 2}, convnet={"epochs": 1}),
        pytest.param(partial(bf.fine_tune, method="from-scratch", finetune={"epochs": 1}), marks=pytest.mark.slow),
    ],
)
def test_nothing_of_the_caller_is_changed(call, home, capsys):
    before = _state()
    call("digits", home=home, **DIGITS)
    assert _state() == before
    assert capsys.readouterr().out == ""


def _state() -> dict[str, object]:
    import keras

    return {
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),
        "environment": dict(os.environ),
        "handlers": list(logging.getLogger().handlers),
        "level": logging.getLogger().level,
        "signals": [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)],
        "backend": mpl.rcParams["backend"],
        "rc": dict(mpl.rcParams),
        "policy": keras.config.dtype_policy().name,
        "floats": keras.config.floatx(),
        "warnings": [one for one in warnings.filters if "tensorflow" not in str(one)],
        "folder": Path.cwd(),
        "errors": np.geterr(),
    }


def test_a_result_without_something_says_what_has_it(home):
    found = bf.extract("digits", home=home, **DIGITS)
    assert found.cache == home / "features" / found.cache.name
    for name, maker in (("model", "bf.probe"), ("report", "bf.report")):
        assert not hasattr(found, name)
        with pytest.raises(AttributeError, match=rf"^features makes no {name}; {maker}\(data\) does\.$"):
            getattr(found, name)


def test_a_result_is_a_card_in_a_notebook_and_its_pictures_are_figures(home):
    found = bf.train_head("digits", home=home, head={"epochs": 2}, **DIGITS)
    card = found._repr_html_()
    for text in (found.verdict, str(found.model), "Top-1 accuracy", found.notes[0]):
        assert str(escape(text)) in card
    assert "<script" not in card
    assert found.figures.keys() == {"learning-curves", "confusion", "reliability"}
    hostile = bf.Result({**found, "warnings": ["<script>alert(1)</script>"]})
    assert "<script" not in hostile._repr_html_()
    assert "script" in hostile._repr_html_()


@pytest.mark.parametrize("call", [bf.inspect, bf.extract])
def test_what_scores_nothing_is_a_card_too(call, home):
    found = call("digits", home=home, **DIGITS)
    assert str(escape(found.verdict)) in found._repr_html_()


def test_a_backbone_may_be_a_path(home, tmp_path):
    with pytest.raises(bf.ModelError, match="There is no file '.*own.keras'"):
        bf.extract("digits", home=home, backbone=tmp_path / "own.keras")
    with pytest.raises(bf.RequestError, match="backbone is the name of a network.*section.*Received: 3"):
        bf.inspect("digits", home=home, backbone=3)
