"""The start-up check sees input of the wrong kind, and has no false alarm over the registered networks."""

import keras
import numpy as np
import pytest

from bottleneck_features import models
from bottleneck_features.models.backbones import load_backbone
from bottleneck_features.models.building import colour_fields
from bottleneck_features.models.input_check import cautions, judge, output_figures


@pytest.mark.parametrize("name", models.backbone_names())
def test_no_false_alarm_over_the_registered_networks(name):
    weights = "imagenet" if name == "efficientnet-lite0" else "random"
    backbone = load_backbone(name, weights, (64, 64))
    assert judge(backbone.first_input(colour_fields((64, 64), 8)), name) == ""


def convnet(path, *scalings):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 3))
    x = inputs
    for scaling in scalings:
        x = scaling(x)
    x = keras.layers.Conv2D(16, 3, activation="relu", name="first")(x)
    x = keras.layers.Conv2D(16, 3, activation="relu", name="last")(x)
    keras.Model(inputs, x).save(path)
    return str(path)


def checked(name, preprocessing=None):
    backbone = models.load_backbone(name, size=(32, 32), preprocessing=preprocessing)
    return models.build_extractor(backbone, ["last"], precision="float32", batch_size=8).check


def unit():
    return keras.layers.Rescaling(1 / 255)


def test_a_network_that_rescales_nothing_is_told(tmp_path):
    name = convnet(tmp_path / "raw.keras")
    (said,) = cautions(checked(name), name)
    assert "gets numbers from 0 to 255: nothing before it rescales images" in said
    assert cautions(checked(name), name, raw_is_asked=True) == ()
    assert cautions(checked(name, models.NAMED["torch"]), name) == ()


def test_a_network_that_rescales_twice_is_told(tmp_path):
    name = convnet(tmp_path / "twice.keras", unit(), unit())
    assert "rescaled twice" in cautions(checked(name), name)[0]
    once = convnet(tmp_path / "once.keras", unit())
    assert cautions(checked(once), once) == ()
    assert "rescaled twice" in cautions(checked(once, models.NAMED["torch"]), once)[0]


def test_a_network_that_standardises_what_it_gets_is_right(tmp_path):
    name = convnet(tmp_path / "norm.keras", keras.layers.BatchNormalization())
    assert "gets numbers" in cautions(checked(name), name)[0]  # new moving statistics change nothing
    fitted = keras.layers.Normalization(mean=[120.0] * 3, variance=[60.0**2] * 3)
    name = convnet(tmp_path / "fitted.keras", fitted)
    assert cautions(checked(name), name) == ()


def test_standardising_for_0_to_1_is_told_where_0_to_255_comes(tmp_path):
    standardised = keras.layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.229**2, 0.224**2, 0.225**2])
    name = convnet(tmp_path / "unscaled.keras", standardised)
    assert "standardises 0..1, and gets 0..255" in cautions(checked(name), name)[0]


def test_features_that_do_not_tell_images_apart_are_told():
    same = output_figures(np.zeros((8, 100)))
    assert "100% of the channels of layer 'deep' are the same" in cautions({"deep": same}, "net")[0]
    assert "numbers up to 1e+06" in cautions({"deep": {"constant_channels": 0, "largest": 1e6}}, "net")[0]
    assert cautions({"deep": {"constant_channels": 0.5, "largest": 100}}, "net") == ()


@pytest.mark.parametrize("asked", ["torch", "tf"])
def test_a_network_that_standardises_by_itself_and_is_given_a_preprocessing_is_told(asked, tmp_path):
    own = keras.layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.229**2, 0.224**2, 0.225**2])
    name = convnet(tmp_path / "own.keras", unit(), own)
    assert cautions(checked(name), name) == ()
    assert "rescaled twice" in cautions(checked(name, models.NAMED[asked]), name)[0]


def test_what_makes_0_to_1_of_0_to_255_is_the_remedy_that_is_named(tmp_path):
    own = keras.layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.229**2, 0.224**2, 0.225**2])
    name = convnet(tmp_path / "of_unit.keras", own)
    assert "{mean = [0, 0, 0], std = [1, 1, 1]}" in cautions(checked(name), name)[0]
    assert cautions(checked(name, models.Preprocessing.standardising((0, 0, 0), (1, 1, 1))), name) == ()
    assert "standardised twice" in cautions(checked(name, models.NAMED["torch"]), name)[0]


def test_a_dead_layer_is_told():
    assert "is dead" in cautions({"deep": output_figures(np.full((4, 3), 1e-11) * np.arange(4)[:, None])}, "net")[0]
