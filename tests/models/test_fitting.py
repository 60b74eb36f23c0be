"""Images are cropped and padded as published: the same pixels as resizing all and cutting, in every place that fits them."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from bottleneck_features.models.deployable import LinearHead, deployable
from bottleneck_features.models.errors import InvalidSetting
from bottleneck_features.models.finetuning import RandomResizedCrop
from bottleneck_features.models.fitting import fitted
from bottleneck_features.models.recipe import KERNELS, Recipe
from bottleneck_features.models.tracing import trace

sides = st.integers(1, 6000)
targets = st.tuples(st.integers(8, 2048), st.integers(8, 2048))
shares = st.floats(0.05, 1)


@pytest.mark.parametrize(
    (
        "image",
        "share",
        "resized",
        "first",
    ),  # by the formulas of torchvision's Resize(round(224 / share)) and CenterCrop(224)
    [
        ((375, 500), 0.875, (256, 341), (16, 58)),
        ((500, 375), 0.875, (341, 256), (58, 16)),
        ((224, 224), 0.875, (256, 256), (16, 16)),
        ((100, 100), 1.0, (224, 224), (0, 0)),
        ((3000, 4000), 1.0, (224, 298), (0, 37)),
        ((480, 640), 224 / 232, (232, 309), (4, 42)),  # 42.5 is rounded to the even number
        ((1, 1000), 0.875, (256, 256_000), (16, 127_888)),
    ],
)
def test_a_crop_is_torchvisions(image, share, resized, first):
    axes = fitted(image, (224, 224), "crop", share)
    assert tuple(axis.resized for axis in axes) == resized
    assert tuple(axis.first for axis in axes) == first


def test_a_target_that_is_no_square_is_covered_and_its_middle_taken():
    rows, columns = fitted((600, 800), (100, 200), "crop", 0.5)  # covers 200×400
    assert (rows.resized, columns.resized) == (300, 400)
    assert (rows.seen, columns.seen) == (slice(100, 200), slice(100, 300))
    assert (rows.part, columns.part) == ((1 / 3, 2 / 3), (1 / 4, 3 / 4))


def test_a_padded_image_is_whole_in_its_own_proportions_and_in_the_middle():
    rows, columns = fitted((375, 500), (224, 224), "pad")
    assert (rows.resized, columns.resized) == (168, 224)
    assert (rows.filled, columns.filled) == (slice(28, 196), slice(0, 224))
    assert rows.part == columns.part == (0, 1)
    assert fitted((1, 5000), (32, 32), "pad")[0].resized == 1  # never nothing


@given(sides, sides, targets, shares)
def test_a_crop_lies_within_the_image_keeps_its_aspect_and_is_in_the_middle(height, width, target, share):
    axes = fitted((height, width), target, "crop", share)
    for axis, side in zip(axes, target, strict=True):
        assert axis.seen == slice(axis.first, axis.first + side)
        assert 0 <= axis.part[0] < axis.part[1] <= 1
        assert axis.filled == slice(0, side)
        assert abs(axis.first - (axis.resized - axis.first - side)) <= 1
    covered = [round(side / share) for side in target]
    assert any(axis.resized == side for axis, side in zip(axes, covered, strict=True))
    assert all(axis.resized >= side for axis, side in zip(axes, covered, strict=True))
    scale = max(side / axis.length for axis, side in zip(axes, covered, strict=True))
    assert all(scale * axis.length - 1 < axis.resized <= scale * axis.length + 1e-6 for axis in axes)


@given(sides, sides, targets)
def test_a_padded_image_lies_within_the_target_keeps_its_aspect_and_is_in_the_middle(height, width, target):
    axes = fitted((height, width), target, "pad")
    for axis, side in zip(axes, target, strict=True):
        assert axis.part == (0, 1)
        assert axis.filled.stop - axis.filled.start == axis.resized <= side
        assert abs(axis.filled.start - (side - axis.filled.stop)) <= 1
    scale = min(side / axis.length for axis, side in zip(axes, target, strict=True))
    assert any(axis.resized == axis.target for axis in axes)
    assert all(abs(axis.resized - scale * axis.length) <= max(0.5, 1 - scale * axis.length) + 1e-6 for axis in axes)


def _expected(images: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Resize all of the images, then cut out or pad."""
    rows, columns = recipe.axes
    whole = tf.image.resize(images, (rows.resized, columns.resized), recipe.resize, antialias=recipe.antialias).numpy()
    out = np.zeros((len(images), *recipe.size, 3), np.float32)
    out[:, rows.filled, columns.filled] = whole[:, rows.seen, columns.seen]
    return out


RECIPE = Recipe(("same",), ("none",), (20, 31), (16, 12), antialias=True)


def _network() -> keras.Model:
    images = keras.Input((*RECIPE.size, 3))
    return keras.Model(images, [layers.Rescaling(1.0, name="same")(images)])


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("fit", "share"), [("crop", 0.875), ("crop", 0.3), ("pad", 1.0)])
def test_arrays_are_fitted_in_the_graph_as_resizing_all_and_cutting_gives(fit, share, kernel, antialias):
    recipe = replace(RECIPE, fit=fit, crop_share=share, resize=kernel, antialias=antialias)
    images = np.random.default_rng(0).integers(0, 256, (2, *recipe.input_shape, 3), np.uint8)
    found = trace(_network(), recipe, None)(images)["out0"].numpy()
    np.testing.assert_allclose(found, _expected(images, recipe), atol=2e-3)


def test_images_of_the_targets_size_are_cropped_too_but_not_with_a_share_of_one():
    images = np.random.default_rng(0).integers(0, 256, (2, *RECIPE.size, 3), np.uint8)
    for share in (0.5, 1.0):
        recipe = replace(RECIPE, input_shape=RECIPE.size, fit="crop", crop_share=share)
        found = trace(_network(), recipe, None)(images)["out0"].numpy()
        np.testing.assert_allclose(found, _expected(images, recipe), atol=2e-3)
        assert np.array_equal(found, images) == (share == 1)


@pytest.mark.parametrize(("fit", "share"), [("crop", 0.6), ("pad", 1.0)])
def test_an_exported_model_and_a_fine_tuned_one_fit_images_alike(fit, share):
    recipe = replace(RECIPE, fit=fit, crop_share=share, pooling=("avg",))
    images = np.random.default_rng(0).integers(0, 256, (3, *recipe.input_shape, 3), np.uint8)
    expected = _expected(images, recipe)
    layer = RandomResizedCrop(recipe.size, 0.5, recipe.resize, recipe.antialias, fit, share)
    np.testing.assert_allclose(layer(images), expected, atol=2e-3)
    np.testing.assert_allclose(RandomResizedCrop.from_config(layer.get_config())(images), expected, atol=2e-3)
    head = LinearHead(np.eye(3) / 50, np.zeros(3), 1.0)
    model = deployable(_network(), recipe, head)
    scores = expected.mean(axis=(1, 2)) / 50
    np.testing.assert_allclose(model(images), tf.nn.softmax(scores), atol=1e-5)


def test_what_cannot_be_is_refused():
    with pytest.raises(InvalidSetting, match=r"input\.fit must be one of .*Received: input\.fit='squash'"):
        replace(RECIPE, fit="squash")
    with pytest.raises(InvalidSetting, match=r"input\.crop_share is above 0 and at most 1\. Received: 1\.5"):
        replace(RECIPE, fit="crop", crop_share=1.5)
