"""What is read of tokens and maps: registers and class tokens are never averaged in."""

import keras
import numpy as np
import pytest

from bottleneck_features import models
from bottleneck_features.models.backbones import Backbone
from bottleneck_features.models.errors import InvalidSetting
from bottleneck_features.models.readings import read_out, reading_of, tokens_in
from bottleneck_features.models.recipe import Tokens, read_shape

TOKENS = Tokens(5, (4, 3))  # a class token and four registers


def tokens():
    x = np.full((2, 17, 8), 2.0, np.float32)
    x[:, 0], x[:, 1:5] = 1.0, 1e6
    return x


@pytest.mark.parametrize(
    ("reading", "expected"),
    [("cls", [1] * 8), ("patches", [2] * 8), ("avg", [2] * 8), ("max", [2] * 8), ("cls+patches", [1] * 8 + [2] * 8)],
)
def test_tokens_that_are_constants_read_as_they_are(reading, expected):
    found = np.asarray(read_out(tokens(), reading, TOKENS))
    np.testing.assert_array_equal(found, [expected] * 2)
    assert read_shape((17, 8), reading, TOKENS) == len(expected)


def test_the_map_of_patches_has_rows_and_columns_in_order():
    x = tokens()
    x[:, 5:] = np.arange(12)[None, :, None]
    found = np.asarray(read_out(x, "none", TOKENS))
    np.testing.assert_array_equal(found[0, :, :, 0], np.arange(12).reshape(4, 3))
    assert read_shape((17, 8), "none", TOKENS) == 4 * 3 * 8


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_a_network_of_constant_tokens_reads_1_and_2(engine):
    images = keras.Input((32, 24, 3))
    patches = keras.layers.Conv2D(
        8, 8, strides=8, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(2.0)
    )
    flat = keras.layers.Reshape((12, 8))(patches(images))
    first = keras.layers.GlobalAveragePooling1D(keepdims=True)(flat) * 0.5  # 1
    x = keras.layers.Concatenate(axis=1, name="tokens")([first, *[first * 1e6] * 4, flat])
    identity = models.WeightsIdentity("file", "", None, "")
    backbone = Backbone("constants", keras.Model(images, x), "none", identity, (32, 24))
    assert backbone.tokens_of("tokens") == TOKENS  # told by their number
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 24, 3), np.uint8)
    for reading, expected in (("auto", [1] * 8), ("patches", [2] * 8), ("cls+patches", [1] * 8 + [2] * 8)):
        extractor = models.build_extractor(
            backbone, ["tokens"], pooling=reading, engine=engine, precision="float32", batch_size=4
        )
        np.testing.assert_allclose(extractor(pixels)["tokens"], [expected] * 4, rtol=1e-6)


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [
        (257, (224, 224), Tokens(1, (16, 16))),
        (256, (224, 224), Tokens(0, (16, 16))),
        (261, (224, 224), Tokens(5, (16, 16))),
        (197, (224, 224), Tokens(1, (14, 14))),
        (198, (224, 224), Tokens(2, (14, 14))),
        (730, (384, 384), None),  # 27 × 27 patches of 14 do not divide 384
        (50, (224, 224), Tokens(1, (7, 7))),
        (3, (224, 224), None),
        (49, (224, 224), Tokens(0, (7, 7))),
    ],
)
def test_an_unknown_networks_tokens_are_told_by_their_number(count, size, expected):
    assert tokens_in((None, count, 8), size) == expected


@pytest.mark.parametrize(
    ("shape", "lying", "auto"),
    [
        ((None, 8), None, "avg"),
        ((None, 4, 4, 8), None, "avg"),
        ((None, 17, 8), TOKENS, "cls"),
        ((None, 12, 8), Tokens(0, (4, 3)), "avg"),
    ],
)
def test_auto_is_what_there_is(shape, lying, auto):
    assert reading_of("layer", shape, "auto", lying) == auto


@pytest.mark.parametrize(
    ("shape", "lying", "pooling", "says"),
    [
        ((None, 4, 4, 8), None, "cls", "has no class token, it is a map"),
        ((None, 12, 8), Tokens(0, (4, 3)), "cls+patches", "has no class token, it has patches only"),
        ((None, 8), None, "cls", "has no class token, it is a vector"),
        ((None, 8), None, "patches", "is a vector"),
        ((None, 4, 4, 8), None, "pooler", "is no pooler's vector"),
        ((None, 17, 8), TOKENS, "pooler", "is no pooler's vector"),
        ((None, 17, 8), None, "avg", "nothing tells which of them are of patches"),
        ((None, 17, 8), None, "auto", "nothing tells which of them are of patches"),
    ],
)
def test_what_is_not_there_is_refused(shape, lying, pooling, says):
    with pytest.raises(InvalidSetting, match=says):
        reading_of("layer", shape, pooling, lying)
