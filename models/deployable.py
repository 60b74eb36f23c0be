"""Put resizing, the backbone, pooling and a linear head into one model that gives calibrated probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from bottleneck_features.models.errors import InvalidSetting
from bottleneck_features.models.probabilities import SMALLEST_PROBABILITY
from bottleneck_features.models.readings import read_out
from bottleneck_features.models.recipe import Recipe
from bottleneck_features.models.tracing import fitting_matrix, truncated

IMAGES, PROBABILITIES = "images", "probabilities"


@dataclass(frozen=True)
class LinearHead:
    """A classifier of pooled features, the layers side by side.

    Attributes:
        coefficients: `(classes, features)`.
        intercept: `(classes,)`.
        temperature: what scores are divided by before the softmax.
        averages: what is averaged over the views: `"scores"` or `"probabilities"`.
    """

    coefficients: np.ndarray
    intercept: np.ndarray
    temperature: float
    averages: str = "scores"


def deployable(network: keras.Model, recipe: Recipe, head: LinearHead) -> keras.Model:
    """Build one model of all that happens to an image.

    It consists of Keras' own layers only. Resizing is two matrix products, one per axis, which every runtime computes alike.

    Args:
        network: float RGB 0..255 `(n, *recipe.size, 3)` in, with the layers of the recipe.
        recipe: what surrounds it; maps are averaged over their positions where pooling is `"none"`.
        head: of the layers of the recipe.

    Returns:
        A model of uint8 RGB `(n, *recipe.input_shape, 3)` that gives float32 probabilities `(n, classes)`. Nothing in it is
        trainable, so that batch norm never leaves its moving statistics, however the model is called.

    Raises:
        InvalidSetting: if the head has another number of features than the layers give.
    """
    images = keras.Input((*recipe.input_shape, 3), dtype="uint8", name=IMAGES)
    resized = _resized(ops.cast(images, "float32"), recipe)
    backbone = truncated(network, recipe.layers)
    dense = layers.Dense(len(head.intercept), name="scores")
    views = [resized if view == "identity" else ops.flip(resized, axis=2) for view in recipe.views]
    scores = [dense(_pooled(backbone(view), recipe)) for view in views]
    weights = dense.get_weights()
    if weights[0].shape != head.coefficients.T.shape:
        raise InvalidSetting(
            f"The head takes {head.coefficients.shape[1]} features, the layers give {weights[0].shape[0]}."
        )
    dense.set_weights([head.coefficients.T, head.intercept])
    model = keras.Model(images, _probabilities(scores, head), name="bottleneck")
    model.trainable = False
    return model


def _resized(x: keras.KerasTensor, recipe: Recipe) -> keras.KerasTensor:
    rows, columns = recipe.axes
    if rows.unchanged and columns.unchanged:
        return x
    x = layers.Permute((2, 3, 1))(x)
    x = _product(x, fitting_matrix(rows, recipe.resize, recipe.antialias), "rows")
    x = layers.Permute((3, 2, 1))(x)
    x = _product(x, fitting_matrix(columns, recipe.resize, recipe.antialias), "columns")
    return layers.Permute((1, 3, 2))(x)


def _product(x: keras.KerasTensor, matrix: np.ndarray, name: str) -> keras.KerasTensor:
    """Apply `matrix` to the last axis."""
    dense = layers.Dense(len(matrix), use_bias=False, name=name)
    y = dense(x)
    dense.set_weights([matrix.T])
    return y


def _pooled(outputs: list[keras.KerasTensor], recipe: Recipe) -> keras.KerasTensor:
    readings = ["avg" if reading == "none" else reading for reading in recipe.pooling]
    tokens = recipe.tokens or (None,) * len(outputs)
    columns = [read_out(*one) for one in zip(outputs, readings, tokens, strict=True)]
    return columns[0] if len(columns) == 1 else layers.Concatenate()(columns)


def _probabilities(scores: list[keras.KerasTensor], head: LinearHead) -> keras.KerasTensor:
    if head.averages == "probabilities" and len(scores) > 1:
        probabilities = layers.Average()([ops.softmax(one) for one in scores])
        logits = ops.log(ops.maximum(probabilities, SMALLEST_PROBABILITY))
    else:
        logits = layers.Average()(scores) if len(scores) > 1 else scores[0]
    return layers.Softmax(name=PROBABILITIES)(logits / head.temperature)
