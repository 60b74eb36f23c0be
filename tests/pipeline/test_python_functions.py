"""The commands as Python functions: the same results, settings, errors, and nothing of the caller's changed."""

import json
import logging
import os
import random
import re
import signal
import warnings
from dataclasses import replace
from functools import partial
from html import unescape
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from commandline import SMALL, bottleneck, invoke
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
        (
            {"head": {"epochs=3\ndropout": 0.1}},
            "There is no setting 'epochs=3\\ndropout' in head. Nearest: dropout, epochs.",
        ),
        ({"head": {3: 1}}, "There is no setting 3 in head. Nearest: "),
        ({"head": {"epochs": "3\ndropout = 0.1"}}, "head.epochs: "),
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
        ("", "DATA takes the path of a folder"),
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
    ("name", "arguments", "words"),
    [
        ("probe", {"folds": -1}, "folds takes a whole number from 2 to 1,000, or 0 for none. Received: -1"),
        (
            "probe",
            {"folds": np.float64(2.5)},
            "folds takes a whole number from 2 to 1,000, or 0 for none. Received: 2.5",
        ),
        ("advise", {"folds": "a"}, "folds takes a whole number from 2 to 1,000, or 0 for none. Received: 'a'"),
        ("compare", {"folds": True}, "folds takes a whole number from 2 to 1,000, or 0 for none. Received: True"),
        ("probe", {"repeats": 0}, "repeats takes a whole number from 1 to 1,000. Received: 0"),
        ("probe", {"repeats": 3, "folds": 0}, "repeats goes with folds"),
        ("probe", {"seeds": 1001}, "seeds takes a whole number from 2 to 1,000. Received: 1001"),
        ("probe", {"seeds": 1}, "seeds takes 2 or more: one figure has no spread. Received: 1"),
        ("label_curve", {"seeds": 0}, "seeds takes a whole number from 1 to 1,000. Received: 0"),
        (
            "label_curve",
            {"sizes": 5},
            "sizes takes a list of numbers of images per class, each from 1 on, or None for all.",
        ),
        ("label_curve", {"sizes": [None, np.float32(2)]}, "sizes[1] takes a whole number from 1 on. Received: 2.0"),
        ("run", {"minutes": -1}, "minutes takes a number of minutes from 0 on. Received: -1"),
        ("run", {"minutes": float("nan")}, "minutes takes a number of minutes from 0 on. Received: nan"),
        ("run", {"minutes": None}, "minutes takes a number of minutes from 0 on. Received: None"),
        ("extract", {"wait": "a"}, "wait takes a number of seconds from 0 on. Received: 'a'"),
        ("extract", {"reuse": "x"}, "reuse takes True or False. Received: 'x'"),
        ("extract", {"rehash": 1}, "rehash takes True or False. Received: 1"),
        ("bench", {"quick": None}, "quick takes True or False. Received: None"),
        (
            "fine_tune",
            {"method": ["fine-tune"]},
            "method takes one of fine-tune, from-pretrained, from-scratch. Received: [",
        ),
        ("inspect", {"name": ""}, "name takes what DATA are called"),
        ("inspect", {"size": ""}, "size takes a height and a width in pixels, or one number for both. Received: ''"),
    ],
)
def test_an_argument_is_refused_by_its_name_with_what_it_takes_and_what_was_received(name, arguments, words, home):
    with pytest.raises(bf.RequestError) as refused:
        getattr(bf, name)("digits", **{"home": home, **DIGITS, **arguments})
    assert words in str(refused.value)


def test_numbers_of_numpy_are_numbers(home):
    found = bf.label_curve("digits", np.array([2]), seeds=np.int64(1), home=home, convnet={"epochs": 1}, **DIGITS)
    assert {row["per_class"] for row in found["points"]} == {2}
    with pytest.raises(bf.RequestError, match=r"head\.epochs: .* Received: 0"):
        bf.probe("digits", folds=np.int32(0), home=home, head={"epochs": np.int64(0)}, **DIGITS)


@pytest.mark.parametrize("call", [bf.inspect, bf.load_model, bf.load_experiment])
@pytest.mark.parametrize("place", [3, "", b"home", ["home"]])
def test_a_home_is_a_folder_or_none(call, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(bf.RequestError, match=r"^home takes the path of a folder\. Received: "):
        call("digits", home=place)
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("BOTTLENECK_HOME", str(tmp_path / "own"))
    bf.inspect("digits", home=None, dataset={"limit": 20})
    assert (tmp_path / "own" / "runs" / "digits").is_dir()


def test_no_text_is_no_home_on_the_command_line_either(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke("inspect", *SMALL, home="")
    assert done.exit_code == 2
    assert "--home takes the path of a folder. Received: ''" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [None, 3, ""])
def test_what_is_no_path_of_a_cache_is_said(wrong):
    with pytest.raises(bf.CacheError, match=r"^path takes the folder of a cache, its manifest, or a URL\. Received: "):
        bf.open_features(wrong)


def test_an_experiment_is_loaded_from_where_it_is_kept(tmp_path):
    np.savez(tmp_path / "mine.npz", x=np.full((20, 8, 8, 3), 200, np.uint8), y=np.arange(20) % 2)
    bf.inspect(tmp_path / "mine.npz", home=tmp_path, head={"epochs": 4})
    own = bf.load_experiment("mine", ["head.dropout=0.1"], home=str(tmp_path))
    assert (own.name, own.dataset.source, own.head.dropout) == ("mine", "npz", 0.1)
    assert bf.load_experiment(tmp_path / "experiments" / "mine.toml").dataset == own.dataset
    for wrong in ("mined", 3, None, ""):
        with pytest.raises(bf.RequestError, match=r"Nearest: mine|^name_or_file takes the name of an experiment"):
            bf.load_experiment(wrong, home=tmp_path)


def test_weights_of_classes_are_given_by_any_name(home):
    for name in ("3", "a.b=c", 'a "word"'):
        found = bf.inspect("digits", home=home, score={"class_weight": {name: 2.0}}, **DIGITS)
        assert found["experiment"]["score"]["class_weight"] == {name: 2.0}


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


def shown(card: str) -> str:
    """The text of a card."""
    return unescape(re.sub("<[^>]*>", "", card))


def test_a_result_is_a_card_in_a_notebook_and_its_pictures_are_figures(home):
    found = bf.train_head("digits", home=home, head={"epochs": 2}, **DIGITS)
    card = found._repr_html_()
    texts = shown(card)
    for text in (found.verdict, str(found.model), "Top-1 accuracy", found.notes[0]):
        assert text in texts
    assert "<script" not in card
    assert found.figures.keys() == {"learning-curves", "confusion", "reliability"}
    hostile = bf.Result({**found, "warnings": ["<script>alert(1)</script>"]})
    assert "<script" not in hostile._repr_html_()
    assert "script" in hostile._repr_html_()


@pytest.mark.parametrize("call", [bf.inspect, bf.extract])
def test_what_scores_nothing_is_a_card_too(call, home):
    found = call("digits", home=home, **DIGITS)
    assert found.verdict in shown(found._repr_html_())


def test_a_backbone_may_be_a_path(home, tmp_path):
    with pytest.raises(bf.ModelError, match="There is no file '.*own.keras'"):
        bf.extract("digits", home=home, backbone=tmp_path / "own.keras")
    with pytest.raises(bf.RequestError, match="backbone is the name of a network.*section.*Received: 3"):
        bf.inspect("digits", home=home, backbone=3)
