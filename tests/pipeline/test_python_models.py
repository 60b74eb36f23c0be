"""The commands of a trained model as Python functions."""

import json
from pathlib import Path

import numpy as np
import pytest
from commandline import invoke
from PIL import Image
from sklearn.datasets import load_digits

import bottleneck_features as bf


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """A folder of digits with a folder for each class, and a file that is no image."""
    folder, digits = tmp_path_factory.mktemp("pictures"), load_digits()
    for number, (label, pixels) in enumerate(zip(digits.target[:20], digits.images[:20], strict=True)):
        (folder / str(label)).mkdir(exist_ok=True)
        Image.fromarray((pixels * 255 / 16).astype(np.uint8)).save(folder / str(label) / f"{number}.png")
    (folder / "0" / "broken.png").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def model(trained) -> bf.LoadedModel:
    return bf.load_model("digits", model="train-head", home=trained)


def test_predict_gives_what_the_command_gives_in_a_table_and_in_a_file(trained, model, pictures, tmp_path):
    found = bf.predict(model, pictures, home=trained)
    done = invoke("predict", "-e", "digits", "--model", "train-head", "--json", str(pictures), home=trained)
    assert found["predictions"] == json.loads(done.stdout[done.stdout.index("{") :])["predictions"]
    assert len(found.table) == 21
    assert found.table.error.notna().sum() == 1
    assert found.verdict.startswith("21 files: 20 classified")
    again = bf.predict(model, [pictures], out=tmp_path / "labels.csv", home=trained)
    assert again.table.equals(found.table)


def test_evaluate_and_export_take_a_model_its_file_or_its_name(trained, model, pictures, tmp_path):
    sound = {"dataset": {"error_limit": 0.2}, "home": trained}
    own, file = bf.evaluate(model, pictures, **sound), bf.evaluate(model.path, pictures, **sound)
    assert own["figures"] == file["figures"]
    assert sorted(own.table["class"]) == model.classes_.tolist()
    assert own.table.n.sum() == 20
    assert own.figures.keys() == {"confusion"}
    exported = bf.export("digits", "keras", to=tmp_path, home=trained)
    assert exported.table.format.tolist() == ["keras"]
    assert Path(exported.table.path[0]).parent == tmp_path


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model, home: bf.predict(model, [], home=home), "Received: none"),
        (lambda model, home: bf.predict(model, "a.png", top=0, home=home), "Received: 0"),
        (lambda model, home: bf.predict(model, "a.png", threshold=2, home=home), "Received: 2"),
        (lambda model, home: bf.predict(model, "/nowhere/a.png", home=home), "/nowhere/a.png"),
        (
            lambda model, home: bf.predict(model, "a.png", out="/nowhere/a.csv", home=home),
            "there is no folder '/nowhere'",
        ),
        (
            lambda model, home: bf.predict(model, "a.png", top="a", home=home),
            "top takes a whole number from 1 on. Received: 'a'",
        ),
        (
            lambda model, home: bf.predict(model, "a.png", top=2.0, home=home),
            "top takes a whole number from 1 on. Received: 2.0",
        ),
        (
            lambda model, home: bf.predict(model, "a.png", threshold="a", home=home),
            "threshold takes a probability from 0 to 1.",
        ),
        (
            lambda model, home: bf.predict(model, None, home=home),
            "paths takes the path of an image, or of a folder of images",
        ),
        (lambda model, home: bf.predict(model, [None], home=home), "paths[0] takes the path of an image"),
        (
            lambda model, home: bf.predict(None, "a.png", home=home),
            "model takes a LoadedModel, the file of a trained model",
        ),
        (
            lambda model, home: bf.evaluate(model, "digits", dataset=3, home=home),
            "dataset takes the settings of a section",
        ),
        (lambda model, home: bf.evaluate(model, "digits", dataset={"group": None}, home=home), "Received: None"),
        (lambda model, home: bf.evaluate(model, "digits", dataset={"a=1\nb": 2}, home=home), "There is no setting"),
        (lambda model, home: bf.evaluate(model, None, home=home), "Received: NoneType"),
        (lambda model, home: bf.evaluate(model, ["digits"], home=home), "Received: list"),
        (lambda model, home: bf.export(model, None, home=home), "formats takes one or several of keras, "),
        (lambda model, home: bf.export(model, [None], home=home), "formats takes one of keras, "),
        (lambda model, home: bf.export(model, to=3, home=home), "to takes the path of a folder. Received: 3"),
        (lambda model, home: bf.export(model, to=model.path, home=home), "is a file. Name a folder."),
        (lambda model, home: model.score(["a.png"], None), "labels takes a list of the names of classes"),
        (lambda model, home: bf.load_model(None, home=home), "file_or_experiment takes the file of a trained model"),
        (lambda model, home: bf.load_model("digits", overrides=None, home=home), "overrides takes a list of settings"),
        (lambda model, home: bf.predict("mistyped", "a.png", home=home), "mistyped"),
        (lambda model, home: bf.evaluate(model, "digits", split="all", home=home), "Received: 'all'"),
        (lambda model, home: bf.evaluate(model, "digits", unknown_classes="skip", home=home), "Received: 'skip'"),
        (lambda model, home: bf.export(model, "onx", home=home), "Nearest: onnx"),
        (lambda model, home: bf.export(model, [], home=home), "formats takes one or several"),
    ],
)
def test_what_cannot_be_right_is_refused(call, words, model, trained):
    with pytest.raises(bf.RequestError) as refused:
        call(model, trained)
    assert words in str(refused.value)


def test_data_are_not_replaced_by_a_setting(model, trained, pictures):
    with pytest.raises(bf.RequestError, match=r"DATA says where the images are"):
        bf.evaluate(model, pictures, dataset={"path": "elsewhere"}, home=trained)
    done = invoke("evaluate", "digits", str(pictures), "--set", "dataset.path=elsewhere", home=trained)
    assert done.exit_code == 2
    assert "DATA says where the images are" in done.stderr


def test_settings_of_numpy_are_taken(model, trained, pictures):
    found = bf.evaluate(
        model, pictures, dataset={"error_limit": np.float64(0.2), "bands": np.array([1, 2, 3])}, home=trained
    )
    assert found["n"] == 20


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("{folder}", "' is a folder. Name a file in it"),
        ("/proc/labels.csv", "': nothing can be written to the folder '/proc'"),
        ("/dev/null", "' is no file that can be replaced"),
        ("/nowhere/labels.csv", "': there is no folder '/nowhere'."),
    ],
)
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="/proc, where not even root may make a file")
def test_what_cannot_be_written_is_said_before_anything_is_computed(out, words, model, trained, pictures, tmp_path):
    place = out.format(folder=tmp_path)
    with pytest.raises(bf.RequestError) as refused:
        bf.predict(model, pictures, out=place, home=trained)
    assert f"out '{place}{words}" in str(refused.value)
    done = invoke("predict", "-e", "digits", str(pictures), "--out", place, home=trained)
    assert done.exit_code == 2
    assert place in done.stderr
    assert not list(tmp_path.iterdir())
    assert not list(tmp_path.parent.glob(".*.unfinished*"))
    with pytest.raises(bf.RequestError, match=r"^out takes the path of a file\. Received: ''"):
        bf.predict(model, pictures, out="", home=trained)
