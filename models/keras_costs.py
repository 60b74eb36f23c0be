"""What a Keras model costs: the multiply-adds of its kernels."""

from __future__ import annotations

import math
from typing import Any

import keras

from bottleneck_features.models.costs import cumulative


def gflop_per_image(model: keras.Model, views: int = 1) -> float:
    """Count the multiply-adds of a model's kernels for one image, each as two, in 1e9.

    A kernel is used once at every position of its layer's output, one within a layer at every position of that layer's; biases,
    norms, products of attention and resizing do not count.
    """
    return views * sum(_gflop(node) for node in _nodes(model))


def layer_gflop(model: keras.Model) -> dict[str, float]:
    """Return by layer what it and all that it needs cost for one image, as `gflop_per_image` counts."""
    own: dict[str, float] = {}
    parents: dict[str, list[str]] = {}
    for node in _nodes(model):
        name = node.operation.name
        own[name] = own.get(name, 0.0) + _gflop(node)
        parents.setdefault(name, []).extend(tensor._keras_history.operation.name for tensor in node.input_tensors)
    return cumulative(parents, own)


def _nodes(model: keras.Model) -> list[Any]:
    """Return the calls of a model's graph, those of what is needed first."""
    graph = model._functional if isinstance(model, keras.Sequential) else model
    return [node for depth in sorted(graph._nodes_by_depth, reverse=True) for node in graph._nodes_by_depth[depth]]


def _gflop(node: Any) -> float:
    layer = node.operation
    if isinstance(layer, keras.Model):
        return gflop_per_image(layer)
    inner = layer._flatten_layers() if isinstance(layer, keras.Layer) else ()
    kernels = [one.kernel for one in inner if getattr(one, "kernel", None) is not None]
    positions = math.prod(side or 1 for side in node.output_tensors[0].shape[1:-1])
    return 2e-9 * positions * sum(math.prod(kernel.shape) for kernel in kernels)
