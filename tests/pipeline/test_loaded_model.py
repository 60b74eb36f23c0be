"""A trained classifier opened in Python: the probabilities of the command, scikit-learn's verbs, and errors that help."""

import json
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commandline import SMALL, invoke
from imagefiles import encoded, picture, write
from PIL import Image
from sklearn.base import is_classifier
from sklearn.metrics import ConfusionMatrixDisplay

import bottleneck_features as bf
from bottleneck_features.features import open_features
from bottleneck_features.pipeline.datasets.sources.embedded import digits
from bottleneck_features.pipeline.methods.classifier import Classifier
from bottleneck_features.pipeline.methods.saved_head import load_head, save_head


@pytest.fixture(scope="module")
def head(trained: Path) -> Path:
    return trained / "runs" / "digits" / "train-head" / "head.npz"


@pytest.fixture(scope="module")
def model(head: Path, trained: Path) -> bf.LoadedModel:
    return bf.load_model(head, home=trained)


@pytest.fixture(scope="module")
def test_images(trained: Path) -> tuple[np.ndarray, np.ndarray]:
    """The 120 test images, and their labels."""
    (folder,) = (trained / "features").iterdir()
    test, everything = open_features(folder)["test"], digits()
    places = {identity: place for place, identity in enumerate(everything.splits["test"].ids)}
    return everything.images("test", np.array([places[identity] for identity in test.ids])), test.y[:]


@pytest.fixture(scope="module")
def expected(trained: Path, head: Path) -> np.ndarray:
    """The probabilities of the features in the cache."""
    (folder,) = (trained / "features").iterdir()
    return load_head(head).probabilities(open_features(folder)["test"].features["top_activation"][:])


@pytest.fixture(scope="module")
def files(test_images, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    for place, image in enumerate(test_images[0][:20]):
        Image.fromarray(image).save(folder / f"{place:02}.png")
    return sorted(folder.iterdir())


def test_probabilities_are_those_of_the_scored_features_bit_for_bit(model, test_images, expected):
    found = model.predict_proba(test_images[0])
    assert (found.shape, found.dtype) == ((120, 10), np.float64)
    assert found.tobytes() == expected.tobytes()


def test_arrays_pictures_of_pillow_and_paths_are_the_same_images(model, test_images, files, expected):
    images, paths = test_images[0][:20], [str(file) for file in files]
    for given in (
        images,
        list(images),
        images / 255,
        [Image.fromarray(one) for one in images],
        files,
        paths,
        np.array(paths),
    ):
        assert model.predict_proba(given).tobytes() == expected[:20].tobytes()


def test_answers_are_the_names_that_the_command_prints(model, trained, files):
    words = ("predict", "-e", "digits", "--model", "train-head", *map(str, files), "--json")
    rows = json.loads(invoke(*words, home=trained).stdout)["predictions"]
    assert model.predict(files).tolist() == [row["label"] for row in rows]
    assert model.unlike(files).tolist() == [row["unlike"] for row in rows]
    np.testing.assert_allclose(model.distances(files), [row["distance"] for row in rows], atol=5e-5, rtol=0)


def test_the_score_is_the_accuracy_that_was_measured(model, test_images, head):
    images, labels = test_images
    accuracy = load_head(head).recipe["accuracy"]["test"]
    assert model.score(images, model.classes_[labels]) == model.score(images, labels) == accuracy


def test_it_is_a_fitted_classifier_to_scikit_learn(model, test_images):
    images, labels = test_images
    assert is_classifier(model)
    shown = ConfusionMatrixDisplay.from_estimator(model, images, model.classes_[labels])
    assert shown.confusion_matrix.sum() == 120


def test_it_says_what_it_is(model, head):
    assert repr(model).startswith(
        f"LoadedModel('{head}', 10 classes)\ntrain-head (head, top_activation of efficientnet-lite0,"
    )
    assert "test accuracy" in repr(model)
    assert "% [" in repr(model)
    assert model.classes_.tolist() == [str(digit) for digit in range(10)]


def test_it_is_opened_by_its_file_or_by_the_name_of_its_experiment(model, trained, head, monkeypatch, tmp_path):
    assert bf.load_model("digits", model="train-head", home=trained).path == head
    assert bf.load_model(str(head)).path == head
    monkeypatch.setenv("BOTTLENECK_HOME", str(trained))
    assert bf.load_model("digits", model="train-head").path == head


def test_the_network_is_opened_once_and_threads_may_share_it(head, test_images, expected):
    model = bf.load_model(head)
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda start: model.predict_proba(test_images[0][start : start + 10]), range(0, 120, 10))
        )
    assert np.concatenate(answers).tobytes() == expected.tobytes()
    first = model._inference
    model.predict(test_images[0][:1])
    assert model._inference is first


def test_a_pickle_holds_its_place_and_opens_it_again(model, test_images, expected):
    model.predict(test_images[0][:1])
    content = pickle.dumps(model)
    assert len(content) < 2_000
    assert pickle.loads(content).predict_proba(test_images[0]).tobytes() == expected.tobytes()


