"""Exported models predict what the pipeline predicts, or are not kept; their card's own code runs them."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commandline import SMALL, invoke
from PIL import Image

from bottleneck_features.features import open_features
from bottleneck_features.models.formats import FORMATS
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.pixels.decoding import load
from bottleneck_features.pipeline.datasets.sources.embedded import digits
from bottleneck_features.pipeline.experiment import InputSettings
from bottleneck_features.pipeline.method_names import EXPORT_FORMATS
from bottleneck_features.pipeline.methods.classifier import Classifier
from bottleneck_features.pipeline.methods.saved_head import load_head, save_head
from bottleneck_features.pipeline.reporting.model_card import CARD, model_card
from bottleneck_features.pipeline.stages import export as export_model
from bottleneck_features.pipeline.stages.export import LIMIT, Exported, checked
from bottleneck_features.pipeline.use.saved_model import open_model


def test_the_command_line_offers_what_can_be_written():
    assert tuple(FORMATS) == EXPORT_FORMATS


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    """The result and the folder of an export as .keras, with a picture beside it."""
    folder = tmp_path_factory.mktemp("export")
    done = invoke("export", "-e", "digits", "--to", str(folder), "--json", home=trained)
    assert done.exit_code == 0, done.output
    (cache,) = (trained / "features").iterdir()
    everything, first = digits(), open_features(cache)["test"].ids[0]
    (image,) = everything.images("test", np.flatnonzero(everything.splits["test"].ids == first))
    Image.fromarray(image).save(folder / "picture.jpg", format="PNG")
    return json.loads(done.stdout), folder


def _code(card: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)


@pytest.mark.slow
def test_the_keras_file_agrees_with_the_pipeline_on_64_test_images(exported):
    result, folder = exported
    (row,) = result["exported"]
    assert row["path"] == str(folder / "model.keras")
    assert 0 < row["largest_difference"] < LIMIT
    assert result["checked_images"] == {"split": "test", "n": 64, "limit": LIMIT}
    assert result["against_pipeline"]["same_class"] >= 62
    assert (folder / "labels.txt").read_text().splitlines() == [str(digit) for digit in range(10)]


@pytest.mark.slow
def test_the_cards_own_code_gives_what_the_scored_head_gives(exported, trained, monkeypatch):
    _, folder = exported
    card = (folder / "model-card.md").read_text()
    for words in (
        "top-1 accuracy [95 %]",
        "| test | 120 |",
        "What it is not for",
        "Apache-2.0",
        "fitted on validation",
    ):
        assert words in card
    monkeypatch.chdir(folder)
    names: dict = {}
    exec("\n".join(_code(card)), names)
    (cache,) = (trained / "features").iterdir()
    head = load_head(trained / "runs" / "digits" / "train-head" / "head.npz")
    expected = head.probabilities(open_features(cache)["test"].features["top_activation"][:1])
    assert names["labels"] == head.recipe["classes"]
    np.testing.assert_allclose(names["probabilities"], expected, atol=0.02)  # the features are of bfloat16


def test_the_card_says_what_the_model_is_how_good_and_what_it_is_not_for_and_its_code_compiles(trained):
    model = open_model(trained, "digits")
    rows = [Exported(name, Path("out", form.file), 1e-7).as_json() for name, form in FORMATS.items()]
    own = {"engine": "openvino", "precision": "bfloat16", "largest_difference": 1e-3, "same_class": 63}
    checked_images = {"split": "test", "n": 64, "limit": LIMIT}
    details = {"exported": rows, "checked_images": checked_images, "against_pipeline": own}
    card = model_card(model, details, ["Data: a warning."])
    low, high = (f"{100 * bound:.1f}" for bound in model.known["interval"]["test"])
    for words in (f"| test | 120 | {100 * model.known['accuracy']['test']:.1f} % [{low}, {high}] |", "- Data: a warning.",
                  "What it is not for", "Apache-2.0", "`(n, 8, 8, 3)`", "0, 1, 2, 3", "63 of the 64 images"):  # fmt: skip
        assert words in card
    older = {key: value for key, value in model.known.items() if key != "refitted_on"}  # networks have none either
    assert "fitted on the" not in model_card(replace(model, known=older), details, [])
    refitted = replace(model, known={**older, "refitted_on": 1717})
    assert "fitted on the 1,717 training and validation images together" in model_card(refitted, details, [])
    assert len(_code(card)) == 1 + len(FORMATS)
    for code in _code(card):
        compile(code, CARD, "exec")


def _turned(folder: Path) -> Path:
    """A JPEG that is to be shown on its side, large enough for libjpeg to shrink it."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 200, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).save(folder / "turned.jpg", exif=exif)
    return folder / "turned.jpg"


