"""What KerasHub gets wrong, measured against the reference implementations: each is why our loader does not leave it to KerasHub.

When one of these fails, KerasHub has mended it, and our way around can go.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from published import KINDS, centred_error, input_images, normalised, read_reference, write_folder
from safetensors import SafetensorError

keras_hub = pytest.importorskip("keras_hub")
pytestmark = pytest.mark.slow

WRONG = 0.01  # a hundred times what right networks stay below


def class_tokens(network: Any, images: np.ndarray) -> np.ndarray:
    return np.asarray(network({"images": images}, training=False))[:, 0]


def dinov2(folder: Path, size: int) -> Any:
    return keras_hub.models.Backbone.from_preset(str(write_folder("dinov2", folder)), image_shape=(size, size, 3))


@pytest.mark.parametrize("size", [28, 42])
def test_dinov2_resamples_position_embeddings_by_another_cubic(size: int, tmp_path: Path) -> None:
    """TensorFlow's cubic has a = -0.5, PyTorch's without antialiasing a = -0.75."""
    found = class_tokens(dinov2(tmp_path, size), normalised(input_images(size), KINDS["dinov2"].normalisation))
    assert centred_error(found, read_reference("dinov2").outputs[size]["cls"]) > WRONG


def test_a_saved_dinov2_loses_its_own_position_embeddings(tmp_path: Path) -> None:
    """It keeps those of the native size, and resamples them anew as it is read."""
    network = dinov2(tmp_path, 28)
    images = normalised(input_images(28), KINDS["dinov2"].normalisation)
    embeddings = network.embeddings.interpolated_position_embeddings
    embeddings.assign(embeddings + np.random.default_rng(0).random(embeddings.shape))  # as fine-tuning moves them
    network.save(tmp_path / "saved.keras")
    found = class_tokens(keras.models.load_model(tmp_path / "saved.keras"), images)
    assert centred_error(found, class_tokens(network, images)) > WRONG


def test_dinov2_norms_its_inner_blocks(tmp_path: Path) -> None:
    """`apply_layernorm` is true in published files: it is about transformers' own pyramid."""
    network = dinov2(tmp_path, 56)
    inner = keras.Model(network.input, network.pyramid_outputs["stage2"])
    found = np.asarray(inner({"images": normalised(input_images(56), KINDS["dinov2"].normalisation)}, training=False))
    assert centred_error(found, read_reference("dinov2").outputs[56]["block2"]) > WRONG


def test_a_vit_without_a_classifier_is_not_read(tmp_path: Path) -> None:
    """Its weights have no `vit.` before their names."""
    with pytest.raises(SafetensorError, match=r"vit\.embeddings"):
        keras_hub.models.Backbone.from_preset(str(write_folder("vit-features", tmp_path)))


@pytest.mark.parametrize("kind", ["vit", "deit"])
def test_vit_and_deit_are_not_read_at_another_size(kind: str, tmp_path: Path) -> None:
    folder = write_folder(kind, tmp_path)
    with pytest.raises(ValueError, match="shape of the target variable"):
        keras_hub.models.Backbone.from_preset(str(folder), image_shape=(48, 48, 3))


def test_swin_rolls_before_it_pads(tmp_path: Path) -> None:
    """Where a stage's grid is no multiple of the window: 40 pixels give 20, 10 and 5 places, the window has 4."""
    network = keras_hub.models.Backbone.from_preset(str(write_folder("swin", tmp_path)), image_shape=(40, 40, 3))
    found = np.asarray(network(normalised(input_images(40), KINDS["swin"].normalisation), training=False))
    assert centred_error(found.mean(axis=1), read_reference("swin").outputs[40]["patches"]) > WRONG


def test_a_new_clip_gives_all_tokens_the_first_position() -> None:
    sizes = {"patch_size": 8, "hidden_dim": 8, "num_layers": 1, "num_heads": 1, "intermediate_dim": 8}
    tower = keras_hub.models.CLIPVisionEncoder(**sizes, image_shape=(32, 32, 3))
    assert not np.asarray(tower.embedding.position_ids).any()
