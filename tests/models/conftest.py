"""What the tests of `models` share: images, and small networks that build in a moment."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def photographs() -> np.ndarray:
    """Twelve 64×64 crops of a real photograph."""
    from skimage.data import astronaut

    photo = astronaut()
    return np.stack([photo[y : y + 64, x : x + 64] for y in (0, 96, 192) for x in (60, 160, 260, 360)])


@pytest.fixture(scope="session")
def lite0():
    """EfficientNet-Lite0 with its real ImageNet weights, for 64×64 images."""
    from bottleneck_features import models

    return models.load_backbone("efficientnet-lite0", size=(64, 64))


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file of a ConvNet that takes standardised images of any size, any number at a time."""
    from onnxfiles import convnet

    return convnet(tmp_path_factory.mktemp("onnx") / "plain.onnx")


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with batch norm whose statistics are not the initial ones, in a `.keras` file."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    images = keras.Input((48, 48, 3), name="images")
    x = layers.Resizing(40, 40, name="resizing")(images)
    x = layers.Rescaling(1 / 255, name="rescaling")(x)
    x = layers.Conv2D(8, 3, name="conv1")(x)
    x = layers.BatchNormalization(name="bn1")(x)
    x = layers.ReLU(name="relu1")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="conv2")(x)
    x = layers.BatchNormalization(name="bn2", scale=False)(x)
    x = layers.Activation("relu", name="relu2")(x)
    x = layers.Conv2D(24, 3, strides=2, padding="same", activation="relu", name="conv3")(x)
    model = keras.Model(images, x)
    random = np.random.default_rng(0)
    for norm in (model.get_layer("bn1"), model.get_layer("bn2")):
        norm.set_weights([random.uniform(0.3, 1.5, w.shape) for w in norm.get_weights()])
    path = tmp_path_factory.mktemp("models") / "small.keras"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def small(model_file: Path):
    """That network as a backbone for 48×48 images."""
    from bottleneck_features import models

    return models.load_backbone(str(model_file), size=(48, 48))
