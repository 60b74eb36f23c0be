"""A network as its source has loaded it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers

from bottleneck_features.models.preprocessing import Preprocessing
from bottleneck_features.models.recipe import Tokens


@dataclass(frozen=True)
class Loaded:
    """A network.

    Attributes:
        model: of RGB 0..255 `(n, *size, 3)`, its preprocessing inside.
        tokens: how the tokens lie in its layers, where that is known; None where there are none, or their number has to tell.
        remade: makes the same network with new weights that computes in a type, its preprocessing in float32; None where Keras
            can copy its layers.
    """

    model: keras.Model
    tokens: Tokens | None = None
    remade: Callable[[str], keras.Model] | None = None


def preprocessed(images: keras.KerasTensor, preprocessing: Preprocessing | None) -> keras.KerasTensor:
    """Apply a preprocessing to images `(n, h, w, 3)` of RGB 0..255 by a layer of Keras' own; None leaves them."""
    if preprocessing is None:
        return images
    x = keras.ops.flip(images, axis=-1) if preprocessing.bgr else images
    if preprocessing.scale == (1, 1, 1) and preprocessing.offset == (0, 0, 0):
        return x
    scaling = layers.Rescaling(
        list(preprocessing.scale), list(preprocessing.offset), name="preprocessing", dtype="float32"
    )
    return scaling(x)
