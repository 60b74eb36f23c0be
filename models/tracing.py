"""The one function every engine runs: uint8 images in, one float32 array per layer out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from bottleneck_features.models.fitting import Axis
from bottleneck_features.models.readings import read_out
from bottleneck_features.models.recipe import Recipe

STANDARDISING = (keras.layers.Normalization, keras.layers.BatchNormalization)
RESIZING = "resizing_by_matrices"  # operations that are no part of the network


def truncated(model: keras.Model, layers: tuple[str, ...]) -> keras.Model:
    """Return the part of a model that the layers need, with their outputs in order."""
    return keras.Model(model.inputs[0], [output_of(model, layer) for layer in layers])


def output_of(model: keras.Model, layer: str) -> keras.KerasTensor:
    """Return the output of a layer where it is last called in a model; it may have been called in others too."""
    graph = model._functional if isinstance(model, keras.Sequential) else model
    called = model.get_layer(layer)
    depth = min(depth for depth, nodes in graph._nodes_by_depth.items() if any(n.operation is called for n in nodes))
    return next(node for node in graph._nodes_by_depth[depth] if node.operation is called).output_tensors[0]


def before_weights(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return what reaches the first layer with weights that does not standardise itself.

    Args:
        model: of RGB 0..255.
        images: uint8 `(n, h, w, 3)` of its size.
    """
    graph = model._functional if isinstance(model, keras.Sequential) else model
    nodes = [node for depth in sorted(graph._nodes_by_depth, reverse=True) for node in graph._nodes_by_depth[depth]]
    for node in nodes:
        layer = node.operation
        if not isinstance(layer, STANDARDISING) and getattr(layer, "weights", None):
            before = keras.Model(graph.inputs[0], node.input_tensors[0])
            return np.asarray(before(images.astype(np.float32), training=False))
    return images


def resize_matrix(length: int, target: int, kernel: str, antialias: bool) -> np.ndarray:
    """Return the `(target, length)` matrix by which `tf.image.resize` resizes one axis: what it makes of unit vectors."""
    basis = tf.eye(length)[None, :, None, :]
    return tf.image.resize(basis, (target, 1), kernel, antialias=antialias)[0, :, 0, :].numpy()


def fitting_matrix(axis: Axis, kernel: str, antialias: bool) -> np.ndarray:
    """Return the `(target, length)` matrix that resizes and fits one axis; what comes out black has rows of zeros."""
    rows = resize_matrix(axis.length, axis.resized, kernel, antialias)[axis.seen]
    return np.pad(rows, ((axis.filled.start, axis.target - axis.filled.stop), (0, 0)))


def trace(model: keras.Model, recipe: Recipe, batch: int | None, compiled: bool = False) -> Callable:
    """Trace the recipe round a truncated model.

    Args:
        model: what `truncated` returns: float RGB 0..255 in, a list of outputs.
        recipe: what surrounds it.
        batch: images per call; `None` leaves it open.
        compiled: whether XLA compiles it.

    Returns:
        A concrete function of uint8 `(batch, *input_shape, 3)` that gives what `read_layers` returns.
    """
    prepare = preparation(recipe)
    signature = tf.TensorSpec((batch, *recipe.input_shape, 3), tf.uint8, name="images")

    @tf.function(input_signature=[signature], autograph=False, jit_compile=compiled)
    def features(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return read_layers(tf.nest.flatten(model(prepare(images), training=False)), recipe)

    return features.get_concrete_function()


def preparation(recipe: Recipe) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return what a recipe does before the network: of uint8 `(n, *input_shape, 3)` it makes float32 `(views * n, *size, 3)`."""
    resize = _resizer(recipe)

    def prepared(images: tf.Tensor) -> tf.Tensor:
        x = resize(tf.cast(images, tf.float32))
        views = [tf.reverse(x, [2]) if view == "hflip" else x for view in recipe.views]
        return tf.concat(views, 0) if len(views) > 1 else views[0]

    return prepared


def read_layers(outputs: Sequence[tf.Tensor], recipe: Recipe) -> dict[str, tf.Tensor]:
    """Do what a recipe does after the network.

    Args:
        outputs: of its layers, in order, `(views * n, …)` with the channels last.
        recipe: what is read of them.

    Returns:
        float32 arrays `out0`, `out1`, … in the order of the layers, `(n, …)`, or `(n, views, …)` for several views.
    """
    tokens = recipe.tokens or (None,) * len(outputs)
    pooled = [
        read_out(tf.cast(output, tf.float32), reading, lying)
        for output, reading, lying in zip(outputs, recipe.pooling, tokens, strict=True)
    ]
    return {f"out{i}": _stack_views(y, len(recipe.views)) for i, y in enumerate(pooled)}


def _resizer(recipe: Recipe) -> Callable[[tf.Tensor], tf.Tensor]:
    axes = recipe.axes
    if all(axis.unchanged for axis in axes):
        return lambda x: x
    shrinks = any(axis.target < axis.length for axis in axes)
    if recipe.fit == "stretch" and recipe.resize in ("bilinear", "nearest") and not (recipe.antialias and shrinks):
        return lambda x: tf.image.resize(x, recipe.size, recipe.resize)
    # the other kernels have no operation in every engine; resizing is linear and separable, so two products do
    left, right = (tf.constant(fitting_matrix(axis, recipe.resize, recipe.antialias)) for axis in axes)
    (height, width), (rows, columns) = recipe.input_shape, recipe.size

    def by_matrices(x: tf.Tensor) -> tf.Tensor:
        x = tf.matmul(left, tf.reshape(x, (-1, height, width * 3)), name=RESIZING)
        return tf.matmul(right, tf.reshape(x, (-1, width, 3)), name=RESIZING)

    return lambda x: tf.reshape(by_matrices(x), (-1, rows, columns, 3))


def _stack_views(x: tf.Tensor, views: int) -> tf.Tensor:
    """Turn `(views * n, …)` into `(n, views, …)`."""
    if views == 1:
        return x
    return tf.stack(tf.split(x, views), axis=1)