def _see_through(folder: Path) -> Path:
    pixels = np.random.default_rng(1).integers(0, 256, (50, 60, 4)).astype(np.uint8)
    Image.fromarray(pixels, "RGBA").save(folder / "see-through.png")
    return folder / "see-through.png"


def _sixteen_bit(folder: Path) -> Path:
    Image.fromarray(np.random.default_rng(2).integers(0, 65536, (50, 60)).astype(np.uint16)).save(folder / "deep.png")
    return folder / "deep.png"


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("make", [_turned, _see_through, _sixteen_bit])
def test_the_cards_code_decodes_files_as_training_did(trained, tmp_path, make, antialias, fit):
    model = open_model(trained, "digits")
    seen = replace(
        model.experiment,
        dataset=DatasetSettings("folder", "pictures", value_range=(0, 65535)),
        input=InputSettings((24, 40), fit, antialias=antialias),
    )
    model, names = replace(model, experiment=seen), {}
    details = {"exported": [], "checked_images": {"split": "test", "n": 64, "limit": LIMIT},
               "against_pipeline": {"engine": "a", "precision": "b", "largest_difference": 0.0, "same_class": 64}}  # fmt: skip
    (code,) = _code(model_card(model, details, []))
    exec(code.partition("labels = ")[0], names)
    np.testing.assert_array_equal(
        names["picture"](make(tmp_path)), load(tmp_path / make(tmp_path).name, model.resizing)
    )


@pytest.mark.parametrize(("shift", "kept"), [(0, True), (2 * LIMIT, False), (np.nan, False)])
def test_a_file_that_predicts_something_else_is_removed(tmp_path, shift, kept):
    path, reference = tmp_path / "model.keras", np.full((3, 10), 0.1)
    path.write_bytes(b"a model")
    shifted = replace(FORMATS["keras"], load=lambda path: lambda images: reference + shift)
    found = checked("keras", path, shifted, np.zeros((3, 8, 8, 3), np.uint8), reference)
    assert path.exists() == kept
    assert found.path == (path if kept else None)


def test_a_head_of_neighbours_is_refused_with_advice(trained, tmp_path):
    head = load_head(trained / "runs" / "digits" / "train-head" / "head.npz")
    arrays = {
        "mean": np.zeros(4),
        "scale": np.ones(4),
        "rows": np.zeros((6, 4)),
        "labels": np.arange(6),
        "k": np.array(1),
    }
    folder = tmp_path / "runs" / "digits" / "probe"
    folder.mkdir(parents=True)
    novelty = replace(head.novelty, rows=head.novelty.rows[:, :4])
    save_head(replace(head, classifier=Classifier(arrays, 10), novelty=novelty), folder / "head.npz")
    done = invoke("export", "-e", "digits", home=tmp_path)
    assert done.exit_code == 2, done.output
    assert "needs its 6 training images" in done.stderr
    assert "--model train-head" in done.stderr


