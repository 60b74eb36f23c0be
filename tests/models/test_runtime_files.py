"""ONNX files and OpenVINO's own as backbones: the recipe round them, their layers, and what each kind of file is told."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnxfiles import IMAGES, SIZE, TORCH_MEAN, TORCH_STD, Graph, convnet, extracted, loaded, saved, tokens

from bottleneck_features import models
from bottleneck_features.models.engines import cpu_has_bfloat16, import_openvino
from bottleneck_features.models.errors import (
    EngineUnavailable,
    InvalidSetting,
    UnsafeFile,
)
from bottleneck_features.models.preprocessing import NAMED
from bottleneck_features.models.readings import read_out
from bottleneck_features.models.recipe import Tokens
from bottleneck_features.models.sources import find_source

INNER = ("stem.Relu", "block.Mul", "flatten", "fc.Gemm_output_0")
TORCH = NAMED["torch"]
RANDOM = np.random.default_rng(1)


def by_onnx_runtime(path, images, *names):
    """The tensors of a file for float32 images as it takes them, by ONNX Runtime."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": images})


def test_several_inner_nodes_are_read_in_one_pass_maps_with_their_channels_last(plain):
    ours = extracted(loaded(plain, preprocessing=TORCH), INNER, pooling=["none", "max", "auto", "auto"])
    wanted = ["/stem/Relu_output_0", "/block/Mul_output_0", "/flatten_output_0", "/fc/Gemm_output_0"]
    stem, block, flat, scores = by_onnx_runtime(plain, TORCH(IMAGES).transpose(0, 3, 1, 2), *wanted)
    theirs = [stem.transpose(0, 2, 3, 1), block.max(axis=(2, 3)), flat, scores]
    for layer, expected in zip(INNER, theirs, strict=True):
        np.testing.assert_allclose(ours[layer], expected, rtol=1e-4, atol=1e-5)


def test_layers_have_the_nodes_own_names_each_time_the_file_is_read(plain):
    names = models.layer_names(str(plain))
    assert set(INNER) <= set(names)
    assert loaded(plain, preprocessing=TORCH).layer_names == names == models.layer_names(str(plain))
    assert not [name for name in names if set("/@+,") & set(name)]
    assert find_source(str(plain)).last_layer(("auto",)) == "fc.Gemm_output_0"


