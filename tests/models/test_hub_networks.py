"""Networks in their publishers' folders give the features of the reference implementations, at any size."""

import json

import keras
import numpy as np
import pytest
from published import KINDS, centred_error, input_images, read_reference, write_folder
from published.keras_hub_presets import write_preset

from bottleneck_features import models
from bottleneck_features.models.errors import (
    BackboneFileError,
    EngineUnavailable,
    InvalidSetting,
    WeightsMismatch,
    WeightsUnavailable,
)
from bottleneck_features.models.readings import read_out
from bottleneck_features.models.tracing import truncated

pytest.importorskip("keras_hub")

CLOSE = 1e-4
PRESETS = ("siglip", "clip")
WITH_CLASS = {
    "vit",
    "vit-features",
    "deit",
    "dinov2",
    "dinov2-swiglu",
    "dinov2-registers",
    "dinov3",
    "dinov3-gated",
    "clip",
}
PADDED = [("swin", 40)]  # KerasHub rolls windows before it pads them
CASES = [(kind, size) for kind, known in KINDS.items() for size in known.sizes if (kind, size) not in PADDED]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}

    def folder(kind):
        if kind not in made:
            place = tmp_path_factory.mktemp(kind)
            made[kind] = write_preset(kind, place / kind) if kind in PRESETS else write_folder(kind, place)
        return str(made[kind])

    return folder


def wanted(kind, expected):
    """What is read of which layer, with the reference it must give."""
    last = "output" if kind == "resnet18" else "norm"
    found = {(last, "none"): expected["map"]}
    if kind != "resnet18":
        found[(last, "patches")] = expected["patches"]
    if kind in WITH_CLASS:
        found[(last, "cls")] = expected["cls"]
        found[(last, "cls+patches")] = np.concatenate([expected["cls"], expected["patches"]], axis=1)
    if "block2" in expected:
        found[("block2", "cls" if kind in WITH_CLASS else "patches")] = (
            expected["block2"][:, 0] if kind in WITH_CLASS else expected["block2"].mean(axis=1)
        )
    if kind in PRESETS:
        found[("pooler", "pooler")] = expected["pooler" if kind == "siglip" else "cls"]
    if "projected" in expected:
        found[("projection", "pooler")] = expected["projected"]
    return found


@pytest.mark.parametrize(("kind", "size"), CASES)
def test_features_are_those_of_the_reference(kind, size, folders):
    expected = read_reference(kind).outputs[size]
    backbone = models.load_backbone(folders(kind), size=(size, size))
    readings = wanted(kind, expected)
    layers = tuple(dict.fromkeys(layer for layer, _ in readings))
    outputs = truncated(backbone.model, layers)(input_images(size).astype(np.float32), training=False)
    by_layer = dict(zip(layers, outputs if len(layers) > 1 else [outputs], strict=True))
    for (layer, pooling), reference in readings.items():
        tokens = backbone.tokens_of(layer)
        features = np.asarray(read_out(by_layer[layer], backbone.reading(layer, pooling), tokens))
        assert centred_error(features, reference) <= CLOSE, (layer, pooling)


@pytest.fixture(scope="module")
def swin(tmp_path_factory):
    """A Swin with two heads; of one head OpenVINO's fused attention has the wrong shape."""
    import keras_hub

    keras.utils.set_random_seed(0)
    network = keras_hub.models.SwinTransformerBackbone(
        image_shape=(32, 32, 3), embed_dim=16, depths=(2, 2), num_heads=(2, 4), window_size=4, patch_size=4
    )
    folder = tmp_path_factory.mktemp("swin") / "preset"
    network.save_to_preset(str(folder))
    return str(folder)


ENGINES = [
    (engine, kind) for engine in ("openvino", "tensorflow") for kind in ("vit", "swin", "dinov2-registers", "siglip")
]


