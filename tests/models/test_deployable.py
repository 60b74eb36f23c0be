"""One model of everything: it computes what the extractor and the head compute, however it is called and kept."""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from scipy.special import softmax

from bottleneck_features.models.deployable import LinearHead, deployable
from bottleneck_features.models.errors import EngineUnavailable, InvalidSetting
from bottleneck_features.models.formats import FORMATS, LABELS, Format, label_lines, move, remove
from bottleneck_features.models.recipe import Recipe
from bottleneck_features.models.tracing import trace, truncated

NAMES = ["cat", "dog\r\ntwo\u2028lines", "ünlike a cat"]
IN_LINES = ["cat", "dog two lines", "ünlike a cat"]
SIZE = (16, 12)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """A network whose batch norm has statistics of its own."""
    keras.utils.set_random_seed(0)
    images = keras.Input((*SIZE, 3))
    x = layers.Normalization(mean=[120.0, 110, 100], variance=[60.0**2, 58**2, 57**2])(images)
    x = layers.Conv2D(5, 3, activation="relu", name="early")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Dropout(0.5)(x)
    model = keras.Model(images, layers.Conv2D(7, 3, name="late")(x))
    random = np.random.default_rng(0)
    model.get_layer("norm").set_weights([random.uniform(0.5, 2, 5) for _ in range(4)])
    return model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, 9, 8, 3), np.uint8)


def _recipe(layers: tuple[str, ...], views: tuple[str, ...], input_shape=(9, 8), resize="bilinear") -> Recipe:
    return Recipe(layers, ("avg", "max")[: len(layers)], input_shape, SIZE, resize, True, views)


def _head(features: int, averages: str = "scores") -> LinearHead:
    random = np.random.default_rng(2)
    return LinearHead(random.normal(size=(3, features)), random.normal(size=3), 1.7, averages)


def _expected(network, recipe: Recipe, head: LinearHead, images: np.ndarray) -> np.ndarray:
    outputs = trace(truncated(network, recipe.layers), recipe, None)(images)
    rows = np.concatenate([outputs[f"out{i}"].numpy() for i in range(len(recipe.layers))], axis=-1).astype(np.float64)
    scores = rows.reshape(len(images), len(recipe.views), -1) @ head.coefficients.T + head.intercept
    mean = scores.mean(axis=1) if head.averages == "scores" else np.log(softmax(scores, axis=2).mean(axis=1))
    return softmax(mean / head.temperature, axis=1)


@pytest.mark.parametrize(
    ("layers", "views", "averages", "resize", "input_shape"),
    [
        pytest.param(("late",), ("identity",), "scores", "bilinear", (9, 8), marks=pytest.mark.slow),
        pytest.param(("early", "late"), ("identity", "hflip"), "scores", "bicubic", (9, 8), marks=pytest.mark.slow),
        (("early", "late"), ("hflip", "identity"), "probabilities", "lanczos3", (20, 31)),
        pytest.param(("late",), ("hflip",), "scores", "area", SIZE, marks=pytest.mark.slow),
        pytest.param(("late",), ("identity",), "scores", "nearest", (33, 5), marks=pytest.mark.slow),
    ],
)
def test_it_computes_what_the_extractor_and_the_head_compute(network, layers, views, averages, resize, input_shape):
    recipe, head = _recipe(layers, views, input_shape, resize), _head(7 if layers == ("late",) else 12, averages)
    images = np.random.default_rng(1).integers(0, 256, (5, *input_shape, 3), np.uint8)
    model = deployable(network, recipe, head)
    expected = _expected(network, recipe, head, images)
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=2e-6)
    np.testing.assert_allclose(model(images), expected, atol=2e-6)
    assert model.input.dtype == "uint8"


def test_a_head_of_other_features_is_refused(network):
    with pytest.raises(InvalidSetting, match="takes 9 features, the layers give 7"):
        deployable(network, _recipe(("late",), ("identity",)), _head(9))


@pytest.mark.parametrize(
    "name",
    ["keras", *(pytest.param(slow, marks=pytest.mark.slow) for slow in ("savedmodel", "onnx", "openvino", "litert"))],
)
def test_every_format_gives_the_same_for_any_number_of_images_and_has_the_class_names(name, network, images, tmp_path):
    form, recipe, head = FORMATS[name], _recipe(("early", "late"), ("identity", "hflip")), _head(12)
    for module in form.needs:
        pytest.importorskip(module)
    path = tmp_path / form.file
    form.write(deployable(network, recipe, head), path, NAMES)
    run, expected = form.load(path), _expected(network, recipe, head, images)
    np.testing.assert_allclose(run(images), expected, atol=1e-5)
    np.testing.assert_allclose(run(images[:1]), expected[:1], atol=1e-5)
    assert _names_inside(name, path) == (NAMES if name == "onnx" else IN_LINES)  # JSON holds any name
    remove(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("files", [("model.keras",), ("model.xml", "model.bin"), ("model-savedmodel/saved_model.pb",)])
def test_a_model_takes_the_place_of_an_earlier_one_and_nothing_else_stays_there(tmp_path, files):
    made, there = tmp_path / "made", tmp_path / "there"
    for folder, content in ((there, "earlier"), (made, "new")):
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
    model = Path(files[0]).parts[0]
    assert move(made / model, there) == there / model
    found = [path for path in there.rglob("*") if path.is_file()]
    assert {str(path.relative_to(there)): path.read_text() for path in found} == dict.fromkeys(files, "new")


def _names_inside(name, path):
    if name == "savedmodel":
        return (path / "assets.extra" / LABELS).read_text(encoding="utf-8").splitlines()
    if name == "onnx":
        import onnx

        return json.loads(next(item.value for item in onnx.load(path).metadata_props if item.key == "names"))
    if name == "openvino":
        import openvino

        words = openvino.Core().read_model(path).get_rt_info(["model_info", "labels"]).astype(str).split()
        return [word.replace("_", " ") for word in words]
    with zipfile.ZipFile(path) as archive:
        return archive.read(LABELS).decode().splitlines()


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_the_class_names_are_one_line_each_whatever_is_in_them(line_break):
    names = [f"été{line_break}new", "", "cat"]
    assert label_lines(names).splitlines() == ["été new", "", "cat"]
    assert label_lines(["cat", ""]).splitlines() == ["cat", ""]


def test_a_format_whose_package_is_missing_names_it_and_what_installs_it():
    with pytest.raises(
        EngineUnavailable, match=r"model\.x needs no_such_module.*pip install 'bottleneck-features\[export\]'"
    ):
        Format("model.x", ("keras", "no_such_module"), FORMATS["keras"].write, FORMATS["keras"].load).require()
