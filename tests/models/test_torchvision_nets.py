"""torchvision's networks in Keras: the real weights, torch's own output, and files of other networks."""

import keras
import numpy as np
import pytest
import safetensors.numpy

from bottleneck_features.models import load_backbone
from bottleneck_features.models.downloads import has_hash, hash_in_name
from bottleneck_features.models.errors import WeightsMismatch, WeightsUnavailable
from bottleneck_features.models.torchvision_nets import resnet, resnet_prefix, vgg16_bn, vgg_prefix
from bottleneck_features.models.weights import weights_identity


def torch_state(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a model under torchvision's names and in torch's layout."""
    prefix_of = vgg_prefix if model.name == "vgg16-bn" else resnet_prefix
    state = {}
    for layer in model.layers:
        values = layer.get_weights()
        if not values or isinstance(layer, keras.layers.Normalization):
            continue
        prefix = prefix_of(layer.name)
        if isinstance(layer, keras.layers.BatchNormalization):
            parts = ("weight", "bias", "running_mean", "running_var")
            state |= {f"{prefix}.{part}": value for part, value in zip(parts, values, strict=True)}
            continue
        kernel = values[0]
        if layer.name == "fc1":
            kernel = kernel.reshape(7, 7, 512, -1).transpose(2, 0, 1, 3).reshape(len(kernel), -1)
        axes = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
        state[f"{prefix}.weight"] = np.ascontiguousarray(kernel.transpose(axes))
        if len(values) > 1:
            state[f"{prefix}.bias"] = values[1]
    return state


def shaken(model: keras.Model, seed: int = 0) -> keras.Model:
    """The model with random weights of a size that keeps activations near one, batch norm statistics too."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.set_weights(
                [random.uniform(low, high, shape) for low, high in ((0.5, 1), (-0.2, 0.2), (-0.2, 0.2), (0.5, 1.5))]
            )
    return model


@pytest.mark.parametrize(("name", "layers"), [("resnet18", 20), ("resnet34", 36), ("resnet50-v1.5", 53)])
def test_a_checkpoint_in_torchs_layout_gives_the_same_network(tmp_path, name, layers):
    model = shaken(resnet(name, (64, 64)))
    state = torch_state(model)
    assert sum(value.ndim == 4 for value in state.values()) == layers
    safetensors.numpy.save_file(state, tmp_path / "x.safetensors")
    images = np.random.default_rng(1).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    loaded = load_backbone(name, str(tmp_path / "x.safetensors"), (64, 64), seed=5).model
    np.testing.assert_array_equal(loaded(images, training=False), model(images, training=False))


@pytest.mark.slow
def test_vgg_counts_its_layers_as_torchvision_does():
    state = torch_state(vgg16_bn((224, 224)))
    assert {name for name in state if name.endswith("running_mean")} == {
        f"features.{i}.running_mean" for i in (1, 4, 8, 11, 15, 18, 21, 25, 28, 31, 35, 38, 41)
    }
    assert state["classifier.0.weight"].shape == (4096, 25088)
    assert vgg16_bn((64, 64)).layers[-1].name == "block5_pool"


def test_the_real_resnet18_is_this_architecture(real_data):
    real = keras.models.load_model(real_data / "weights" / "resnet18_pqf.keras", compile=False)
    ours = resnet("resnet18", (224, 224))
    for layer in ours.layers:
        if layer.weights and not isinstance(layer, keras.layers.Normalization):
            layer.set_weights(real.get_layer(layer.name).get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (2, 224, 224, 3)).astype(np.float32)
    taken = keras.Model(real.inputs[0], real.get_layer("conv5_block2_out").output)(images, training=False)
    mine = keras.Model(ours.inputs[0], ours.get_layer("conv5_block2_out").output)(images, training=False)
    np.testing.assert_allclose(mine, taken, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "of"), [("resnet18", "resnet34"), ("resnet34", "resnet18"), ("resnet18", "resnet50-v1.5")]
)
def test_a_checkpoint_of_another_architecture_is_refused(tmp_path, name, of):
    safetensors.numpy.save_file(torch_state(resnet(of, (64, 64))), tmp_path / "other.safetensors")
    with pytest.raises(WeightsMismatch, match="belongs to another architecture"):
        load_backbone(name, str(tmp_path / "other.safetensors"), (64, 64))


def test_a_file_that_is_not_what_its_name_promises_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    file = tmp_path / "models" / "resnet18-f37072fd.pth"
    file.write_bytes(b"something else")
    assert hash_in_name(file.name) == "f37072fd"
    assert not has_hash(file, "f37072fd")
    monkeypatch.setattr("bottleneck_features.models.downloads.fetch", _no_network)
    with pytest.raises(WeightsUnavailable, match=r"resnet18-f37072fd\.pth"):
        weights_identity("resnet18")


def _no_network(*_: object) -> None:
    raise OSError("no network")
