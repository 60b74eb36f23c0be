"""The classifier that is trained on bottleneck features."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def build_head(feature_shape: Sequence[int], classes: int, dropout: float = 0.3) -> keras.Model:
    """The walk-through's head: pool where the features are spatial, drop out, one dense softmax layer.

    Args:
        feature_shape: Of one image: `(channels,)` or `(height, width, channels)`.
        classes: Number of classes.
        dropout: Fraction of features dropped while training, 0 to 1.

    Returns:
        An uncompiled model that gives class probabilities `(n, classes)`.
    """
    features = keras.Input(tuple(feature_shape), name="features")
    x = layers.GlobalAveragePooling2D(name="pool")(features) if len(feature_shape) == 3 else features
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Dense(classes, activation="softmax", name="classes")(x)
    return keras.Model(features, x, name="head")
