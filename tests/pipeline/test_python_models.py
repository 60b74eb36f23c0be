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
