"""Heads and small ConvNets have the walk-throughs' shape, and learn."""

import numpy as np
import pytest

from bottleneck_features import models


@pytest.mark.parametrize(("shape", "pools"), [((2048,), False), ((7, 7, 2048), True)])
def test_the_head_pools_only_spatial_features(shape, pools):
    head = models.build_head(shape, 10, dropout=0.3)
    kinds = [type(layer).__name__ for layer in head.layers[1:]]
    assert kinds == ["GlobalAveragePooling2D", "Dropout", "Dense"][0 if pools else 1 :]
    assert head.count_params() == 2048 * 10 + 10


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 5, 4)])
def test_the_head_averages_tokens_and_volumes_too(shape):
    features = np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)
    head, flat = models.build_head(shape, 3), models.build_head((4,), 3)
    flat.set_weights(head.get_weights())
    theirs = flat.predict(features.reshape(6, -1, 4).mean(axis=1), verbose=0)
    np.testing.assert_allclose(head.predict(features, verbose=0), theirs, atol=1e-6)


@pytest.mark.parametrize("build", [models.small_convnet, models.strong_convnet])
@pytest.mark.parametrize("side", [8, 32])
def test_a_convnet_takes_uint8_images_of_their_own_size(build, side):
    images = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8)
    probabilities = build((side, side, 3), 5)(images, training=False).numpy()
    assert probabilities.shape == (3, 5)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)


def test_digits_are_shifted_but_not_mirrored():
    names = [layer.name for layer in models.strong_convnet((8, 8, 3), 10, flip=False).layers]
    assert "shift" in names
    assert "flip" not in names
    assert "flip" in [layer.name for layer in models.strong_convnet((8, 8, 3), 10).layers]


def test_the_small_convnet_learns_digits():
    import keras
    from sklearn.datasets import load_digits

    data = load_digits()
    images = np.repeat((data.images[..., None] * 15.9375).astype(np.uint8), 3, axis=-1)
    keras.utils.set_random_seed(0)
    model = models.small_convnet((8, 8, 3), 10)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images[:1200], data.target[:1200], batch_size=32, epochs=5, verbose=0)
    assert model.evaluate(images[1200:], data.target[1200:], verbose=0)[1] > 0.85
