"""The OpenVINO engine: the traced function converted, with a static batch and an explicit precision."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import openvino

from models.errors import EngineUnavailable
from models.tracing import Recipe, trace

HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
CALIBRATION_BATCH = 4


class OpenVINOEngine:
    """Runs the recipe on the CPU.

    Args:
        model: The truncated float32 model.
        recipe: What surrounds it.
        precision: `"float32"`, `"bfloat16"` or `"int8"`.
        batch_size: Images a call.
        calibration: uint8 images `(n, *input_shape, 3)` of the kind to come, for int8.
    """

    depth = 1

    def __init__(
        self,
        model: keras.Model,
        recipe: Recipe,
        precision: str,
        batch_size: int,
        calibration: np.ndarray | None = None,
    ) -> None:
        # shared weights point into the frozen graph, which is gone after the conversion: at random, garbage
        converted = openvino.convert_model(trace(model, recipe, None), share_weights=False)
        if precision == "int8":
            converted = _quantised(converted, calibration)
        converted.reshape([batch_size, *recipe.input_shape, 3])
        settings = {"INFERENCE_PRECISION_HINT": HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(converted, "CPU", settings)
        self._request = compiled.create_infer_request()
        self._outputs = [_output(compiled, f"out{i}") for i in range(len(recipe.layers))]

    def submit(self, images: np.ndarray) -> Callable[[], list[np.ndarray]]:
        """Runs a batch; the outputs are there at once."""
        self._request.infer([images], share_inputs=True)
        outputs = [self._request.get_tensor(output).data.copy() for output in self._outputs]
        return lambda: outputs


def _output(compiled: openvino.CompiledModel, name: str) -> openvino.ConstOutput:
    return next(port for port in compiled.outputs if any(n.split(":")[0] == name for n in port.names))


def _quantised(model: openvino.Model, calibration: np.ndarray | None) -> openvino.Model:
    """Post-training quantisation: activation ranges from the calibration images."""
    import nncf

    if calibration is None or len(calibration) < CALIBRATION_BATCH:
        raise EngineUnavailable(f"int8 needs at least {CALIBRATION_BATCH} calibration images.")
    batches = len(calibration) // CALIBRATION_BATCH
    model.reshape([CALIBRATION_BATCH, *calibration.shape[1:]])
    data = nncf.Dataset(np.split(calibration[: batches * CALIBRATION_BATCH], batches))
    return nncf.quantize(model, data, preset=nncf.QuantizationPreset.MIXED, subset_size=batches)
