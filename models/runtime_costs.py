"""What a network of OpenVINO costs: the multiply-adds of its convolutions and matrix products."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from bottleneck_features.models.costs import cumulative
from bottleneck_features.models.runtime_networks import MARKED

if TYPE_CHECKING:
    import openvino

KERNEL_FROM = {"Convolution": 1, "GroupConvolution": 2}  # the first axis of weights that an output's value sums over


def gflop(network: openvino.Model, layers: Collection[str]) -> float:
    """Count the multiply-adds that layers need for one image, each as two, in 1e9; biases, norms and resizing do not count.

    Args:
        network: sized.
        layers: OpenVINO's unique names of their operations.
    """
    return 2e-9 * sum(_products(op) for op in needed(network, layers)) / MARKED


def layer_gflop(network: openvino.Model, layers: Mapping[str, str]) -> dict[str, float]:
    """Return by layer what it and all that it needs cost for one image, as `gflop` counts.

    Args:
        network: sized.
        layers: by layer OpenVINO's unique name of its operation.
    """
    ops = network.get_ordered_ops()
    parents = {op.get_name(): [value.get_node().get_name() for value in op.input_values()] for op in ops}
    found = cumulative(parents, {op.get_name(): 2e-9 * _products(op) / MARKED for op in ops})
    return {layer: found[name] for layer, name in layers.items()}


def needed(network: openvino.Model, layers: Collection[str]) -> list[Any]:
    """Return the operations that layers need, themselves among them."""
    wanted, found = set(layers), []
    for op in reversed(network.get_ordered_ops()):
        if op.get_name() in wanted:
            found.append(op)
            wanted.update(value.get_node().get_name() for value in op.input_values())
    return found


def _products(op: Any) -> int:
    kind = op.get_type_name()
    if any(port.get_partial_shape().is_dynamic for port in (*op.input_values(), *op.outputs())):
        return 0
    if kind in KERNEL_FROM:
        return math.prod(op.output(0).shape) * math.prod(op.input_value(1).shape[KERNEL_FROM[kind] :])
    if kind == "MatMul":
        summed = op.input_value(0).shape[-2 if op.get_attributes()["transpose_a"] else -1]
        return math.prod(op.output(0).shape) * summed
    return 0
