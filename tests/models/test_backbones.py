"""Every backbone builds, with its own preprocessing; files that do not fit say so in one line."""

import importlib.resources
import random
import zipfile

import keras
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from bottleneck_features import models
from bottleneck_features.models.registry import APPLICATIONS, TORCHVISION
from bottleneck_features.models.sources.registered import lite0_path
from bottleneck_features.models.torch_files import load_tensors

FAST = ("efficientnet-lite0", "resnet50", "vgg16", "mobilenetv2")
SLOW = tuple(name for name in models.backbone_names() if name not in FAST)


def test_lite0_names_at_least_17_of_20_imagenet_pictures():
    folder = importlib.resources.files("foolbox") / "data"
    files = sorted(file for file in folder.iterdir() if file.name.startswith("imagenet_"))
    pictures = [Image.open(str(f)).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR) for f in files]
    labels = np.array([int(file.name.split("_")[2].removesuffix(".jpg")) for file in files])
    backbone = models.load_backbone("efficientnet-lite0", size=(224, 224))
    guesses = backbone.model(np.stack(pictures).astype("float32"), training=False).numpy().argmax(1)
    assert len(labels) == 20
    assert (guesses == labels).sum() >= 17


def _own_preprocessing(name, images):
    """What keras.applications and torchvision document for the network, applied outside it."""
    if name in TORCHVISION:
        return (images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    if name == "efficientnet-lite0":
        return (images - 127) / 128
    return getattr(keras.applications, APPLICATIONS[name].module).preprocess_input(images.copy())


@pytest.mark.parametrize("name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_a_backbone_takes_rgb_and_preprocesses_it_itself(name, photographs):
    backbone = models.load_backbone(name, "random", (64, 64), seed=4)
    images = photographs[:2].astype("float32")
    inside = backbone.model(images, training=False).numpy()
    first = next(layer for layer in backbone.model.layers if layer.weights)
    rest = keras.Model(first.input, backbone.model.output)
    outside = rest(_padded_for(first, backbone.model, name, _own_preprocessing(name, images)), training=False).numpy()
    np.testing.assert_allclose(inside, outside, rtol=1e-3, atol=1e-5 * np.abs(outside).max())


def _padded_for(first, model, name, images):
    """Keras' EfficientNetV2 and ConvNeXt preprocess in layers of their own, ResNets pad before their first convolution."""
    names = [layer.name for layer in model.layers]
    for layer in model.layers[1 : names.index(first.name)]:
        if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization) and name not in APPLICATIONS:
            continue
        images = layer(images)
    return images


@pytest.mark.parametrize("name", ["resnet50", pytest.param("convnexttiny", marks=pytest.mark.slow)])
def test_layer_names_do_not_depend_on_what_was_built_before(name):
    first = models.load_backbone(name, "random", (64, 64)).layer_names
    assert models.load_backbone(name, "random", (64, 64)).layer_names == first


def test_random_weights_come_from_the_seed_alone_and_leave_the_generator_alone():
    random.seed(9)
    state = random.getstate()
    one, same, other = (models.load_backbone("efficientnet-lite0", "random", (32, 32), seed) for seed in (1, 1, 2))
    assert random.getstate() == state
    kernels = [backbone.model.get_layer("stem_conv").kernel.numpy() for backbone in (one, same, other)]
    assert np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])
    assert one.weights.source == "random"


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_a_weights_file_is_loaded(tmp_path, suffix):
    source = models.load_backbone("mobilenetv2", "random", (64, 64), seed=5)
    path = tmp_path / f"mine{suffix}"
    (source.model.save_weights if suffix == ".weights.h5" else source.model.save)(path)
    loaded = models.load_backbone("mobilenetv2", str(path), (96, 96))
    assert loaded.weights.source == "file"
    assert loaded.weights.notice == ""
    for ours, theirs in zip(loaded.model.get_weights(), source.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_weights_of_another_architecture_are_refused_in_one_line(tmp_path, suffix):
    other = models.load_backbone("vgg16", "random", (32, 32)).model
    path = tmp_path / f"vgg{suffix}"
    (other.save_weights if suffix == ".weights.h5" else other.save)(path)
    with pytest.raises(models.WeightsMismatch, match="does not hold weights for backbone 'mobilenetv2'") as caught:
        models.load_backbone("mobilenetv2", str(path), (64, 64))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_weights_file_is_refused(tmp_path):
    path = tmp_path / "broken.weights.h5"
    path.write_bytes(b"nothing of the kind")
    for name in ("mobilenetv2", "efficientnet-lite0"):
        with pytest.raises(models.WeightsMismatch):
            models.load_backbone(name, str(path), (64, 64))


def test_a_model_file_runs_at_another_size_with_the_same_weights(model_file, photographs):
    own = models.load_backbone(str(model_file), size=(48, 48))
    larger = models.load_backbone(str(model_file), size=(64, 64))
    assert own.weights.source == "file"
    assert larger.model.input_shape == (None, 64, 64, 3)
    np.testing.assert_array_equal(own.model.get_layer("conv1").kernel, larger.model.get_layer("conv1").kernel)


def _truncated(path, model_file):
    path.write_bytes(model_file.read_bytes()[:3000])


def _not_a_model(path, _):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")


def _lambda(path, _):
    images = keras.Input((32, 32, 3))
    keras.Model(images, keras.layers.Lambda(lambda x: x * 2)(images)).save(path)


def _flat(path, _):
    features = keras.Input((12,))
    keras.Model(features, keras.layers.Dense(2)(features)).save(path)


@pytest.mark.parametrize("make", [_truncated, _not_a_model, _lambda, _flat])
def test_a_file_that_is_no_safe_image_model_is_refused_in_one_line(tmp_path, model_file, make):
    path = tmp_path / "bad.keras"
    make(path, model_file)
    with pytest.raises(models.BackboneFileError, match=r"bad\.keras") as caught:
        models.load_backbone(str(path), size=(32, 32))
    assert "\n" not in str(caught.value)


def test_a_model_tied_to_its_size_says_which_it_is(tmp_path):
    images = keras.Input((32, 32, 3))
    x = keras.layers.Dense(4)(keras.layers.Flatten()(images))
    keras.Model(images, x).save(tmp_path / "tied.keras")
    with pytest.raises(models.BackboneFileError, match=r"Its own size is \(32, 32\): set input.size"):
        models.load_backbone(str(tmp_path / "tied.keras"), size=(64, 64))


def test_a_checkpoint_with_a_block_too_many_is_not_taken_for_lite0(tmp_path):
    tensors = load_tensors(lite0_path())
    deeper = {name.replace("_blocks.15.", "_blocks.16."): tensor for name, tensor in tensors.items()}
    safetensors.numpy.save_file(tensors | deeper, tmp_path / "deeper.safetensors")
    with pytest.raises(models.WeightsMismatch, match=r"lacks, such as '_blocks\.16\."):
        models.load_backbone("efficientnet-lite0", str(tmp_path / "deeper.safetensors"), (64, 64))


def test_a_wrong_layer_lists_the_nearest(lite0):
    with pytest.raises(models.UnknownLayer, match="'block3b_add'"):
        lite0.require_layers(("block3b_ad",))


def test_too_small_a_size_is_refused():
    with pytest.raises(models.ModelError, match="8×8"):
        models.load_backbone("resnet50", "random", (8, 8))


def test_a_network_called_as_a_layer_is_a_layer_to_take(tmp_path):
    images = keras.Input((32, 32, 3))
    inner = keras.Model(images, keras.layers.Conv2D(4, 3, name="conv")(images), name="inner")
    outer = keras.Input((32, 32, 3))
    keras.Model(outer, keras.layers.ReLU(name="last")(inner(keras.layers.Rescaling(1 / 255)(outer)))).save(
        tmp_path / "nested.keras"
    )
    backbone = models.load_backbone(str(tmp_path / "nested.keras"), size=(32, 32))
    extractor = models.build_extractor(backbone, ["inner", "last"], engine="tensorflow", precision="float32")
    features = extractor(np.full((2, 32, 32, 3), 255, np.uint8))
    np.testing.assert_allclose(np.maximum(features["inner"], 0), features["last"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize(("given", "size"), [((48, 32), (48, 32)), ((None, None), (224, 224))])
def test_what_a_model_file_says_is_known_without_loading_it(ending, given, size, tmp_path):
    images = keras.Input((*given, 3))
    last = keras.layers.Conv2D(4, 3, name="the_last")(keras.layers.Rescaling(1 / 255)(images))
    path = tmp_path / f"mine.{ending}"
    keras.Model(images, last).save(path)
    source = models.find_source(str(path))
    assert (source.protocol.size, source.last_layer(("auto",)), source.label) == (size, "the_last", "mine")
    assert models.load_backbone(str(path), size=(32, 32)).output_shape("the_last") == (None, 30, 30, 4)


def test_a_sequential_model_is_a_network(tmp_path):
    model = keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3, name="end")]
    )
    model.save(tmp_path / "s.keras")
    backbone = models.load_backbone(str(tmp_path / "s.keras"), size=(32, 32))
    extractor = models.build_extractor(backbone, ["end"], precision="float32", batch_size=2)
    assert extractor.output_shapes == {"end": (4,)}
    assert models.find_source(str(tmp_path / "s.keras")).last_layer(("auto",)) == "end"


