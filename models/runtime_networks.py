"""Read a network of OpenVINO's runtime from an ONNX or IR file: its input, and its layers by name, shape and channel axis."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck_features.errors import enumerated, first_line
from bottleneck_features.models.channel_axes import channel_axes
from bottleneck_features.models.engines import has_openvino, import_openvino
from bottleneck_features.models.errors import BackboneFileError, EngineUnavailable, UnsafeFile

if TYPE_CHECKING:
    import openvino

RGB = 3
MARKED = 127  # images: a prime that is no side of a map, so that an axis of this length is that of the images
RANKS = (2, 3, 4)
ENDS = ("Parameter", "Constant", "Result")
FLOATS = ("f32", "f16", "bf16", "f64")
WHOLE_NUMBERS = ("u8", "i8", "i16", "u16", "i32", "u32", "i64", "u64")
MOST_OF_AN_IMAGE = 4 << 30  # bytes of one operation's output
PROBABILITIES = ("Softmax", "LogSoftmax", "Sigmoid")
# from the matrix product of the classes on; temperatures are divided by, names of ONNX's Gemm are those of its parts
BEHIND_FEATURES = (*PROBABILITIES, "Add", "Multiply", "Divide", "MatMul", "Convert", "Squeeze", "Reshape")


@dataclass(frozen=True)
class ImageInput:
    """The input of a network.

    Attributes:
        channel_axis: 1 for NCHW, 3 for NHWC.
        size: height and width, each None where any will do.
        element: the type of its numbers, as OpenVINO writes it: `"f32"`, `"u8"`, …
    """

    channel_axis: int
    size: tuple[int | None, int | None]
    element: str

    @property
    def takes_pixels(self) -> bool:
        """Whether it takes whole numbers, which can only be 0..255."""
        return self.element in WHOLE_NUMBERS

    def shape(self, images: int, size: tuple[int, int]) -> list[int]:
        """Return the shape of so many images of a size."""
        return [images, RGB, *size] if self.channel_axis == 1 else [images, *size, RGB]


@dataclass(frozen=True)
class RuntimeLayer:
    """An operation whose output can be taken.

    Attributes:
        name: see `operations`.
        tensor: the name of its output; empty where it has none.
        shape: of its output as the network gives it, without the axis of the images.
        channel_axis: of its output with that axis.
    """

    name: str
    tensor: str
    shape: tuple[int, ...]
    channel_axis: int

    @property
    def channels_last(self) -> tuple[int, ...]:
        """The shape of its output with the channels last, without the axis of the images."""
        sides = list(self.shape)
        return (*sides[: self.channel_axis - 1], *sides[self.channel_axis :], sides[self.channel_axis - 1])


def read_network(path: Path) -> openvino.Model:
    """Read a network from an ONNX file or OpenVINO's `.xml` file.

    Raises:
        BackboneFileError: if it is damaged, or has operations that OpenVINO does not know.
        EngineUnavailable: if OpenVINO is not installed.
    """
    if not has_openvino():
        raise EngineUnavailable(f"'{path}' runs in OpenVINO, which is not installed: pip install openvino")
    try:
        return import_openvino().Core().read_model(str(path))
    except RuntimeError as error:
        raise BackboneFileError(f"OpenVINO cannot read '{path}': {_reason(error)}") from error


def image_input(network: openvino.Model, path: Path) -> ImageInput:
    """Return what the one input of a network of RGB images is like.

    Raises:
        BackboneFileError: if it has another input; says which.
    """
    inputs = [(port.get_any_name() if port.names else "?", port.partial_shape) for port in network.inputs]
    told = enumerated(f"{name} {shape}" for name, shape in inputs)
    if len(inputs) != 1:
        raise BackboneFileError(
            f"'{path}' must have one input, of images; it has {len(inputs)}: {told}. Export the part that sees images alone."
        )
    shape = network.inputs[0].partial_shape
    if shape.rank.is_dynamic or len(shape) != 4:
        raise BackboneFileError(f"'{path}' is not a network of images: its input has not four axes. Received: {told}.")
    sides = [None if side.is_dynamic else side.get_length() for side in shape]
    channels = {axis: sides[axis] for axis in (1, 3)}
    axis = next((axis for axis, side in channels.items() if side == RGB), None)
    if axis is None and None in channels.values():
        axis = next(axis for axis, side in channels.items() if side is None)
    if axis is None:
        raise BackboneFileError(
            f"'{path}' is not a network of RGB images: its input must be (n, 3, height, width) or (n, height, width, 3). "
            f"Received: {told}."
        )
    element = network.inputs[0].get_element_type().to_string()
    if element not in (*FLOATS, *WHOLE_NUMBERS):
        raise BackboneFileError(f"'{path}' does not take numbers: its input is of type {element}.")
    return ImageInput(axis, (sides[2], sides[3]) if axis == 1 else (sides[1], sides[2]), element)


def sized(network: openvino.Model, seen: ImageInput, size: tuple[int, int], path: Path) -> openvino.Model:
    """Fix the size of a network's images, and open the number of them.

    Args:
        network: from `read_network`; it is changed.
        seen: its input.
        size: height and width.
        path: its file, for messages.

    Returns:
        The same network.

    Raises:
        BackboneFileError: if it takes only images of another size, or only so many at a time.
        UnsafeFile: if it would fill the memory.
    """
    fixed = [own or asked for own, asked in zip(seen.size, size, strict=True)]
    if tuple(fixed) != size:
        raise BackboneFileError(
            f"'{path}' takes only images of {fixed[0]}×{fixed[1]}: set input.size = [{fixed[0]}, {fixed[1]}]. "
            f"Received: {size[0]}×{size[1]}. Exported with dynamic axes, it would take others."
        )
    own = network.inputs[0].partial_shape[0]
    try:
        network.reshape(seen.shape(MARKED, size))
    except RuntimeError as error:
        if own.is_static and _can_reshape(network, seen.shape(own.get_length(), size)):
            raise BackboneFileError(
                f"'{path}' takes only {own.get_length()} image(s) at a time: export it again with a dynamic first axis "
                "(torch.onnx.export: dynamic_axes={'input': {0: 'n'}, 'output': {0: 'n'}})."
            ) from error
        raise BackboneFileError(
            f"'{path}' cannot take images of {size[0]}×{size[1]} ({_reason(error)}). Set input.size to what it was made for."
        ) from error
    _require_bounded(network, path)
    return network


def layers_of(network: openvino.Model, seen: ImageInput) -> Mapping[str, RuntimeLayer]:
    """Return the layers of a sized network that can be taken, by name, in order.

    These are operations of one output of numbers, of rank 2, 3 or 4, whose first axis is that of the images.
    """
    axes = channel_axes(network, seen.channel_axis)
    return {
        name: RuntimeLayer(name, _tensor(op), tuple(op.output(0).shape)[1:], axes[op.get_name()])
        for name, op in operations(network).items()
        if _per_image(op)
    }


def operations(network: openvino.Model) -> dict[str, Any]:
    """Return the operations of one output by name, in order.

    Taken are those whose outputs have names in the file: OpenVINO's reader adds others, whose names change. Of an operation's
    name in the file, `/layer4/Relu`, it is `layer4.Relu`: `/`, `@`, `+` and `,` mean something else where layers are named.
    """
    found = [op for op in network.get_ordered_ops() if op.get_type_name() not in ENDS and op.get_output_size() == 1]
    own = [op for op in found if _tensor(op)] or found
    times: Counter[str] = Counter()
    named = {}
    for op in own:
        name = re.sub(r"[@+,\s]", "_", op.get_friendly_name().strip("/").replace("/", "."))
        times[name] += 1
        named[name if times[name] == 1 else f"{name}-{times[name]}"] = op
    return named


def first_output(network: openvino.Model) -> str:
    """Return the layer that gives a network's first output, of probabilities that from which they are computed.

    Empty if it cannot be taken.
    """
    port = _before_classes(network.outputs[0].get_node().input_value(0))
    rank = port.get_partial_shape().rank
    if rank.is_dynamic or rank.get_length() not in RANKS or port.get_element_type().to_string() not in FLOATS:
        return ""
    of = port.get_node().get_name()
    return next((name for name, op in operations(network).items() if op.get_name() == of), "")


def _before_classes(port: Any) -> Any:
    """Return what the last matrix product takes of a network that ends in probabilities; the same port of any other."""
    found, probabilities = port, False
    while found.get_node().get_type_name() in BEHIND_FEATURES:
        node = found.get_node()
        probabilities = probabilities or node.get_type_name() in PROBABILITIES
        found = node.input_value(0)
        if node.get_type_name() == "MatMul":
            return found if probabilities else port
    return port


def _tensor(op: Any) -> str:
    return min(op.output(0).get_names(), default="")


def _per_image(op: Any) -> bool:
    output = op.output(0)
    shape = output.get_partial_shape()
    of_images = shape.is_static and len(shape) in RANKS and shape[0].get_length() == MARKED
    return of_images and output.get_element_type().to_string() in FLOATS


def _require_bounded(network: openvino.Model, path: Path) -> None:
    """Refuse a network that would fill the memory with one image.

    Raises:
        UnsafeFile: naming the operation.
    """
    for op in network.get_ordered_ops():
        for output in op.outputs():
            shape = output.get_partial_shape()
            if shape.is_dynamic:
                continue
            taken = math.prod(side.get_length() for side in shape) * output.get_element_type().bitwidth // 8
            of_images = len(shape) and shape[0].get_length() % MARKED == 0
            made = taken // MARKED if of_images else taken
            if made > MOST_OF_AN_IMAGE:
                name = op.get_friendly_name()
                raise UnsafeFile(f"'{path}' is not run: '{name}' in it makes an array of {made:,} bytes for one image.")


def _can_reshape(network: openvino.Model, shape: list[int]) -> bool:
    try:
        network.reshape(shape)
    except RuntimeError:
        return False
    return True


def _reason(error: RuntimeError) -> str:
    """Return the last line of OpenVINO's error: before it stands where in its source it was raised."""
    lines = [line.strip().removeprefix("-- ") for line in str(error).splitlines() if line.strip()]
    return first_line(RuntimeError(lines[-1] if lines else str(error)))
