"""A recipe round a network that OpenVINO has read: what comes before and after it is traced, converted, and joined to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from bottleneck_features.models.engines.conversion import from_tensorflow
from bottleneck_features.models.loaded import preprocessed
from bottleneck_features.models.preprocessing import Preprocessing
from bottleneck_features.models.recipe import Recipe
from bottleneck_features.models.runtime_networks import ImageInput, RuntimeLayer, operations
from bottleneck_features.models.tracing import preparation, read_layers

if TYPE_CHECKING:
    import openvino

MOST_PIXEL = 255.0


def surrounded(
    network: openvino.Model,
    seen: ImageInput,
    layers: Mapping[str, RuntimeLayer],
    recipe: Recipe,
    preprocessing: Preprocessing | None,
) -> openvino.Model:
    """Put a recipe round a network.

    Args:
        network: sized; it is left as it is.
        seen: its input.
        layers: all of its layers.
        recipe: what surrounds it.
        preprocessing: of RGB 0..255; None: it is inside.

    Returns:
        The network of uint8 images in, with the outputs `out0`, `out1`, …, as `converted` returns it.
    """
    import openvino

    inner = network.clone()
    before = from_tensorflow(_before(recipe, preprocessing))
    after = from_tensorflow(_after([layers[name] for name in recipe.layers], recipe))
    ends = [_named(after.outputs, f"out{place}", f"in{place}").get_node() for place in range(len(recipe.layers))]
    starts = [_named(after.inputs, f"in{place}") for place in range(len(recipe.layers))]
    taken = operations(inner)
    for part, model in (("before", before), ("network", inner), ("after", after)):
        _hide_names(model, part)
    (entry,) = inner.get_parameters()
    _lead(_entering(before.get_results()[0].input_value(0), seen), entry.output(0))
    for start, name in zip(starts, recipe.layers, strict=True):
        _lead(_channels_last(taken[name].output(0), layers[name]), start)
    joined = openvino.Model(ends, before.get_parameters(), "features")
    joined.inputs[0].get_tensor().set_names({"images"})
    for place, end in enumerate(ends):
        for output in (end.input_value(0), end.output(0)):
            output.get_tensor().set_names({f"out{place}"})
    joined.reshape([-1, *recipe.input_shape, 3])
    return joined


def _before(recipe: Recipe, preprocessing: Preprocessing | None) -> Callable:
    prepare = preparation(recipe)
    signature = [tf.TensorSpec((None, *recipe.input_shape, 3), tf.uint8, name="images")]
    function = tf.function(lambda images: preprocessed(prepare(images), preprocessing), signature, autograph=False)
    return function.get_concrete_function()


def _after(layers: Sequence[RuntimeLayer], recipe: Recipe) -> Callable:
    signature = [
        tf.TensorSpec((None, *layer.channels_last), tf.float32, name=f"in{place}") for place, layer in enumerate(layers)
    ]
    function = tf.function(lambda *outputs: read_layers(outputs, recipe), input_signature=signature, autograph=False)
    return function.get_concrete_function()


def _named(ports: Sequence[Any], *names: str) -> Any:
    """Find a port by one of its names; what comes out as it went in has the name of what went in."""
    return next(port for port in ports if any(one.split(":")[0] in names for one in port.names))


def _lead(source: Any, target: Any) -> None:
    """Let everything that takes `target` take `source`."""
    for port in target.get_target_inputs():
        port.replace_source_output(source)


def _entering(prepared: Any, seen: ImageInput) -> Any:
    """Turn float32 images `(n, h, w, 3)` into what a network's parameter takes."""
    from openvino import opset13 as ops

    x = ops.transpose(prepared, [0, 3, 1, 2]).output(0) if seen.channel_axis == 1 else prepared
    if seen.takes_pixels:
        x = ops.clamp(ops.round(x, "half_to_even"), 0.0, MOST_PIXEL).output(0)
    return x if seen.element == "f32" else ops.convert(x, seen.element).output(0)


def _channels_last(output: Any, layer: RuntimeLayer) -> Any:
    """Turn a layer's output into float32 with its channels last."""
    from openvino import opset13 as ops

    rank, axis = len(layer.shape) + 1, layer.channel_axis
    x = output if output.get_element_type().to_string() == "f32" else ops.convert(output, "f32").output(0)
    if axis == rank - 1:
        return x
    return ops.transpose(x, [*(one for one in range(rank) if one != axis), axis]).output(0)


def _hide_names(model: openvino.Model, place: str) -> None:
    """Give operations names that no other part has, and outputs none, for those of the whole are to be found by theirs."""
    for op in model.get_ops():
        op.set_friendly_name(f"{place}/{op.get_friendly_name()}")
        for output in op.outputs():
            output.get_tensor().set_names(set())