@pytest.mark.parametrize(
    ("engine", "kind"), [*ENGINES[:6], *(pytest.param(*rest, marks=pytest.mark.slow) for rest in ENGINES[6:])]
)
def test_every_engine_runs_them(kind, engine, folders, swin):
    precision = {"tensorflow": "bfloat16", "openvino": "float32"}[engine]
    name = swin if kind == "swin" else folders(kind)
    size, last = KINDS[kind].sizes[0], models.find_source(name).last_layer(("auto",))
    backbone = models.load_backbone(name, size=(size, size), preprocessing=models.NAMED["torch"])
    extractor = models.build_extractor(backbone, ["block1", last], engine=engine, precision=precision, batch_size=4)
    assert all(
        check["relative_error"] < (1e-4 if precision == "float32" else 0.05) for check in extractor.check.values()
    )


def test_a_network_that_openvino_cannot_run_names_the_other_engine(folders):
    backbone = models.load_backbone(folders("swin"), size=(32, 32))
    with pytest.raises(EngineUnavailable, match="OpenVINO cannot run '.*compute.engine=tensorflow"):
        models.build_extractor(backbone, ["norm"], engine="openvino", precision="float32", batch_size=4)


@pytest.mark.parametrize("kind", ["vit", "deit", "dinov2-registers", "dinov3", "siglip", "clip", "resnet18"])
def test_what_is_trained_on_comes_back_from_its_file(kind, folders, tmp_path):
    size = KINDS[kind].sizes[-1]
    backbone = models.load_keras_backbone(folders(kind), size=(size, size))
    layer = models.find_source(folders(kind)).last_layer(("auto",))
    model = models.classifier(backbone, layer, 3, (size, size, 3), pooling="auto", crop_area=1, flip=False)
    assert model.get_layer("backbone").layers[-1].output.shape == model.get_layer("backbone").output_shape
    model.save(tmp_path / "model.keras")
    images = input_images(size).astype(np.float32)
    again = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_allclose(again(images, training=False), model(images, training=False), atol=1e-6)


def test_what_cannot_be_trained_on_is_refused_before(folders):
    with pytest.raises(InvalidSetting, match="cannot be trained on, nor exported: KerasHub 0.32 cannot load a Swin"):
        models.load_keras_backbone(folders("swin"), size=(32, 32))


def test_int8_is_calibrated_on_images(folders):
    backbone = models.load_backbone(folders("vit"), size=(32, 32))
    images = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)
    extractor = models.build_extractor(backbone, ["norm"], engine="openvino", precision="int8", calibration=images)
    assert extractor.check["norm"]["cosine"] > 0.95


@pytest.mark.parametrize(
    ("kind", "auto", "inner"),
    [
        ("vit", "cls", "cls"),
        ("dinov2", "cls", "cls"),
        ("siglip", "pooler", "patches"),
        ("clip", "pooler", "cls"),
        ("swin", "avg", "avg"),
    ],
)
def test_what_is_read_where_nothing_is_said(kind, auto, inner, folders):
    source = models.find_source(folders(kind))
    last = source.last_layer(("auto",))
    assert (source.reading(last, "auto"), source.reading("block1", "auto")) == (auto, inner)
    assert source.last_layer(("patches",)) == "norm"


def test_preprocessing_once_twice_and_not_at_all_give_other_features(folders):
    images = input_images(32)
    own, none, torch = (
        models.build_extractor(
            models.load_backbone(folders("vit"), size=(32, 32), preprocessing=asked), ["norm"], precision="float32"
        )(images)["norm"]
        for asked in (None, models.Preprocessing((1, 1, 1), (0, 0, 0)), models.NAMED["torch"])
    )
    assert centred_error(none, own) > 0.1
    assert centred_error(torch, own) > 0.1  # google's ViT takes -1..1


def test_a_size_that_patches_do_not_divide_names_the_next(folders):
    with pytest.raises(InvalidSetting, match=r"patches of 8×8: input.size must have multiples of 8, such as 32,32"):
        models.load_backbone(folders("vit"), size=(30, 30))


def test_a_size_that_windows_do_not_divide_is_refused(folders):
    with pytest.raises(InvalidSetting, match="windows of 4×4"):
        models.load_backbone(folders("swin"), size=(40, 40))


