"""Along which axis the channels of each operation's output lie: an exported network may hold NCHW and NHWC side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openvino

CHANNELS_SECOND = (
    "Convolution",
    "GroupConvolution",
    "ConvolutionBackpropData",
    "GroupConvolutionBackpropData",
    "DeformableConvolution",
    "MaxPool",
    "AvgPool",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "BatchNormInference",
    "GroupNormalization",
    "DepthToSpace",
    "SpaceToDepth",
    "LRN",
)


def channel_axes(network: openvino.Model, first: int) -> dict[str, int]:
    """Return the axis of the channels in each operation's first output, by the operation's unique name.

    Convolutions and poolings are NCHW in OpenVINO, whatever the file's framework; a product with weights has its channels last;
    from there the axis is followed through what moves it. Where nothing tells, it is the last one.

    Args:
        network: of static shapes.
        first: the axis in its input.
    """
    axes: dict[str, int] = {}
    for op in network.get_ordered_ops():
        shape = _shape(op.output(0)) if op.get_output_size() else ()
        axes[op.get_name()] = first if op.get_type_name() == "Parameter" else _axis(op, shape, axes)
    return axes


def _axis(op: Any, shape: Sequence[int], axes: dict[str, int]) -> int:
    kind, last = op.get_type_name(), max(len(shape) - 1, 0)
    if kind in CHANNELS_SECOND:
        return 1
    if kind == "MatMul" or not op.get_input_size():
        return last
    sources = [(_shape(value), axes[value.get_node().get_name()]) for value in op.input_values()]
    before, axis = sources[0]
    if kind == "Transpose":
        return _transposed(op, axis, last)
    if kind in ("Reshape", "Squeeze", "Unsqueeze"):
        return _reshaped(before, axis, shape)
    same = [one for sides, one in sources if len(sides) == len(shape) and sides[:1] == shape[:1]]
    return same[0] if same else last


def _transposed(op: Any, axis: int, last: int) -> int:
    order = op.input_value(1).get_node()
    if order.get_type_name() != "Constant":
        return last
    return [int(one) for one in order.get_data()].index(axis)


def _reshaped(before: Sequence[int], axis: int, shape: Sequence[int]) -> int:
    """Follow the channels where they are the second axis or the last one, before and after, of the same length."""
    last = max(len(shape) - 1, 0)
    if axis == 1 and len(shape) > 1 and before[1:2] == shape[1:2]:
        return 1
    if axis == len(before) - 1 and before[-1:] == shape[-1:]:
        return last
    return axis if len(before) == len(shape) and axis <= last and before[axis] == shape[axis] else last


def _shape(output: Any) -> tuple[int, ...]:
    shape = output.get_partial_shape()
    if shape.rank.is_dynamic:
        return ()
    return tuple(-1 if side.is_dynamic else side.get_length() for side in shape)
