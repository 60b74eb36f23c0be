"""A trained model is named by its file as well as by its experiment, or refused as what the file is."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from commandline import invoke
from imagefiles import encoded, picture, write

from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.use.saved_model import open_model_file


@pytest.fixture(scope="module")
def head(trained: Path) -> Path:
    return trained / "runs" / "digits" / "train-head" / "head.npz"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("image") / "a.png", encoded(picture(), "PNG")))


def test_predict_answers_the_same_by_the_file_of_a_model_wherever_it_lies(trained, head, image, tmp_path):
    moved = tmp_path / "my head.npz"
    shutil.copy(head, moved)
    answers = []
    for words in (("-e", "digits", "--model", "train-head"), ("--model", str(head)), ("--model", str(moved))):
        done = invoke("predict", image, "--json", *words, home=trained)
        assert done.exit_code == 0, done.output
        result = json.loads(done.stdout)
        answers.append(result["predictions"])
    assert answers[0] == answers[1] == answers[2]
    assert result["model"]["name"] == "my head"
    assert open_model_file(head, trained).name == "train-head"


def test_export_takes_the_file_of_a_model(trained, head, tmp_path):
    done = invoke("export", "--model", str(head), "--to", str(tmp_path), home=trained)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "model.keras").is_file()
    (tmp_path / "result.json").unlink(missing_ok=True)
    with pytest.raises(RequestError, match=r"no result.json beside .*What `export` writes is for other programs"):
        open_model_file(tmp_path / "model.keras", trained)


def _keras(folder: Path, result: str | None) -> Path:
    path = folder / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    if result is not None:
        (folder / "result.json").write_text(result)
    return path


def _other_arrays(folder: Path) -> Path:
    np.savez(folder / "features.npz", x=np.zeros(3))
    return folder / "features.npz"


WRONG = {
    "a text": (lambda folder: write(folder / "head.npz", b"no model"), "no trained model.*A trained model is a head.npz"),
    "other arrays": (_other_arrays, "no trained model"),
    "nothing there": (lambda folder: folder / "none.npz", "There is no file '.*none.npz'"),
    "a folder": (lambda folder: folder, "is a folder. A trained model is"),
    "a network alone": (lambda folder: _keras(folder, None), "There is no result.json beside"),
    "another result": (lambda folder: _keras(folder, '{"methods": []}'), "does not describe model.keras"),
    "a broken result": (lambda folder: _keras(folder, "{"), "does not describe model.keras"),
    "a result of a probe": (lambda folder: _keras(folder, '{"methods": [{"name": "ridge"}]}'), "no network but 'ridge'"),
    "a poor result": (lambda folder: _keras(folder, '{"methods": [{"name": "fine-tune"}]}'), "does not describe model.keras"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_model_is_refused_as_what_it_is(tmp_path, kind):
    make, message = WRONG[kind]
    with pytest.raises(RequestError, match=message):
        open_model_file(make(tmp_path), tmp_path)


def test_the_folder_of_a_model_is_answered_by_the_file_in_it(trained, head):
    with pytest.raises(RequestError, match=f"is a folder. Give the file in it: {head}"):
        open_model_file(head.parent, trained)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model", "prob"], ["neither a file nor one of probe,", "Nearest: probe"]),
        (["-e", "digits", "--model", "{head}"], ["is a file", "leave out -e 'digits'"]),
        (["--model", "probe"], ["Which trained model? Experiments with trained models in", "digits", "--model FILE"]),
        ([], ["Which trained model?"]),
    ],
)  # fmt: skip
def test_a_model_that_is_named_wrongly_or_twice_is_refused(trained, head, image, words, expected):
    done = invoke("predict", image, *[word.format(head=head) for word in words], home=trained)
    assert done.exit_code == 2, done.output
    for text in expected:
        assert text in done.stderr