def test_weights_that_nothing_reads_are_refused(tmp_path, folders):
    from safetensors.numpy import load_file, save_file

    folder = write_folder("vit", tmp_path)
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "vit.encoder.layer.0.lambda": np.ones(3, np.float32)}, folder / "model.safetensors")
    with pytest.raises(WeightsMismatch, match=r"does not read.*vit\.encoder\.layer\.0\.lambda.*ONNX"):
        models.load_backbone(str(folder), size=(32, 32))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ('{"model_type": "convnext"}', "has model_type 'convnext'. Of Hugging Face's layout these are read: 'vit'"),
        (
            '{"architecture": "densenet121"}',
            "has architecture 'densenet121'. Of timm's layout these are read: 'resnet18'",
        ),
        ('{"class_name": "BertBackbone", "config": {}}', "has class_name 'BertBackbone'. Of KerasHub's"),
        ("{}", "is of no layout that is known"),
        ("[]", "is no table of settings"),
        ("{", "cannot be read"),
    ],
)
def test_other_networks_are_refused_with_the_way_there_is(config, says, tmp_path):
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(BackboneFileError, match=says.replace(".", r"\.")):
        models.find_source(str(tmp_path)).last_layer(("auto",))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(BackboneFileError, match=r"has no config\.json"):
        models.weights_identity(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(WeightsUnavailable, match=r"has no weights \(model\.safetensors or model\.weights\.h5\)\.$"):
        models.weights_identity(str(tmp_path))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(WeightsUnavailable, match=r"pytorch_model\.bin may hold code.*save_pretrained"):
        models.weights_identity(str(tmp_path))
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "one.safetensors"}}')
    with pytest.raises(
        WeightsUnavailable, match=r"lacks weights that model\.safetensors\.index\.json names: one\.safetensors"
    ):
        models.weights_identity(str(tmp_path))


def test_a_folder_that_says_nothing_of_its_numbers_is_asked_for_them(tmp_path):
    folder = write_folder("vit", tmp_path)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(InvalidSetting, match=r"does not say which numbers it takes.*backbone\.preprocessing"):
        models.load_backbone(str(folder), size=(32, 32))
    backbone = models.load_backbone(str(folder), size=(32, 32), preprocessing=models.NAMED["tf"])
    assert backbone.preprocessing == "RGB · [0.007843137, 0.007843137, 0.007843137] + [-1.0, -1.0, -1.0]"


def test_every_weight_byte_is_part_of_the_identity(tmp_path):
    folder = write_folder("vit", tmp_path)
    before = models.weights_identity(str(folder))
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    assert models.weights_identity(str(folder)).sha256 != before.sha256
    assert before.source == "file"


@pytest.mark.parametrize(
    ("card", "says"),
    [
        ("---\nlicense: apache-2.0\n---\n# A", "(licence apache-2.0)"),
        ("---\nlicense: other\nlicense_name: dinov3-license\n---\n", "(licence dinov3-license)"),
        ("---\nlicense: cc-by-nc-4.0\n---\n", "(licence cc-by-nc-4.0: not for commercial use)"),
        ("---\nlicense:\n- cc-by-nc-4.0\ntags:\n- a\n---\n", "(licence cc-by-nc-4.0: not for commercial use)"),
        ("---\nlicense:\ntags:\n- a\n---\n", "(its files state no licence)"),
        ("# no front matter", "(its files state no licence)"),
    ],
)
def test_the_licence_is_read_from_the_card(card, says, tmp_path):
    folder = write_folder("vit", tmp_path)
    (folder / "README.md").write_text(card)
    assert models.weights_identity(str(folder)).notice == f"{folder.name} {says}"


@pytest.mark.parametrize(
    "said",
    [{"image_std": [0, 0, 0]}, {"crop_size": {"height": 0, "width": 0}, "do_center_crop": True}, {"image_mean": "a"}],
)
def test_a_preprocessing_that_cannot_be_is_refused(said, tmp_path):
    folder = write_folder("vit", tmp_path)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **said}))
    with pytest.raises(BackboneFileError, match="says of its preprocessing cannot be read"):
        models.load_backbone(str(folder), size=(32, 32))


def test_a_layer_that_is_no_tokens_is_read_by_its_shape(folders):
    assert models.find_source(folders("vit")).reading("patches", "auto") == "auto"
    backbone = models.load_backbone(folders("vit"), size=(32, 32))
    recipe = models.build_extractor(backbone, ["patches", "norm"], precision="float32", batch_size=2).recipe
    assert recipe.pooling == ("avg", "cls")
