"""A network as it is in its file, in float32: in ONNX Runtime where it is installed, else in OpenVINO."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bottleneck_features.models.engines import import_openvino
from bottleneck_features.models.preprocessing import Preprocessing
from bottleneck_features.models.runtime_networks import MARKED, ImageInput, RuntimeLayer, operations
from bottleneck_features.models.sources.runtime_file import RuntimeFile

if TYPE_CHECKING:
    import openvino

ONNX_RUNTIME = "ONNX Runtime"
NEEDED = ("onnx", "onnxruntime")  # the first adds inner outputs, which the second runs
ELEMENTS = {"tensor(float)": "float32", "tensor(double)": "float64"}  # others are called as NumPy's
Run = Callable[[np.ndarray], list[np.ndarray]]


def reference_runtime(source: RuntimeFile) -> str:
    """Return what computes the reference of a file."""
    installed = all(importlib.util.find_spec(name) for name in NEEDED)
    return ONNX_RUNTIME if source.path.suffix == ".onnx" and installed else "OpenVINO"


def as_in_file(
    source: RuntimeFile,
    network: openvino.Model,
    layers: Mapping[str, RuntimeLayer],
    names: Sequence[str],
    asked: Preprocessing | None,
) -> Run:
    """Return what runs a network in float32 as it is in its file.

    Args:
        source: the file.
        network: what OpenVINO has read from it, sized.
        layers: all of its layers.
        names: of those to take.
        asked: what happens to RGB 0..255 before it; None: that is inside.

    Returns:
        A function of float32 RGB 0..255 `(n, *size, 3)` that gives the layers' outputs, `(n, …)` with the channels last.
    """
    taken = [layers[name] for name in names]
    of_onnx = reference_runtime(source) == ONNX_RUNTIME and all(layer.tensor for layer in taken)
    run = _onnx_runtime(source.path, taken) if of_onnx else _openvino(network, names)

    def outputs(images: np.ndarray) -> list[np.ndarray]:
        wanted = _entering(images if asked is None else asked(images), source.input)
        return [np.moveaxis(one, layer.channel_axis, -1) for one, layer in zip(run(wanted), taken, strict=True)]

    return outputs


def _entering(images: np.ndarray, seen: ImageInput) -> np.ndarray:
    images = images.transpose(0, 3, 1, 2) if seen.channel_axis == 1 else images
    if seen.takes_pixels:
        images = np.clip(np.round(images), 0, 255)
    return np.ascontiguousarray(images)


def _openvino(network: openvino.Model, names: Sequence[str]) -> Run:
    runtime = import_openvino()
    copy = network.clone()
    nodes = operations(copy)
    cut = runtime.Model([nodes[name].output(0) for name in names], copy.get_parameters(), "reference")
    element = cut.inputs[0].get_element_type().to_dtype()
    shape = [side.get_length() for side in cut.inputs[0].partial_shape]
    cut.reshape([-1, *shape[1:]] if shape[0] == MARKED else shape)
    compiled = runtime.Core().compile_model(cut, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: [np.array(one) for one in compiled([images.astype(element)]).to_tuple()]


def _onnx_runtime(path: Path, layers: list[RuntimeLayer]) -> Run:
    import onnx
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # its packages would report their use to their maker
    content = onnx.load(path, load_external_data=False)
    del content.graph.output[:]
    content.graph.output.extend(onnx.ValueInfoProto(name=layer.tensor) for layer in layers)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    session = onnxruntime.InferenceSession(content.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    element = ELEMENTS.get(entry.type, entry.type.removeprefix("tensor(").removesuffix(")"))
    at_a_time = entry.shape[0] if isinstance(entry.shape[0], int) else None

    def run(images: np.ndarray) -> list[np.ndarray]:
        size = at_a_time or len(images)
        padded = np.pad(images.astype(element), ((0, -len(images) % size), (0, 0), (0, 0), (0, 0)))
        parts = [session.run(None, {entry.name: part}) for part in np.split(padded, len(padded) // size)]
        return [np.concatenate(outputs)[: len(images)] for outputs in zip(*parts, strict=True)]

    return run
