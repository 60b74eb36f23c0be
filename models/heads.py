"""The classifier that is trained on bottleneck features."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def build_head(feature_shape: Sequence[int], classes: int, dropout: float = 0.3) -> keras.Model:
    """Build the walk-through's head: pool where the features are spatial, drop out, one dense softmax layer.

    Args:
        feature_shape: of one image: `(channels,)`, `(height, width, channels)` or `(tokens, channels)`.
        classes: number of classes.
        dropout: fraction of features dropped while training, 0 to 1.

    Returns:
        An uncompiled model that gives class probabilities `(n, classes)`.
    """
    features = keras.Input(tuple(feature_shape), name="features")
    x = layers.Dropout(dropout, name="dropout")(pooled(features))
    x = layers.Dense(classes, activation="softmax", name="classes")(x)
    return keras.Model(features, x, name="head")


def pooled(features: keras.KerasTensor, pooling: str = "avg") -> keras.KerasTensor:
    """Pool features over all their positions.

    Args:
        features: `(n, …, channels)`.
        pooling: `"max"`, else the average is taken.

    Returns:
        `(n, channels)`.
    """
    rank = len(features.shape)
    if rank == 2:
        return features
    if rank == 4:
        return (layers.GlobalMaxPooling2D if pooling == "max" else layers.GlobalAveragePooling2D)(name="pool")(features)
    positions = layers.Reshape((-1, features.shape[-1]), name="positions")(features)
    return (layers.GlobalMaxPooling1D if pooling == "max" else layers.GlobalAveragePooling1D)(name="pool")(positions)
