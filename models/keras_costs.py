"""What a Keras model costs: the multiply-adds of its kernels."""

from __future__ import annotations

import math

import keras


def gflop_per_image(model: keras.Model, views: int = 1) -> float:
    """Count the multiply-adds of a model's kernels for one image, each as two, in 1e9.

    A kernel is used once at every position of its layer's output; biases, norms and resizing do not count.
    """
    return 2e-9 * views * sum(_positions(layer) * math.prod(layer.kernel.shape) for layer in _kernel_layers(model))


def _kernel_layers(model: keras.Model) -> list[keras.layers.Layer]:
    layers = model._flatten_layers(include_self=False)
    return [layer for layer in layers if getattr(layer, "kernel", None) is not None]


def _positions(layer: keras.layers.Layer) -> int:
    """Count the positions of the output of a layer; one where a layer inside another has no output of its own."""
    output = getattr(layer, "output", None)
    return 1 if output is None else math.prod(size or 1 for size in output.shape[1:-1])
