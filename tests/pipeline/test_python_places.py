"""Python functions from the caller's point of view: where things are, what is said, and what is left alone."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bottleneck_features as bf

DIGITS = {"dataset": {"limit": 120}, "size": 32}


@pytest.fixture
def project(trained, tmp_path, monkeypatch) -> Path:
    """A folder with `artifacts`, and the current one."""
    shutil.copytree(trained, tmp_path / "project" / "artifacts")
    monkeypatch.delenv("BOTTLENECK_HOME", raising=False)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def picture(tmp_path) -> Path:
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 3).save(tmp_path / "digit.png")
    return tmp_path / "digit.png"


def test_what_was_opened_stays_what_it_is_in_another_folder(project, picture, monkeypatch):
    extracted = bf.extract("digits", **DIGITS)
    cache, model = bf.open_features(extracted.cache), bf.load_model("artifacts/runs/digits/train-head/head.npz")
    named = bf.load_model("digits", model="train-head")
    relative = bf.open_features(Path(extracted.cache).relative_to(project))
    predicted = bf.predict(named, "../digit.png", out="labels.csv")
    monkeypatch.chdir(project.parent)
    assert extracted.cache.is_absolute()
    assert cache["train"].x[:2].tolist() == relative["train"].x[:2].tolist()
    assert cache.extractor().transform([picture]).shape == (
        1,
        sum(array.shape[1] for array in cache["train"].features.values()),
    )
    assert model.predict([picture]) == named.predict([picture]) == predicted.table.label.tolist()
    assert not (project.parent / "artifacts").exists()


def test_a_result_that_was_moved_names_what_lies_beside_it(project):
    shutil.move(project / "artifacts", project / "moved")
    found = bf.load_result("moved/runs/digits/train-head")
    assert found.folder == project / "moved" / "runs" / "digits" / "train-head"
    assert found.model.is_file()
    shutil.move(found.folder, project / "alone")
    alone = bf.load_result(project / "alone" / "result.json")
    assert alone.model == project / "alone" / "head.npz"
    assert bf.load_model(alone.model).classes_.tolist() == list("0123456789")


def test_a_result_is_read_from_a_path():
    with pytest.raises(bf.RequestError, match=r"path takes a result.json, or the folder that it is in. Received: None"):
        bf.load_result(None)


def test_a_comparison_has_a_report_and_no_model(project):
    methods = {"compare": {"methods": ["logistic", "ridge"]}}
    found = bf.compare("digits", folds=0, **methods, **DIGITS)
    assert found.report == bf.load_result(found.folder).report
    assert found.report.is_file()
    with pytest.raises(AttributeError, match="compare makes no model"):
        _ = found.model


def test_settings_of_an_earlier_call_are_said_as_a_warning(project, tmp_path):
    for name in ("dark", "light"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(6):
            pixels = np.full((20, 20, 3), number + 100 * (name == "light"), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    bf.inspect(tmp_path / "pictures", size=48)
    with pytest.warns(UserWarning, match=r"settings kept in .*pictures.toml: input.size=48,48"):
        found = bf.inspect(tmp_path / "pictures")
    assert found["experiment"]["input"]["size"] == [48, 48]


def test_a_table_of_predictions_that_went_into_a_file_has_the_names_of_the_classes(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("file,label,probability,unlike,distance,error\na.png,'=cmd|1,0.9,no,0.5,\nb.png,,,,,broken\n")
    found = bf.Result({"command": "predict", "out": str(file), "labels": {"=cmd|1": 1}})
    assert found.table.label.tolist()[0] == "=cmd|1"
    assert found.table.label.isna().tolist() == [False, True]


@pytest.mark.parametrize(
    "call",
    [
        lambda model, picture: bf.export(model, "keras"),
        lambda model, picture: bf.predict(model, picture),
        lambda model, picture: bf.Extractor(engine="tensorflow", cache=None, size=32).transform([picture]),
        lambda model, picture: bf.load_model(model.path).predict([picture]),
    ],
)
def test_no_random_number_is_drawn(call, project, picture):
    model = bf.load_model("digits")
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.random()
    random.seed(5)
    np.random.seed(5)
    call(model, picture)
    assert (random.random(), np.random.random()) == expected


SCRIPT = """
import os, random, sys, threading, time
random.seed(5)
expected = random.random()
random.seed(5)
import bottleneck_features as bf
written, done = [], threading.Event()
def write():
    while not done.is_set():
        os.write(2, b"of another thread\\n")
        written.append(1)
        time.sleep(0.02)
thread = threading.Thread(target=write)
thread.start()
bf.probe("digits", home=sys.argv[1], size=32, dataset={"limit": 120}, head={"epochs": 1}, folds=0)
done.set()
thread.join()
print(len(written), random.random() == expected)
"""


def test_a_fresh_process_shows_no_line_of_a_framework_and_loses_none_of_its_own(extracted):
    words = [sys.executable, "-c", SCRIPT, str(extracted)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    written, same = done.stdout.split()
    assert same == "True"
    assert done.stderr.count("of another thread") == int(written)
    for said in ("oneDNN", "cpu_feature_guard", "WARNING: All log", "rebuild TensorFlow"):
        assert said not in done.stderr
