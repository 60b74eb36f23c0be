"""KerasHub's networks, read from folders as their publishers ship them, give what the reference implementations gave."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from published import KINDS, centred_error, input_images, normalised, read_reference, write_folder
from published.keras_hub_presets import write_preset
from published.weights import digest

keras_hub = pytest.importorskip("keras_hub")

CLOSE = 1e-4
SPECIAL = {"vit": 1, "deit": 2, "dinov2": 1, "dinov2-swiglu": 1, "dinov2-registers": 5, "dinov3": 5, "dinov3-gated": 5}
OWN = [(kind, KINDS[kind].sizes[0]) for kind in (*SPECIAL, "swin", "resnet18")]
OTHER = [
    ("dinov2-registers", 28),
    ("dinov2-registers", 42),
    ("dinov3", 48),
    ("dinov3-gated", 48),
    ("swin", 64),
    ("resnet18", 80),
]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Any]:
    @cache
    def load(kind: str, size: int) -> Any:
        folder = write_folder(kind, tmp_path_factory.mktemp(kind))
        shape = {} if kind == "resnet18" else {"image_shape": (size, size, 3)}
        network = keras_hub.models.Backbone.from_preset(str(folder), **shape)
        shutil.rmtree(folder)  # a ResNet is 45 MB
        return network

    return load


def inputs(kind: str, size: int) -> np.ndarray:
    return normalised(input_images(size), KINDS[kind].normalisation)


def given(network: Any, images: np.ndarray) -> np.ndarray:
    """The network's own output; some have inputs with names."""
    named = network.input
    return np.asarray(network(dict.fromkeys(named, images) if isinstance(named, dict) else images, training=False))


def readings(kind: str, output: np.ndarray, side: int) -> dict[str, np.ndarray]:
    if kind == "resnet18":
        return {"map": output, "pooler": output.mean(axis=(1, 2))}
    special = SPECIAL.get(kind, 0)
    patches = output[:, special:]
    found = {"map": patches.reshape(len(output), side, side, -1), "patches": patches.mean(axis=1)}
    return found | ({"cls": output[:, 0]} if special else {"pooler": found["patches"]})


@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_images_are_those_of_the_reference(kind: str) -> None:
    stored = read_reference(kind)
    assert digest(KINDS[kind].weights()) == stored.weights
    assert {size: digest({"images": input_images(size)}) for size in KINDS[kind].sizes} == stored.images


@pytest.mark.slow  # `test_hub_networks` compares what is made of them
@pytest.mark.parametrize(("kind", "size"), OWN + OTHER)
def test_a_published_folder_gives_the_reference(kind: str, size: int, loaded: Callable[[str, int], Any]) -> None:
    expected = read_reference(kind).outputs[size]
    found = readings(kind, given(loaded(kind, size), inputs(kind, size)), expected["map"].shape[1])
    errors = {name: centred_error(array, expected[name]) for name, array in found.items()}
    assert max(errors.values()) <= CLOSE, errors


def vit_blocks(network: Any, images: np.ndarray) -> Any:
    tokens = network.layers[1](images)
    for block in network.layers[2].encoder_layers[:2]:
        tokens = block(tokens, training=False)
        tokens = tokens[0] if isinstance(tokens, tuple) else tokens  # DeiT's give their attention too
    return tokens


def dinov2_blocks(network: Any, images: np.ndarray) -> Any:
    tokens = network.embeddings(images)
    for block in network.encoder.layers[:2]:
        tokens = block(tokens, training=False)
    return tokens


def dinov3_blocks(network: Any, images: np.ndarray) -> Any:
    return given(keras.Model(network.input, network.pyramid_outputs["stage2"]), images)


def swin_stage(network: Any, images: np.ndarray) -> Any:
    return network.stages[0](network.patch_embedding(images), training=False)


def resnet_stage(network: Any, images: np.ndarray) -> Any:
    return given(keras.Model(network.input, network.pyramid_outputs["P4"]), images)


INNER = {"vit": vit_blocks, "deit": vit_blocks, "dinov2": dinov2_blocks, "dinov3": dinov3_blocks}
INNER |= {"swin": swin_stage, "resnet18": resnet_stage}


@pytest.mark.slow  # `test_hub_networks` compares what is made of them
@pytest.mark.parametrize(("kind", "size"), OWN)
def test_an_inner_block_gives_the_reference(kind: str, size: int, loaded: Callable[[str, int], Any]) -> None:
    expected = read_reference(kind).outputs[size]
    name = next(name for name in expected if name in ("block2", "stage1", "stage3"))
    found = np.asarray(INNER[kind.split("-")[0]](loaded(kind, size), inputs(kind, size)))
    assert centred_error(found, expected[name]) <= CLOSE


@pytest.mark.slow  # `test_hub_networks` compares what is made of them
@pytest.mark.parametrize("kind", ["siglip", "clip"])
def test_a_preset_gives_the_reference(kind: str, tmp_path: Path) -> None:
    backbone = keras_hub.models.Backbone.from_preset(str(write_preset(kind, tmp_path)))
    tower = backbone.vision_encoder
    size = KINDS[kind].sizes[0]
    images, expected = inputs(kind, size), read_reference(kind).outputs[size]
    last_norm = tower.post_layer_norm if kind == "siglip" else tower.layer_norm
    block, tokens = (
        given(keras.Model(tower.input, layer.output), images) for layer in (tower.encoder_layers[1], last_norm)
    )
    found = {"block2": block, "patches": tokens[:, kind == "clip" :].mean(axis=1)}
    if kind == "siglip":
        found |= {"pooler": given(tower, images)}
    else:
        found |= {"cls": tokens[:, 0], "projected": np.asarray(backbone.get_vision_embeddings(images))}
    errors = {name: centred_error(array, expected[name]) for name, array in found.items()}
    assert max(errors.values()) <= CLOSE, errors
