"""The OpenVINO engine: a converted network with a static batch and an explicit precision, which needs no TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import psutil

from bottleneck_features.models.engines import import_openvino
from bottleneck_features.models.parallel import core_limit
from bottleneck_features.models.recipe import Recipe

if TYPE_CHECKING:
    import openvino

HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
LEAST_PART = 4  # images per stream; fewer do not fill the vector units


class OpenVINOEngine:
    """The recipe on the CPU, a batch shared out among independent streams.

    Measured on two cores (ResNet50, 200 px, bfloat16): one stream over both cores and two streams of one core each
    are as fast on an idle machine; on a busy one the two lose less, as neither waits for the other at every layer.
    OMP_NUM_THREADS limits the cores. Threads and streams change no bit of the output (docs/how-to/cluster.md).

    Args:
        network: from `converted`; its batch is set here.
        recipe: what it was converted for.
        precision: `"float32"`, `"bfloat16"` or `"int8"`.
        batch_size: images per call.
    """

    depth = 2

    def __init__(self, network: openvino.Model, recipe: Recipe, precision: str, batch_size: int) -> None:
        limit = core_limit()
        streams = max(1, min(limit or psutil.cpu_count(logical=False) or 1, batch_size // LEAST_PART))
        self._part = math.ceil(batch_size / streams)
        network.reshape([self._part, *recipe.input_shape, 3])
        settings = {"INFERENCE_PRECISION_HINT": HINTS[precision], "NUM_STREAMS": streams}
        if limit:  # pinned, the threads of all such processes would share the first cores
            settings |= {"INFERENCE_NUM_THREADS": limit, "ENABLE_CPU_PINNING": False}
        self._compiled = import_openvino().Core().compile_model(network, "CPU", settings)
        self._parts = math.ceil(batch_size / self._part)
        self._outputs = [_output(self._compiled, f"out{i}") for i in range(len(recipe.layers))]
        self._idle: list[list[openvino.InferRequest]] = []

    def submit(self, images: np.ndarray) -> Callable[[], list[np.ndarray]]:
        """Start on a batch; what it returns waits for the outputs."""
        requests = self._idle.pop() if self._idle else self._new_requests()
        parts = [self._padded(images[start : start + self._part]) for start in range(0, len(images), self._part)]
        for request, part in zip(requests, parts, strict=True):
            request.start_async([part], share_inputs=True)

        def wait() -> list[np.ndarray]:
            for request, _keeps_input_alive in zip(requests, parts, strict=True):
                request.wait()
            outputs = [self._gathered(requests, output)[: len(images)] for output in self._outputs]
            self._idle.append(requests)
            return outputs

        return wait

    @property
    def output_shapes(self) -> list[tuple[int, ...]]:
        """The shapes of one image's features, by layer."""
        return [tuple(output.shape)[1:] for output in self._outputs]

    def place(self, images: np.ndarray) -> np.ndarray:
        """Return the images as they are: the CPU reads them in memory."""
        return images

    def _new_requests(self) -> list[openvino.InferRequest]:
        return [self._compiled.create_infer_request() for _ in range(self._parts)]

    def _padded(self, part: np.ndarray) -> np.ndarray:
        missing = self._part - len(part)
        return np.pad(part, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else part

    @staticmethod
    def _gathered(requests: list[openvino.InferRequest], output: openvino.ConstOutput) -> np.ndarray:
        return np.concatenate([request.get_tensor(output).data for request in requests])


def _output(compiled: openvino.CompiledModel, name: str) -> openvino.ConstOutput:
    for port in compiled.outputs:
        if any(one.split(":")[0] == name for one in port.names):
            return port
    raise RuntimeError(f"the network has no output '{name}'")
