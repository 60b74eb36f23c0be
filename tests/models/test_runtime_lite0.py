"""The project's own ONNX export of EfficientNet-Lite0, read back as a backbone, is the Keras model."""

from pathlib import Path

import numpy as np
import pytest

from bottleneck_features import models
from bottleneck_features.models.building import backbone_recipe
from bottleneck_features.models.deployable import LinearHead, deployable
from bottleneck_features.models.engines import cpu_has_bfloat16
from bottleneck_features.models.formats import FORMATS

LAYERS = {
    "block5c_add": ".block5c_add_1.Add",
    "top_activation": ".top_activation_1.Relu6",
}  # how the export ends the names
IMAGES = np.random.default_rng(0).integers(0, 256, (16, 224, 224, 3), dtype=np.uint8)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def keras_model() -> models.Backbone:
    return models.load_keras_backbone("efficientnet-lite0")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, keras_model: models.Backbone) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    recipe = backbone_recipe(keras_model, ("top_activation",), ("avg",))
    head = LinearHead(
        np.random.default_rng(0).normal(0, 0.1, (3, 1280)).astype(np.float32), np.zeros(3, np.float32), 1.0
    )
    FORMATS["onnx"].write(deployable(keras_model.model, recipe, head), path, ["a", "b", "c"])
    return path


@pytest.mark.parametrize(("precision", "least"), [("float32", 0.9999), ("bfloat16", 0.999), ("int8", 0.98)])
def test_it_gives_the_features_of_the_keras_model(exported, keras_model, precision, least):
    if precision == "bfloat16" and not cpu_has_bfloat16():
        pytest.skip("this processor does not compute in bfloat16")
    read = models.load_backbone(str(exported))
    names = {ours: next(name for name in read.layer_names if name.endswith(theirs)) for ours, theirs in LAYERS.items()}
    options = {"precision": precision, "calibration": IMAGES, "batch_size": 16}
    ours = models.build_extractor(keras_model, tuple(names), **options)
    theirs = models.build_extractor(read, tuple(names.values()), **options)
    a, b = ours(IMAGES), theirs(IMAGES)
    for one, other in names.items():
        x, y = a[one].astype(np.float64), b[other].astype(np.float64)
        cosines = (x * y).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
        assert cosines.min() >= least
    assert theirs.gflop_per_image == pytest.approx(ours.gflop_per_image, rel=0.05)
