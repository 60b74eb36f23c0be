"""Rebuild a network for inference: batch norm folded into the convolution before it, computing in a given type."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

PREPROCESSING = (layers.InputLayer, layers.Rescaling, layers.Normalization)


def inference_copy(model: keras.Model, dtype: str = "float32") -> keras.Model:
    """Copy a model without batch norm where it follows a convolution or a dense layer.

    `gamma (W x + b - mean) / sqrt(variance + epsilon) + beta` is itself a convolution, with kernel `s W` and bias
    `beta + s (b - mean)`, where `s = gamma / sqrt(variance + epsilon)` per output channel.

    Args:
        model: a functional model.
        dtype: what it computes in: `"float32"`, `"bfloat16"` or `"float16"`. Preprocessing stays in float32.

    Returns:
        The copy, with the same layer names and, in float32, the same outputs.
    """
    norms = _foldable(model)
    folded = {norm.name for norm in norms.values()}

    def copy(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, layers.Layer) and not isinstance(layer, PREPROCESSING):
            config["dtype"] = dtype
        if layer.name in norms:
            config["use_bias"] = True
        return type(layer).from_config(config)

    def call(layer: layers.Layer, *args: Any, **kwargs: Any) -> Any:
        return args[0] if layer.name in folded else layer(*args, **kwargs)

    clone = keras.models.clone_model(model, clone_function=copy, call_function=call)
    for layer in clone.layers:
        if layer.weights:
            original = model.get_layer(layer.name)
            layer.set_weights(_folded_weights(original, norms.get(layer.name)))
    return clone


def _foldable(model: keras.Model) -> dict[str, layers.BatchNormalization]:
    """Find batch norms by the name of the layer they fold into: one that feeds nothing else and has no activation."""
    consumers: dict[int, int] = {}
    for operation in model.operations:
        for node in operation._inbound_nodes:
            for tensor in node.input_tensors:
                consumers[id(tensor)] = consumers.get(id(tensor), 0) + 1
    for tensor in model.outputs:
        consumers[id(tensor)] = consumers.get(id(tensor), 0) + 1
    found = {}
    for norm in model.layers:
        if not isinstance(norm, layers.BatchNormalization) or len(norm._inbound_nodes) != 1:
            continue
        (tensor,) = norm._inbound_nodes[0].input_tensors
        source = tensor._keras_history.operation
        if _takes_scale(source, norm) and consumers[id(tensor)] == 1:
            found[source.name] = norm
    return found


def _takes_scale(source: Any, norm: layers.BatchNormalization) -> bool:
    last_axis = norm.axis in (-1, len(norm.input.shape) - 1)
    linear = isinstance(source, (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense))
    return last_axis and linear and source.activation is keras.activations.linear and len(source._inbound_nodes) == 1


def _folded_weights(layer: layers.Layer, norm: layers.BatchNormalization | None) -> list[np.ndarray]:
    if norm is None:
        return layer.get_weights()
    mean, variance = norm.moving_mean.numpy(), norm.moving_variance.numpy()
    gamma = norm.gamma.numpy() if norm.scale else 1.0
    beta = norm.beta.numpy() if norm.center else 0.0
    scale = gamma / np.sqrt(variance + norm.epsilon)
    kernel, bias = layer.get_weights()[0], layer.bias.numpy() if layer.use_bias else 0.0
    per_output = scale.reshape(kernel.shape[2:]) if isinstance(layer, layers.DepthwiseConv2D) else scale
    return [kernel * per_output, beta + scale * (bias - mean)]