def test_a_pickle_whose_file_is_another_model_now_is_refused(head, tmp_path):
    own = Path(shutil.copy(head, tmp_path / "head.npz"))
    shutil.copytree(head.with_name("network"), tmp_path / "network")
    content = pickle.dumps(bf.load_model(own, home=tmp_path))
    own.write_bytes(head.read_bytes() + b"\0")
    with pytest.raises(bf.RequestError, match="another model than the one that was pickled"):
        pickle.loads(content)


def test_another_process_opens_it_without_a_framework_scikit_learn_or_a_word(head, files):
    code = (
        "import sys, bottleneck_features as bf; model = bf.load_model(sys.argv[1]); print(*model.predict(sys.argv[2:])); "
        "print(*{'tensorflow', 'keras', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules))"
    )
    words = (sys.executable, "-c", code, str(head), *map(str, files))
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    answers, loaded, *_ = done.stdout.split("\n")
    assert len(answers.split()) == 20
    assert (loaded, done.stderr) == ("", "")


def test_many_images_show_progress_and_few_none(model, test_images, capsys):
    model.predict_proba(test_images[0][:1])
    assert capsys.readouterr().err == ""
    many = np.concatenate([test_images[0]] * 4)
    model.predict_proba(many)
    assert "predict: 480 of 480" in capsys.readouterr().err


@pytest.mark.slow
def test_whole_networks_answer_too_and_say_that_they_keep_no_distances(extracted, files):
    done = invoke("fine-tune", *SMALL, "--set", "finetune.epochs=1", "--json", home=extracted)
    assert done.exit_code == 0, done.output
    model = bf.load_model("digits", model="fine-tune", home=extracted)
    words = ("predict", "-e", "digits", "--model", "fine-tune", *map(str, files), "--json")
    rows = json.loads(invoke(*words, home=extracted).stdout)["predictions"]
    assert model.predict(files).tolist() == [row["label"] for row in rows]
    with pytest.raises(bf.RequestError, match=r"model.keras' is a whole network, which keeps no features"):
        model.unlike(files)


def test_two_classes_are_answered_at_the_threshold_of_the_model(trained, head, test_images, tmp_path):
    whole = load_head(head)
    arrays = {name: array[:2] for name, array in whole.classifier.arrays.items()}
    recipe = {**whole.recipe, "classes": ["no", "yes"], "threshold": 0.9}
    save_head(replace(whole, recipe=recipe, classifier=Classifier(arrays, 2, "probabilities")), tmp_path / "head.npz")
    model = bf.load_model(tmp_path / "head.npz", home=trained)
    assert model.threshold > 0.5
    second = model.predict_proba(test_images[0])[:, 1]
    assert model.predict(test_images[0]).tolist() == ["yes" if one >= model.threshold else "no" for one in second]


def test_what_must_be_known_of_a_model_is_a_warning_of_python_and_kept(head, trained, tmp_path):
    own = Path(shutil.copy(head, tmp_path / "head.npz"))
    (tmp_path / "network").mkdir()
    (tmp_path / "network" / "network.json").write_text("{}")
    with pytest.warns(UserWarning, match=r"beside the head, is not used: network.json: format: Field required"):
        model = bf.load_model(own, home=trained)
    assert len(model.warnings) == 1


WRONG = {
    "no such file": (("none.npz",), {}, "There is no file '.*none.npz'. A trained model is a head.npz"),
    "a path that is not there": ((Path("nothing"),), {}, "There is no file '.*nothing'"),
    "no such experiment": (("digitss",), {}, "There is no experiment 'digitss'. Nearest: digits"),
    "an experiment without a model": (("photo-patches",), {}, "There is no trained model .*bottleneck probe"),
    "no such model": (("digits",), {"model": "prob"}, "model takes one of probe,.*Received: 'prob'. Nearest: probe"),
    "a file and a model": (("{head}",), {"model": "probe"}, "is a file, which says all that model would"),
    "a folder": (("{folder}",), {}, "is a folder. Give the file in it: .*head.npz"),
    "an override": (("{head}",), {"overrides": ["input.size=64,64"]}, "trained on other features.*input.size"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_model_is_refused_as_what_it_is(kind, trained, head):
    given, settings, message = WRONG[kind]
    places = {"head": head, "folder": head.parent}
    given = [one.format(**places) if isinstance(one, str) else one for one in given]
    with pytest.raises(bf.RequestError, match=f"(?s){message}"):
        bf.load_model(*given, home=trained, **settings)


def test_images_that_are_none_are_refused_with_their_reason(model, files, tmp_path):
    with pytest.raises(bf.RequestError, match="One path is no list of images"):
        model.predict(str(files[0]))
    with pytest.raises(bf.RequestError, match="There are no images"):
        model.predict([])
    broken = write(tmp_path / "a.jpg", encoded(picture())[:400])
    with pytest.raises(bf.PipelineError, match=r"(?s)1 of 2 images cannot be used.*a.jpg.: Truncated"):
        model.predict_proba([files[0], broken])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["1"], "Each image needs one label. Received: 1 labels of 20 images"),
        (["1"] * 19 + ["one"], r"does not know the labels 'one'. Its classes: '0', '1'"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_compared_are_refused(model, files, labels, message):
    with pytest.raises(bf.RequestError, match=message):
        model.score(files, labels)
