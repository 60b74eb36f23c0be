"""Whether a network of OpenVINO rescales the pixels itself: told by the numbers that reach its first weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck_features.models.engines import import_openvino
from bottleneck_features.models.errors import InvalidSetting
from bottleneck_features.models.input_check import judge
from bottleneck_features.models.preprocessing import Preprocessing
from bottleneck_features.models.runtime_networks import RGB, ImageInput

if TYPE_CHECKING:
    import openvino

WEIGHTED = ("Convolution", "GroupConvolution", "MatMul", "ConvolutionBackpropData")
SHAPES = ("ShapeOf",)


def require_preprocessing(
    network: openvino.Model, seen: ImageInput, size: tuple[int, int], asked: Preprocessing | None, name: str
) -> None:
    """Check that pixels are rescaled once, inside the network or before it.

    Args:
        network: sized.
        seen: its input.
        size: height and width of its images.
        asked: what happens before it; None: that is inside. What leaves pixels as they are is believed.
        name: of the file, for messages.

    Raises:
        InvalidSetting: if nothing rescales them, or two things do; says what to set.
    """
    if seen.takes_pixels:
        if asked is not None and not asked.changes_nothing:
            raise InvalidSetting(
                f"'{name}' takes whole numbers, so its preprocessing is inside: leave backbone.preprocessing at 'auto'."
            )
        return
    if asked is not None and asked.changes_nothing:
        return
    if wrong := judge(arriving(network, seen, asked, _all_values(size)), name):
        usual = (
            " Most networks exported from torchvision and timm were trained as 'torch' says." if asked is None else ""
        )
        raise InvalidSetting(f"{wrong}{usual}")


def _all_values(size: tuple[int, int]) -> np.ndarray:
    """Return an image of a size in which each channel has all of 0..255, uint8 `(1, *size, 3)`."""
    ramp = np.linspace(0, 255, size[0] * size[1]).astype(np.uint8).reshape(1, *size, 1)
    return np.concatenate([ramp, ramp[:, ::-1], np.roll(ramp, size[1] // 2, axis=2)], axis=-1)


def arriving(network: openvino.Model, seen: ImageInput, asked: Preprocessing | None, images: np.ndarray) -> np.ndarray:
    """Return what reaches the first operation with weights.

    Args:
        network: sized.
        seen: its input.
        asked: what happens before it; None: that is inside.
        images: uint8 `(n, *size, 3)`.

    Returns:
        float32 `(n, h, w, 3)`; of another number of channels `(values, 1, 1, 1)`.
    """
    import openvino

    copy = network.clone()
    copy.reshape(seen.shape(len(images), (images.shape[1], images.shape[2])))
    entering = images.astype(np.float32) if asked is None else asked(images)
    if seen.channel_axis == 1:
        entering = entering.transpose(0, 3, 1, 2)
    cut = openvino.Model([_first_weighted_input(copy)], copy.get_parameters(), "before_weights")
    compiled = import_openvino().Core().compile_model(cut, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    element = cut.inputs[0].get_element_type().to_dtype()
    values = np.asarray(compiled([np.ascontiguousarray(entering.astype(element))])[0], np.float32)
    return values.transpose(0, 2, 3, 1) if values.ndim == 4 and values.shape[1] == RGB else values.reshape(-1, 1, 1, 1)


def _first_weighted_input(network: openvino.Model) -> Any:
    """Return the images' side of the first operation with weights; the network's output where there is none."""
    of_images = {parameter.get_name() for parameter in network.get_parameters()}
    for op in network.get_ordered_ops():
        sides = [value for value in op.input_values() if value.get_node().get_name() in of_images]
        if not sides:
            continue
        if op.get_type_name() in WEIGHTED or op.get_type_name() == "Result":
            return sides[0]
        if op.get_type_name() not in SHAPES:
            of_images.add(op.get_name())
    raise AssertionError("a network has outputs")
