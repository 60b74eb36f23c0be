"""How fast this machine multiplies matrices, as the yardstick of the engines."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from bottleneck_features.models.engines import gpus, import_openvino

SIDE, SIDE_ON_GPU = 2048, 8192  # of the square matrices: large enough that starting a product takes no time
SECONDS = 1.0


def matmul_gflops(engine: str, precision: str) -> float:
    """Measure the best matrix product rate in GFLOP/s (a multiply-add counts as two).

    Args:
        engine: `"tensorflow"` or `"openvino"`.
        precision: `"float32"`, `"bfloat16"`, `"float16"` or `"int8"` (OpenVINO only).

    Returns:
        The rate of the fastest of the products that fit into one second.
    """
    product = _openvino_product(precision) if engine == "openvino" else _tensorflow_product(precision)
    product()
    best, stop = np.inf, time.perf_counter() + SECONDS
    while time.perf_counter() < stop:
        start = time.perf_counter()
        product()
        best = min(best, time.perf_counter() - start)
    return 2 * _side() ** 3 / best / 1e9


def _side() -> int:
    return SIDE_ON_GPU if gpus() else SIDE


def _operands() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    left, right = random.normal(size=(2, _side(), _side())).astype(np.float32)
    return left, right


def _tensorflow_product(precision: str) -> Callable[[], object]:
    import tensorflow as tf

    left, right = (tf.cast(operand, precision) for operand in _operands())
    multiply = tf.function(lambda a, b: tf.reduce_sum(tf.matmul(a, b)[:1]), autograph=False)
    return lambda: multiply(left, right).numpy()


def _openvino_product(precision: str) -> Callable[[], object]:
    openvino = import_openvino()
    from openvino import opset13 as ops

    from bottleneck_features.models.engines.openvino import HINTS

    left, right = _operands()
    inputs = ops.parameter(left.shape, np.float32)
    model = openvino.Model([ops.relu(ops.matmul(inputs, ops.constant(right), False, False))], [inputs])
    if precision == "int8":
        import nncf

        model = nncf.quantize(model, nncf.Dataset([left]), subset_size=1)
    request = (
        openvino.Core()
        .compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": HINTS[precision]})
        .create_infer_request()
    )
    return lambda: request.infer([left], share_inputs=True, share_outputs=True)
