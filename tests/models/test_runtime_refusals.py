"""ONNX files and OpenVINO's own that cannot be backbones, and settings that do not go with them: what each is told."""

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnxfiles import SIZE, Graph, convnet, extracted, loaded, saved

from bottleneck_features import models
from bottleneck_features.models.errors import (
    BackboneFileError,
    InvalidSetting,
    UnknownLayer,
)
from bottleneck_features.models.preprocessing import NAMED
from bottleneck_features.models.sources import find_source

TORCH = NAMED["torch"]


def test_another_size_than_the_files_own_is_refused(tmp_path):
    fixed = convnet(tmp_path / "fixed.onnx", ("n", 3, 48, 64))
    with pytest.raises(
        BackboneFileError, match=r"takes only images of 48×64: set input.size = \[48, 64\]. Received: 32×32"
    ):
        loaded(fixed, preprocessing=TORCH)


def test_a_size_that_does_not_go_through_the_network_is_refused(tmp_path):
    graph = Graph()
    x = graph.add("Conv", "input", graph.drawn(4, 3, 3, 3), name="/conv")
    x = graph.add("Flatten", x, name="/flat", axis=1)
    x = graph.add("Gemm", x, graph.drawn(4 * 30 * 30, 5), name="/fc")
    tied = saved(graph.model(("n", 3, "h", "w"), [x]), tmp_path / "tied.onnx")
    assert loaded(tied, preprocessing=TORCH).output_shape("flat") == (None, 3600)
    with pytest.raises(
        BackboneFileError, match="cannot take images of 64×64 .* Set input.size to what it was made for"
    ):
        loaded(tied, (64, 64), TORCH)


def test_a_file_for_one_image_at_a_time_is_told_how_to_be_exported(tmp_path):
    graph = Graph()
    x = graph.add("Conv", "input", graph.drawn(4, 3, 8, 8), name="/conv", strides=[8, 8])
    x = graph.add("Reshape", x, graph.weight(np.array([1, 4, 16])), name="flat")
    x = graph.add("Concat", graph.weight(np.ones((1, 4, 1))), x, name="/tokens", axis=2)
    one = saved(graph.model((1, 3, 32, 32), [x]), tmp_path / "one.onnx")
    with pytest.raises(
        BackboneFileError, match=r"takes only 1 image\(s\) at a time: export it again with a dynamic first axis"
    ):
        loaded(one, preprocessing=TORCH)


def test_a_missing_file_is_a_file_that_does_not_exist():
    for name in ("no/such/m.onnx", "m.onnx", "no/such/m.xml"):
        with pytest.raises(BackboneFileError, match=f"There is no file '{name}'"):
            find_source(name)


def test_damaged_files_say_so(tmp_path, plain):
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "text.onnx").write_text("<html>404: not found</html>")
    (tmp_path / "cut.onnx").write_bytes(plain.read_bytes()[:-100])
    for name in ("empty", "text", "cut"):
        with pytest.raises(BackboneFileError, match="no ONNX file"):
            models.weights_identity(str(tmp_path / f"{name}.onnx"))
    (tmp_path / "alone.xml").write_text("<net/>")
    with pytest.raises(BackboneFileError, match="has no weights: put 'alone.bin' beside it"):
        models.weights_identity(str(tmp_path / "alone.xml"))
    (tmp_path / "alone.bin").write_bytes(b"")
    with pytest.raises(BackboneFileError, match="OpenVINO cannot read"):
        loaded(tmp_path / "alone.xml")


def test_an_operation_that_openvino_does_not_know_is_named(tmp_path):
    graph = Graph()
    x = graph.add("Conv", "input", graph.drawn(4, 3, 3, 3), name="/conv")
    x = graph.add("Wonder", x, name="/wonder", domain="org.example")
    model = graph.model(("n", 3, "h", "w"), [x])
    model.opset_import.append(helper.make_opsetid("org.example", 1))
    with pytest.raises(BackboneFileError, match="OpenVINO cannot read .*Wonder"):
        loaded(saved(model, tmp_path / "wonder.onnx"))


@pytest.mark.parametrize(
    ("dims", "told"),
    [
        (("n", 1, 28, 28), r"is not a network of RGB images.*\(n, 3, height, width\).*1,28,28"),
        (("n", 4, 32, 32), "is not a network of RGB images"),
        (("n", 3, 32), "has not four axes"),
    ],
)
def test_a_network_of_something_else_than_rgb_images_is_refused(tmp_path, dims, told):
    graph = Graph()
    x = graph.add("Relu", "input", name="/relu")
    path = saved(graph.model(dims, [x]), tmp_path / "other.onnx")
    with pytest.raises(BackboneFileError, match=told):
        loaded(path)


def test_a_network_of_images_and_text_is_refused(tmp_path):
    graph = Graph()
    x = graph.add("Mul", "input", "text", name="/mul")
    model = graph.model(("n", 3, 32, 32), [x])
    model.graph.input.append(helper.make_tensor_value_info("text", TensorProto.FLOAT, ("n", 1, 1, 1)))
    with pytest.raises(
        BackboneFileError, match="must have one input, of images; it has 2: input .*, text .*Export the part"
    ):
        loaded(saved(model, tmp_path / "two.onnx"))


def test_a_mistyped_layer_is_told_the_nearest(plain):
    with pytest.raises(UnknownLayer, match="has no layer 'blok.Mul'. Nearest: 'block.Mul'"):
        extracted(loaded(plain, preprocessing=TORCH), ["blok.Mul"])


def test_a_class_token_is_refused_where_there_is_none(plain):
    with pytest.raises(InvalidSetting, match="layer 'block.Mul' has no class token, it is a map"):
        extracted(loaded(plain, preprocessing=TORCH), ["block.Mul"], pooling="cls")


def test_an_output_that_is_no_feature_needs_a_layer(tmp_path):
    graph = Graph()
    x = graph.add("Conv", "input", graph.drawn(4, 3, 3, 3), name="/conv")
    best = graph.add("ArgMax", x, name="/best", axis=1)
    model = graph.model(("n", 3, "h", "w"), [best])
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    source = find_source(str(saved(model, tmp_path / "best.onnx")))
    with pytest.raises(BackboneFileError, match="set backbone.layers. The last ones: conv"):
        source.last_layer(("auto",))


@pytest.mark.parametrize("weights", ["random", "file"])
def test_other_weights_are_refused(tmp_path, plain, weights):
    given = weights if weights == "random" else str(convnet(tmp_path / "other.onnx"))
    with pytest.raises(
        InvalidSetting, match=f"has its own weights inside and takes no others.*Received: weights='{given}'"
    ):
        models.load_backbone(str(plain), given, SIZE, preprocessing=TORCH)
