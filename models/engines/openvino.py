"""The OpenVINO engine: the traced function converted, with a static batch and an explicit precision."""

from __future__ import annotations

import contextlib
import math
import platform
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from unittest.mock import patch

import keras
import numpy as np
import psutil
import tensorflow as tf

from bottleneck_features.models.engines import import_openvino
from bottleneck_features.models.errors import EngineUnavailable
from bottleneck_features.models.parallel import core_limit
from bottleneck_features.models.tracing import Recipe, trace

if TYPE_CHECKING:
    import openvino

HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
CALIBRATION_BATCH = 4
LEAST_PART = 4  # images per stream; fewer do not fill the vector units


@contextlib.contextmanager
def _working_converter() -> Iterator[None]:
    """Tell OpenVINO's converter TensorFlow's version.

    It asks for it by `exec` and then deletes a variable that, since Python 3.13 (PEP 667), no `exec` leaves in a function:
    NameError, in OpenVINO 2026.4.
    """
    from openvino.frontend.tensorflow import utils

    known = {"tensorflow": tf.__version__, "python_version": platform.python_version(), "sys_platform": sys.platform}
    with patch.object(utils, "get_environment_setup", lambda framework: known):
        yield


class OpenVINOEngine:
    """The recipe on the CPU, a batch shared out among independent streams.

    Measured on two cores (ResNet50, 200 px, bfloat16): one stream over both cores and two streams of one core each
    are as fast on an idle machine; on a busy one the two lose less, as neither waits for the other at every layer.
    OMP_NUM_THREADS limits the cores. Threads and streams change no bit of the output (docs/scaling.md).

    Args:
        model: the truncated float32 model.
        recipe: what surrounds it.
        precision: `"float32"`, `"bfloat16"` or `"int8"`.
        batch_size: images per call.
        calibration: uint8 images `(n, *input_shape, 3)` of the kind to come, for int8.
    """

    depth = 2

    def __init__(
        self,
        model: keras.Model,
        recipe: Recipe,
        precision: str,
        batch_size: int,
        calibration: np.ndarray | None = None,
    ) -> None:
        runtime = import_openvino()
        # shared weights point into the frozen graph, which is gone after the conversion: at random, garbage
        with _working_converter():
            converted = runtime.convert_model(trace(model, recipe, None), share_weights=False)
        if precision == "int8":
            converted = _quantised(converted, calibration)
        limit = core_limit()
        streams = max(1, min(limit or psutil.cpu_count(logical=False) or 1, batch_size // LEAST_PART))
        self._part = math.ceil(batch_size / streams)
        converted.reshape([self._part, *recipe.input_shape, 3])
        settings = {"INFERENCE_PRECISION_HINT": HINTS[precision], "NUM_STREAMS": streams}
        if limit:  # pinned, the threads of all such processes would share the first cores
            settings |= {"INFERENCE_NUM_THREADS": limit, "ENABLE_CPU_PINNING": False}
        self._compiled = runtime.Core().compile_model(converted, "CPU", settings)
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
    return next(port for port in compiled.outputs if any(n.split(":")[0] == name for n in port.names))


def _quantised(model: openvino.Model, calibration: np.ndarray | None) -> openvino.Model:
    """Quantise a trained model, with activation ranges from the calibration images.

    The slower bias correction is worth it: on the real ResNet50 cosine 0.991 with float32 instead of 0.989, on
    EfficientNet-Lite0 0.986 instead of 0.977.
    """
    if calibration is None or len(calibration) < CALIBRATION_BATCH:
        raise EngineUnavailable(f"int8 needs at least {CALIBRATION_BATCH} calibration images.")
    with contextlib.redirect_stdout(sys.stderr):  # NNCF shows its progress on stdout
        import nncf

        batches = len(calibration) // CALIBRATION_BATCH
        model.reshape([CALIBRATION_BATCH, *calibration.shape[1:]])
        data = nncf.Dataset(np.split(calibration[: batches * CALIBRATION_BATCH], batches))
        return nncf.quantize(
            model, data, preset=nncf.QuantizationPreset.MIXED, subset_size=batches, fast_bias_correction=False
        )