def test_an_h5_file_of_weights_alone_is_no_network(tmp_path):
    model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3)])
    model.save_weights(tmp_path / "w.weights.h5")
    (tmp_path / "w.weights.h5").rename(tmp_path / "w.h5")
    with pytest.raises(models.BackboneFileError, match="holds weights only, no whole model: name its network"):
        models.find_source(str(tmp_path / "w.h5")).last_layer(("auto",))


def test_an_h5_file_with_code_is_refused(tmp_path):
    images = keras.Input((8, 8, 3))
    path = tmp_path / "lambda.h5"
    keras.Model(images, keras.layers.Lambda(lambda x: x + 1, output_shape=(8, 8, 3))(images)).save(path)
    with pytest.raises(models.BackboneFileError, match="cannot be loaded in safe mode"):
        models.load_backbone(str(path), size=(8, 8))


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_of_a_classifier_the_features_before_its_classes_are_taken(ending, tmp_path):
    images = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(keras.layers.Rescaling(1 / 255)(images))
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    scores = keras.layers.Dense(5, name="scores")(keras.layers.Dropout(0.5, name="drop")(x))
    keras.Model(images, scores).save(tmp_path / f"scores.{ending}")
    keras.Model(images, keras.layers.Softmax(name="soft")(scores)).save(tmp_path / f"soft.{ending}")
    dense = keras.layers.Dense(5, activation="softmax", name="classes")(x)
    keras.Model(images, dense).save(tmp_path / f"dense.{ending}")
    keras.Sequential([keras.Input((32, 32, 3)), *keras.Model(images, dense).layers[1:]]).save(
        tmp_path / f"row.{ending}"
    )
    found = {
        name: models.find_source(str(tmp_path / f"{name}.{ending}")).last_layer(("auto",))
        for name in ("scores", "soft", "dense", "row")
    }
    assert found == {"scores": "scores", "soft": "features", "dense": "features", "row": "features"}
