"""The small ConvNets trained from scratch, against which the pre-trained features are measured."""

from __future__ import annotations

import keras
from keras import layers


def small_convnet(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Build the walk-throughs' ConvNet: two blocks of convolution and pooling, one dense layer.

    Args:
        input_shape: height, width and 3, the images' own size.
        classes: number of classes.

    Returns:
        An uncompiled model of RGB 0..255 (uint8 or float) that gives class probabilities `(n, classes)`.
    """
    images = keras.Input(input_shape, name="images")
    x = layers.Rescaling(1 / 255, name="rescaling")(images)
    for block, filters in enumerate((32, 64), start=1):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"block{block}_conv")(x)
        x = layers.MaxPooling2D(name=f"block{block}_pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(128, activation="relu", name="dense")(x)
    x = layers.Dense(classes, activation="softmax", name="classes")(x)
    return keras.Model(images, x, name="small_convnet")


def strong_convnet(input_shape: tuple[int, int, int], classes: int, flip: bool = True) -> keras.Model:
    """Build a ConvNet of three blocks of two convolutions with batch norm; images are shifted (and mirrored) while training.

    Args:
        input_shape: height, width and 3, the images' own size.
        classes: number of classes.
        flip: whether a mirrored image is still of its class; not so for digits.

    Returns:
        An uncompiled model of RGB 0..255 (uint8 or float) that gives class probabilities `(n, classes)`.
    """
    images = keras.Input(input_shape, name="images")
    x = layers.Rescaling(1 / 255, name="rescaling")(images)
    x = layers.RandomTranslation(0.1, 0.1, fill_mode="nearest", name="shift")(x)
    if flip:
        x = layers.RandomFlip("horizontal", name="flip")(x)
    for block, filters in enumerate((32, 64, 128), start=1):
        x = _normalised_convolution(x, filters, f"block{block}_1")
        x = _normalised_convolution(x, filters, f"block{block}_2")
        if min(x.shape[1:3]) >= 2:
            x = layers.MaxPooling2D(name=f"block{block}_pool")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.3, name="dropout")(x)
    x = layers.Dense(classes, activation="softmax", name="classes")(x)
    return keras.Model(images, x, name="strong_convnet")


def _normalised_convolution(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
