"""Small networks as ONNX files, laid out as torch exports them: NCHW, nodes named by their modules."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8
TORCH_MEAN, TORCH_STD = 255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225])


SIZE = (32, 32)
IMAGES = np.random.default_rng(1).integers(0, 256, (8, *SIZE, 3), dtype=np.uint8)


def loaded(path, size=SIZE, preprocessing=None):
    from bottleneck_features import models

    return models.load_backbone(str(path), size=size, preprocessing=preprocessing)


def extracted(backbone, layers, images=IMAGES, **options):
    from bottleneck_features import models

    options = {"precision": "float32", "input_shape": images.shape[1:3], "batch_size": 8, **options}
    return models.build_extractor(backbone, layers, **options)(images)


class Graph:
    """Nodes one after the other, with their weights."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(seed)

    def weight(self, values: np.ndarray) -> str:
        name = f"weight{len(self.weights)}"
        dtype = np.int64 if np.asarray(values).dtype.kind == "i" else np.float32
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def add(self, kind: str, *inputs: str, name: str, **attributes: object) -> str:
        output = f"{name}_output_0"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def drawn(self, *shape: int) -> str:
        return self.weight(self.random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape))

    def model(
        self, dims: Sequence[int | str], outputs: Sequence[str], element: int = TensorProto.FLOAT
    ) -> onnx.ModelProto:
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        entry = helper.make_tensor_value_info("input", element, dims)
        graph = helper.make_graph(self.nodes, "network", [entry], ends, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def convnet(
    path: Path,
    dims: Sequence[int | str] = ("n", 3, "h", "w"),
    *,
    element: int = TensorProto.FLOAT,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    external: str = "",
    softmax: bool = False,
) -> Path:
    """Write a ConvNet of `/stem/Conv`, `/stem/Relu`, `/block/Conv`, `/block/Mul` (a SiLU), `/pool`, `/flatten` and `/fc/Gemm`.

    Args:
        path: of the file.
        dims: of its input, NCHW or NHWC.
        element: of its input.
        mean: what it subtracts itself first.
        std: what it divides by then.
        external: the file beside it for its weights.
        softmax: whether `/softmax` makes probabilities of its scores.
    """
    graph, x = Graph(), "input"
    if element != TensorProto.FLOAT:
        x = graph.add("Cast", x, name="/Cast", to=TensorProto.FLOAT)
    if dims[3] == 3:
        x = graph.add("Transpose", x, name="/Transpose", perm=[0, 3, 1, 2])
    if mean is not None:
        x = graph.add("Sub", x, graph.weight(np.reshape(mean, (1, 3, 1, 1))), name="/norm/Sub")
    if std is not None:
        x = graph.add("Div", x, graph.weight(np.reshape(std, (1, 3, 1, 1))), name="/norm/Div")
    x = graph.add(
        "Conv", x, graph.drawn(8, 3, 3, 3), graph.weight(graph.random.normal(0, 1, 8)), name="/stem/Conv", pads=[1] * 4
    )
    x = graph.add("Relu", x, name="/stem/Relu")
    x = conv = graph.add("Conv", x, graph.drawn(16, 8, 3, 3), name="/block/Conv", strides=[2, 2], pads=[1] * 4)
    x = graph.add("Mul", conv, graph.add("Sigmoid", x, name="/block/Sigmoid"), name="/block/Mul")
    x = graph.add("GlobalAveragePool", x, name="/pool")
    x = graph.add("Flatten", x, name="/flatten", axis=1)
    x = graph.add("Gemm", x, graph.drawn(5, 16), graph.weight(np.zeros(5)), name="/fc/Gemm", transB=1)
    x = graph.add("Softmax", x, name="/softmax", axis=1) if softmax else x
    return saved(graph.model(dims, [x], element), path, external)


def tokens(path: Path, side: int = 32, *, constant: bool = False) -> Path:
    """Write a transformer's patch embedding, `/patches` `(n, 16, 8)`, with a class token and two registers before: `/tokens`.

    Args:
        path: of the file.
        side: of its images, for 16 patches.
        constant: whether the class token is 1, registers are a million, and patches 2, whatever the image is.
    """
    graph, patch = Graph(), side // 4
    kernel = graph.weight(np.zeros((8, 3, patch, patch))) if constant else graph.drawn(8, 3, patch, patch)
    bias = graph.weight(np.full(8, 2.0) if constant else graph.random.normal(0, 1, 8))
    x = graph.add("Conv", "input", kernel, bias, name="/embed/Conv", strides=[patch, patch])
    x = graph.add("Reshape", x, graph.weight(np.array([0, 8, -1])), name="/embed/Reshape")
    x = graph.add("Transpose", x, name="/patches", perm=[0, 2, 1])
    own = np.concatenate([np.ones((1, 1, 8)), np.full((1, 2, 8), 1e6)], axis=1)
    own = own if constant else graph.random.normal(0, 1, (1, 3, 8))
    images = graph.add(
        "Slice", graph.add("Shape", "input", name="/Shape"), *(graph.weight(np.array([i])) for i in (0, 1)), name="/n"
    )
    shape = graph.add("Concat", images, graph.weight(np.array([3, 8])), name="/shape", axis=0)
    first = graph.add("Expand", graph.weight(own), shape, name="/prefix")
    x = graph.add("Concat", first, x, name="/tokens", axis=1)
    return saved(graph.model(("n", 3, side, side), [x]), path)


def saved(model: onnx.ModelProto, path: Path, external: str = "") -> Path:
    if external:
        onnx.save(model, path, save_as_external_data=True, location=external, size_threshold=0)
    else:
        onnx.save(model, path)
    return path