@pytest.fixture
def nothing_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports without the minute that writing and running a network takes."""
    left = replace(FORMATS["keras"], write=lambda model, path, labels: path.write_bytes(b"a model"))
    monkeypatch.setitem(FORMATS, "keras", left)
    monkeypatch.setattr(export_model, "checked", lambda name, path, *others: Exported(name, path, 0.0))
    monkeypatch.setattr(export_model, "_predictions", lambda model, images: np.full((len(images), 10), 0.1))


def test_two_models_of_one_experiment_are_exported_into_folders_of_their_own(trained, tmp_path, nothing_computed):
    runs = tmp_path / "runs" / "digits"
    for name in ("probe", "train-head"):
        (runs / name).mkdir(parents=True)
        shutil.copy(trained / "runs" / "digits" / "train-head" / "head.npz", runs / name)
    for name in ("probe", "train-head"):
        folder = runs / "export" / name
        done = invoke("export", "-e", "digits", "--model", name, "--json", home=tmp_path)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["to"] == str(folder)
        assert json.loads((runs / "export" / "result.json").read_text())["to"] == str(folder)
        assert {path.name for path in folder.iterdir()} == {"model.keras", "labels.txt", "model-card.md"}
        assert f"from the model of `{name}`" in (folder / "model-card.md").read_text()


def test_a_class_name_of_two_lines_is_one_in_labels_txt_and_in_the_card(trained, tmp_path, nothing_computed):
    model = open_model(trained, "digits")
    model = replace(model, known={**model.known, "classes": ["été\nnew", *model.classes[1:]]})
    export_model.export_model(model, ["keras"], tmp_path)
    (folder,) = (tmp_path / "runs" / "digits" / "export").glob("*/")
    labels = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert labels == ["été new", *model.classes[1:]]
    assert "(`labels.txt`): été new, 1, 2" in (folder / "model-card.md").read_text(encoding="utf-8")


def test_an_unknown_format_names_the_valid_ones(trained):
    done = invoke("export", "-e", "digits", "--format", "keras,onx", home=trained)
    assert done.exit_code == 2
    assert "Received: 'keras,onx'" in done.stderr
    assert "Nearest to 'onx': onnx" in done.stderr


@pytest.mark.slow
def test_every_format_of_a_real_head_runs_by_the_cards_code_without_this_package(trained, tmp_path):
    for form in FORMATS.values():
        for module in form.needs:
            pytest.importorskip(module)
    done = invoke(
        "export", "-e", "digits", "--format", ",".join(FORMATS), "--to", str(tmp_path), "--json", home=trained
    )
    assert done.exit_code == 0, done.output
    assert all(row["largest_difference"] < LIMIT for row in json.loads(done.stdout)["exported"])
    (image,) = digits().images("test", np.array([7]))
    Image.fromarray(image).save(tmp_path / "picture.jpg")
    first, *others = _code((tmp_path / "model-card.md").read_text())
    assert len(others) == len(FORMATS)
    answers = []
    for code in others:
        words = [sys.executable, "-c", f"{first}\n{code}\nprint(*probabilities[0])"]
        ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=True)
        answers.append([float(word) for word in ran.stdout.split()[-10:]])
    np.testing.assert_allclose(answers, [answers[0]] * len(answers), atol=1e-5)


@pytest.mark.slow
def test_a_fine_tuned_network_is_predicted_with_and_exported(extracted, tmp_path):
    tune = ("fine-tune", *SMALL, "--set", "finetune.epochs=1", "--json")
    tuned = invoke(*tune, home=extracted)
    assert tuned.exit_code == 0, tuned.output
    done = invoke("export", "-e", "digits", "--model", "fine-tune", "--to", str(tmp_path), "--json", home=extracted)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["model"]["accuracy"] == json.loads(tuned.stdout)["methods"][0]["accuracy"]
    assert result["exported"][0]["largest_difference"] < LIMIT
    (image,) = digits().images("test", np.array([7]))
    Image.fromarray(image).save(tmp_path / "7.png")
    done = invoke("predict", "-e", "digits", "--model", "fine-tune", str(tmp_path / "7.png"), "--json", home=extracted)
    (row,) = json.loads(done.stdout)["predictions"]
    expected = FORMATS["keras"].load(tmp_path / "model.keras")(image[None])[0]
    assert row["classes"][0]["probability"] == pytest.approx(expected.max(), abs=1e-4)
    assert row["unlike"] is None
    words = ("predict", "-e", "digits", "--model", "fine-tune", str(tmp_path / "7.png"))
    for setting in ("input.size=64,64", "input.resize=nearest"):
        refused = invoke(*words, "--set", setting, home=extracted)
        assert refused.exit_code == 2, refused.output
        assert "needs images as in its training" in refused.stderr
    result = extracted / "runs" / "digits" / "fine-tune" / "result.json"
    made = result.read_text()
    older = json.loads(made)
    older["experiment"]["dataset"] |= {"source": "folder", "path": "pictures"}
    result.write_text(json.dumps(older))
    refused = invoke(*words, home=extracted)
    assert refused.exit_code == 2
    assert "decoded in another way" in refused.stderr
    result.write_text(made)
    with (extracted / "runs" / "digits" / "fine-tune" / "model.keras").open("ab") as stream:
        stream.write(b" ")
    other = invoke(*words, home=extracted)
    assert other.exit_code == 2
    assert "is not the network that" in other.stderr


@pytest.mark.slow
def test_a_network_from_scratch_is_never_called_pre_trained(extracted, tmp_path):
    made = invoke(
        "fine-tune", *SMALL, "--method", "from-scratch", "--set", "finetune.epochs=1", "--json", home=extracted
    )
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["backbone"].endswith("RANDOM-WEIGHTS")
    assert "not pre-trained" in " ".join(json.loads(made.stdout)["warnings"])
    words = ("export", "-e", "digits", "--model", "from-scratch", "--to", str(tmp_path))
    assert invoke(*words, home=extracted).exit_code == 0
    card = (tmp_path / "model-card.md").read_text()
    assert "RANDOM WEIGHTS, not pre-trained" in card
    assert "ImageNet" not in card
