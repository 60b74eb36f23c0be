"""An ONNX file is looked at before OpenVINO reads it: other files that it names, and how large its weights say they are."""

from contextlib import suppress

import numpy as np
import onnx
import pytest
from onnxfiles import Graph, convnet, saved

from bottleneck_features.models.errors import BackboneFileError, UnsafeFile
from bottleneck_features.models.onnx_files import external_files


def located(path, location):
    """A ConvNet one of whose weights is said to lie elsewhere."""
    model = onnx.load(convnet(path))
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=location)
    weight.external_data.add(key="offset", value="0")
    return saved(model, path)


def test_a_file_with_all_its_weights_names_no_other(tmp_path):
    assert external_files(convnet(tmp_path / "m.onnx")) == ()


def test_the_files_that_hold_weights_are_named(tmp_path):
    (tmp_path / "weights").mkdir()
    path = convnet(tmp_path / "m.onnx", external="weights/m.data")
    assert external_files(path) == (tmp_path / "weights" / "m.data",)


def test_weights_in_the_branches_of_a_condition_are_found(tmp_path):
    inner = Graph()
    inner.add("Constant", name="/inside", value=onnx.helper.make_tensor("t", onnx.TensorProto.FLOAT, [2], [1, 2]))
    tensor = inner.nodes[0].attribute[0].t
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="branch.data")
    branch = onnx.helper.make_graph(
        inner.nodes, "branch", [], [onnx.helper.make_tensor_value_info("/inside_output_0", 1, None)]
    )
    outer = Graph()
    x = outer.add("If", "condition", name="/if", then_branch=branch, else_branch=branch)
    (tmp_path / "branch.data").write_bytes(np.zeros(2, np.float32).tobytes())
    path = saved(outer.model(("n", 3, 8, 8), [x]), tmp_path / "m.onnx")
    assert external_files(path) == (tmp_path / "branch.data",)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../secret", ""])
def test_weights_outside_the_files_folder_are_not_read(tmp_path, location):
    (tmp_path / "secret").write_bytes(b"0" * 1000)
    (tmp_path / "models").mkdir()
    with pytest.raises(UnsafeFile, match=f"its weights are said to lie in '{location}', outside its folder"):
        external_files(located(tmp_path / "models" / "m.onnx", location))


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(BackboneFileError, match="lacks a part of its weights: put 'm.data' beside it"):
        external_files(located(tmp_path / "m.onnx", "m.data"))


def test_weights_that_would_fill_the_memory_are_refused(tmp_path):
    model = onnx.load(convnet(tmp_path / "m.onnx"))
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend([1 << 20, 1 << 20])
    with pytest.raises(
        UnsafeFile, match=r"its weights would take 4,398,046,\d+,\d+ bytes, and at most 67,108,864 are read"
    ):
        external_files(saved(model, tmp_path / "m.onnx"))


def test_a_file_cut_anywhere_is_refused_or_has_all_that_is_looked_at(tmp_path):
    whole = convnet(tmp_path / "m.onnx").read_bytes()
    part, refused = tmp_path / "cut.onnx", 0
    for kept in range(0, len(whole), 41):
        part.write_bytes(whole[:kept])
        with suppress(BackboneFileError):
            assert external_files(part) == ()
            continue
        refused += 1
    assert refused > 0.9 * len(whole) / 41


def test_random_bytes_are_no_onnx_file(tmp_path):
    path = tmp_path / "noise.onnx"
    for seed in range(50):
        path.write_bytes(np.random.default_rng(seed).bytes(300))
        with pytest.raises((BackboneFileError, UnsafeFile)):
            external_files(path)


def test_graphs_inside_one_another_without_end_are_refused(tmp_path):
    content = b""
    for number in (*(6, 5, 1) * 3000, 7):  # attribute.g, node.attribute, graph.node, …, model.graph
        content = bytes([number << 3 | 2]) + _varint(len(content)) + content
    path = tmp_path / "deep.onnx"
    path.write_bytes(content)
    with pytest.raises(BackboneFileError, match="no ONNX file, or is truncated"):
        external_files(path)


def _varint(number):
    head = [number & 127]
    while number := number >> 7:
        head[-1] |= 128
        head.append(number & 127)
    return bytes(head)
