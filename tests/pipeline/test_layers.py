"""`bottleneck layers` says what can be taken of a network, how it is read, and what it costs."""

import json

import keras
import pytest
from click.testing import CliRunner
from published import write_folder

from bottleneck_features import models
from bottleneck_features.models.keras_costs import gflop_per_image, layer_gflop
from bottleneck_features.pipeline.commandline.cli import main


def invoke(*words):
    return CliRunner().invoke(main, words)


def listed(*words):
    done = invoke("layers", *words, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    return found, {one["name"]: one for one in found["layers"]}


def test_a_registered_network_needs_no_weights():
    found, layers = listed("resnet18", "--size", "64")
    assert found["size"] == [64, 64]
    last = layers["conv5_block2_out"]
    assert last == {
        "name": "conv5_block2_out", "shape": [2, 2, 512], "reading": "avg", "features": 512,
        "gflop": pytest.approx(0.2962, abs=0.001), "share": pytest.approx(1.0), "taken": True, "stage": True,
    }  # fmt: skip
    assert layers["conv4_block2_out"]["stage"]
    assert layers["conv4_block2_out"]["gflop"] < last["gflop"]


def test_the_blocks_of_a_transformer_are_layers(tmp_path):
    folder = str(write_folder("dinov2-registers", tmp_path))
    found, layers = listed(folder, "--size", "28")
    assert {"block1", "block2", "block3", "norm"} <= set(layers)
    assert (layers["norm"]["taken"], layers["norm"]["reading"], layers["block1"]["stage"]) == (True, "cls", True)
    assert found["notice"].endswith("(its files state no licence)")
    assert found["protocol"]["fit"] == "crop"


def test_it_is_a_table_that_says_what_to_type_next():
    done = invoke("layers", "efficientnet-lite0")
    assert "top_activation *" in done.output
    assert "more layers: --all" in done.output
    assert "bottleneck run pictures --backbone efficientnet-lite0" in done.output


@pytest.mark.parametrize(
    ("words", "says"), [(("resnet5",), "Nearest: 'resnet50'"), (("resnet18", "--size", "a"), "--size is")]
)
def test_what_is_wrong_is_said(words, says):
    done = invoke("layers", *words)
    assert done.exit_code == 2
    assert says in done.output


def test_costs_count_each_kernel_at_its_positions():
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv")(images)
    y = keras.layers.Conv2D(4, 1, name="side")(x)
    z = keras.layers.Add(name="add")([x, y])
    tokens = keras.layers.Reshape((64, 4), name="tokens")(z)
    keras.layers.MultiHeadAttention(1, 4, name="attention")(tokens, tokens)
    attended = keras.layers.MultiHeadAttention(1, 4, name="attended")(tokens, tokens)
    model = keras.Model(images, attended)
    conv, side, attention = (2e-9 * 64 * products for products in (3 * 3 * 3 * 4, 4 * 4, 4 * 4 * 4))
    costs = layer_gflop(model)
    assert costs["add"] == pytest.approx(conv + side)
    assert costs["attended"] == pytest.approx(conv + side + attention)
    assert gflop_per_image(model) == pytest.approx(conv + side + attention)


def test_published_figures():
    backbone = models.load_backbone("resnet50", "random", (224, 224))
    assert max(backbone.layer_gflop().values()) == pytest.approx(
        7.72, abs=0.05
    )  # K. He et al., 2016: 3.8e9 multiply-adds