def test_images_are_resized_mirrored_and_preprocessed_as_for_a_keras_model(plain):
    import tensorflow as tf

    images = RANDOM.integers(0, 256, (4, 40, 50, 3), dtype=np.uint8)
    backbone = loaded(plain, preprocessing=TORCH)
    ours = extracted(backbone, ["pool"], images, resize="lanczos3", antialias=True, views=("identity", "hflip"))["pool"]
    seen = tf.image.resize(images, SIZE, "lanczos3", antialias=True).numpy()
    for view, expected in enumerate((seen, seen[:, :, ::-1])):
        (theirs,) = by_onnx_runtime(plain, TORCH(expected).transpose(0, 3, 1, 2), "/pool_output_0")
        np.testing.assert_allclose(ours[:, view], theirs[:, :, 0, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["tf", "caffe"])
def test_every_preprocessing_is_done_in_the_graph(plain, name):
    backbone = models.load_backbone(str(plain), size=SIZE, preprocessing=NAMED[name])
    ours = extracted(backbone, ["flatten"])["flatten"]
    (theirs,) = by_onnx_runtime(plain, NAMED[name](IMAGES).transpose(0, 3, 1, 2), "/flatten_output_0")
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    assert backbone.preprocessing == NAMED[name].text


@pytest.mark.parametrize(
    ("dims", "element"),
    [
        ((1, 3, 32, 32), TensorProto.FLOAT),
        (("n", 3, 32, 32), TensorProto.UINT8),
        (("n", 32, 32, 3), TensorProto.FLOAT),
        (("n", "h", "w", 3), TensorProto.UINT8),
        (("n", "c", "h", "w"), TensorProto.FLOAT),
    ],
)
def test_every_layout_of_the_input_gives_the_same_features(tmp_path, plain, dims, element):
    own = convnet(tmp_path / "own.onnx", dims, element=element, mean=TORCH_MEAN, std=TORCH_STD)
    ours = extracted(loaded(own), ["stem.Relu", "flatten"], pooling=["none", "auto"])
    wanted = ["/stem/Relu_output_0", "/flatten_output_0"]
    stem, flat = by_onnx_runtime(plain, TORCH(IMAGES).transpose(0, 3, 1, 2), *wanted)
    np.testing.assert_allclose(ours["stem.Relu"], stem.transpose(0, 2, 3, 1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(ours["flatten"], flat, rtol=1e-3, atol=1e-4)


def test_weights_beside_an_onnx_file_are_read_and_are_part_of_its_identity(tmp_path, plain):
    beside = convnet(tmp_path / "beside.onnx", external="beside.weights")
    ours = extracted(loaded(beside, preprocessing=TORCH), ["flatten"])["flatten"]
    np.testing.assert_array_equal(ours, extracted(loaded(plain, preprocessing=TORCH), ["flatten"])["flatten"])
    before = models.weights_identity(str(beside)).sha256
    weights = tmp_path / "beside.weights"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert models.weights_identity(str(beside)).sha256 != before


def test_a_network_written_by_openvino_gives_the_features_of_its_onnx_file(tmp_path, plain):
    runtime = import_openvino()
    runtime.save_model(runtime.Core().read_model(plain), tmp_path / "own.xml", compress_to_fp16=False)
    names = ["stem.Relu", "flatten"]
    ours, theirs = (extracted(loaded(path, preprocessing=TORCH), names) for path in (tmp_path / "own.xml", plain))
    for name in names:
        np.testing.assert_array_equal(ours[name], theirs[name])
    before = models.weights_identity(str(tmp_path / "own.xml")).sha256
    (tmp_path / "own.bin").write_bytes((tmp_path / "own.bin").read_bytes()[:-1] + b"\1")
    assert models.weights_identity(str(tmp_path / "own.xml")).sha256 != before


def test_tokens_are_read_as_those_of_a_keras_model(tmp_path):
    backbone = loaded(tokens(tmp_path / "tokens.onnx"), preprocessing=TORCH)
    assert backbone.tokens_of("tokens_output_0") == Tokens(3, (4, 4))
    assert backbone.tokens_of("patches") == Tokens(0, (4, 4))
    (whole,) = by_onnx_runtime(tmp_path / "tokens.onnx", TORCH(IMAGES).transpose(0, 3, 1, 2), "/tokens_output_0")
    for pooling in ("auto", "patches", "cls+patches", "none"):
        ours = extracted(backbone, ["tokens_output_0"], pooling=pooling)["tokens_output_0"]
        reading = "cls" if pooling == "auto" else pooling
        np.testing.assert_allclose(ours, read_out(whole, reading, Tokens(3, (4, 4))), rtol=1e-4, atol=1e-5)


def test_constant_tokens_read_one_two_and_one_beside_two(tmp_path):
    backbone = loaded(tokens(tmp_path / "tokens.onnx", constant=True), preprocessing=TORCH)
    read = {
        reading: extracted(backbone, ["tokens_output_0"], pooling=reading)
        for reading in ("cls", "patches", "cls+patches")
    }
    found = {reading: arrays["tokens_output_0"] for reading, arrays in read.items()}
    np.testing.assert_array_equal(found["cls"], np.ones((8, 8)))
    np.testing.assert_array_equal(found["patches"], np.full((8, 8), 2))
    np.testing.assert_array_equal(found["cls+patches"], np.repeat([[1, 2]], 8, axis=0).repeat(8, axis=1))


def test_channels_before_positions_are_put_last(tmp_path):
    backbone = loaded(tokens(tmp_path / "tokens.onnx"), preprocessing=TORCH)
    assert backbone.output_shape("embed.Reshape") == backbone.output_shape("patches") == (None, 16, 8)
    ours = extracted(backbone, ["embed.Reshape", "patches"], pooling="patches")
    np.testing.assert_allclose(ours["embed.Reshape"], ours["patches"], rtol=1e-5)


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_other_precisions_are_near_to_float32(plain, precision):
    if precision == "bfloat16" and not cpu_has_bfloat16():
        pytest.skip("this processor does not compute in bfloat16")
    calibration = RANDOM.integers(0, 256, (8, *SIZE, 3), dtype=np.uint8)
    backbone = loaded(plain, preprocessing=TORCH)
    built = models.build_extractor(backbone, INNER, precision=precision, calibration=calibration, batch_size=8)
    assert built.precision == precision
    assert min(built.check[layer]["cosine"] for layer in INNER) > 0.98


def test_a_quantised_file_is_not_quantised_again(tmp_path):
    path = convnet(tmp_path / "quantised.onnx")
    model = onnx.load(path)
    graph = Graph(seed=1)
    scale, zero = graph.weight(np.float32(0.05)), "zero"
    graph.weights.append(helper.make_tensor("zero", TensorProto.INT8, [], [0]))
    narrow = graph.add("QuantizeLinear", "input", scale, zero, name="/quantise")
    first = graph.add("DequantizeLinear", narrow, scale, zero, name="/dequantise")
    for weight in graph.weights:
        weight.name = f"q-{weight.name}"
    for node in graph.nodes:
        node.input[1:] = [f"q-{name}" for name in node.input[1:]]
    model.graph.initializer.extend(graph.weights)
    model.graph.node[0].input[0] = first
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*graph.nodes, *rest])
    saved(model, path)
    backbone = loaded(path, preprocessing=TORCH)
    assert extracted(backbone, ["flatten"])["flatten"].shape == (8, 16)
    with pytest.raises(EngineUnavailable, match="is quantised already: set compute.precision"):
        models.build_extractor(backbone, ["flatten"], precision="int8", calibration=IMAGES, batch_size=8)


def test_multiply_adds_are_counted(tmp_path, plain):
    recipe = models.Recipe(("fc.Gemm_output_0",), ("avg",), SIZE, SIZE, views=("identity", "hflip"))
    once = 9 * (3 * 8 * 32 * 32 + 8 * 16 * 16 * 16) + 16 * 5
    assert loaded(plain, preprocessing=TORCH).gflop_per_image(recipe) == pytest.approx(2 * 2e-9 * once)
    stem = models.Recipe(("stem.Relu",), ("avg",), SIZE, SIZE)
    assert loaded(plain, preprocessing=TORCH).gflop_per_image(stem) == pytest.approx(2e-9 * 9 * 3 * 8 * 32 * 32)


def test_a_file_is_named_as_it_is_told(tmp_path, plain):
    source = find_source(str(plain))
    assert (source.label, source.protocol.size) == ("plain", (224, 224))
    assert find_source(str(convnet(tmp_path / "fixed.onnx", ("n", 3, 48, 64)))).protocol.size == (48, 64)
    identity = models.weights_identity(str(plain))
    assert (identity.source, identity.path, identity.notice) == ("file", plain, "")


def test_preprocessing_that_no_one_names_is_asked_for(plain):
    with pytest.raises(InvalidSetting, match="gets numbers from 0 to 255: nothing before it rescales images") as told:
        loaded(plain)
    assert "Most networks exported from torchvision and timm were trained as 'torch' says." in str(told.value)


def test_standardising_numbers_of_0_to_1_inside_is_seen(tmp_path):
    own = convnet(tmp_path / "own.onnx", mean=TORCH_MEAN / 255, std=TORCH_STD / 255)
    with pytest.raises(InvalidSetting, match=r"standardises 0\.\.1, and gets 0\.\.255.*std = \[1, 1, 1\]}"):
        loaded(own)
    scaled = models.Preprocessing((1 / 255,) * 3, (0.0,) * 3)
    whole = convnet(tmp_path / "whole.onnx", mean=TORCH_MEAN, std=TORCH_STD)
    ours, theirs = extracted(loaded(own, preprocessing=scaled), ["flatten"]), extracted(loaded(whole), ["flatten"])
    np.testing.assert_allclose(ours["flatten"], theirs["flatten"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["tf", "torch"])
def test_preprocessing_twice_is_noticed(tmp_path, name):
    own = convnet(tmp_path / "own.onnx", mean=TORCH_MEAN, std=TORCH_STD)
    with pytest.raises(InvalidSetting, match="are rescaled twice, by backbone.preprocessing and the network"):
        loaded(own, preprocessing=NAMED[name])
    pixels = convnet(tmp_path / "pixels.onnx", element=TensorProto.UINT8, mean=TORCH_MEAN, std=TORCH_STD)
    with pytest.raises(InvalidSetting, match="takes whole numbers, so its preprocessing is inside"):
        loaded(pixels, preprocessing=NAMED[name])
    assert loaded(pixels, preprocessing=NAMED["none"]).size == SIZE


def test_what_needs_keras_says_why_not(plain):
    with pytest.raises(
        InvalidSetting, match="is a finished graph that OpenVINO runs as it is: it cannot be trained on"
    ):
        models.load_keras_backbone(str(plain), size=SIZE, preprocessing=TORCH)
    with pytest.raises(EngineUnavailable, match="runs in OpenVINO only: set compute.engine to 'auto'"):
        extracted(loaded(plain, preprocessing=TORCH), ["flatten"], engine="tensorflow")
    with pytest.raises(EngineUnavailable, match="OpenVINO engine computes on the CPU, and float16 is for GPUs"):
        extracted(loaded(plain, preprocessing=TORCH), ["flatten"], precision="float16")


def test_on_a_machine_with_a_gpu_it_runs_in_openvino_and_that_is_said(plain, monkeypatch):
    from bottleneck_features.models import engine_choice, engines

    assert models.engine_note(str(plain)) == ""
    for module in (engine_choice, engines):
        monkeypatch.setattr(module, "gpus", lambda: 1)
    assert models.backbone_engine(str(plain), "auto", "float32") == ("openvino", "float32")
    assert models.backbone_engine("resnet50", "auto", "float32") == ("tensorflow", "float32")
    assert "runs in OpenVINO, on the CPU: the GPU of this machine takes no part" in models.engine_note(str(plain))
    assert models.engine_note("resnet50") == ""


def test_the_check_is_against_onnx_runtime_and_openvino_where_that_is_missing(plain, monkeypatch):
    import importlib.util

    backbone = loaded(plain, preprocessing=TORCH)
    assert backbone.reference_name == "ONNX Runtime in float32"
    found = importlib.util.find_spec
    recipe = models.Recipe(INNER, ("avg",) * 4, SIZE, SIZE)
    one = backbone.reference(recipe, IMAGES)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "onnxruntime" else found(name, *more)
    )
    assert backbone.reference_name == "OpenVINO in float32"
    other = backbone.reference(recipe, IMAGES)
    for layer in INNER:
        np.testing.assert_allclose(one[layer], other[layer], rtol=1e-3, atol=1e-4)


def test_a_network_that_would_fill_the_memory_is_not_run(tmp_path):
    graph = Graph()
    x = graph.add("Tile", "input", graph.weight(np.array([1, 1, 4096, 4096])), name="/tile")
    x = graph.add("ReduceMean", x, name="/mean", axes=[2, 3])
    path = saved(graph.model(("n", 3, 32, 32), [x]), tmp_path / "large.onnx")
    with pytest.raises(UnsafeFile, match="'/tile' in it makes an array of 206,158,430,208 bytes for one image"):
        loaded(path)


def test_of_a_network_that_gives_probabilities_the_features_before_its_classes_are_taken(tmp_path):
    classifier = convnet(tmp_path / "classes.onnx", softmax=True)
    last = find_source(str(classifier)).last_layer(("auto",))
    assert last.startswith("flatten")
    backbone = models.load_backbone(str(classifier), size=(32, 32), preprocessing=models.NAMED["torch"])
    assert backbone.output_shape(last) == (None, 16)
