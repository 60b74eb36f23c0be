"""Put a new last layer on a backbone and say which layers are to be trained."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from bottleneck_features.errors import nearest, quoted
from bottleneck_features.models.backbones import Backbone
from bottleneck_features.models.errors import UnknownLayer
from bottleneck_features.models.fitting import Fit, fitted
from bottleneck_features.models.folding import PREPROCESSING
from bottleneck_features.models.heads import pooled
from bottleneck_features.models.keras_files import load_bounded
from bottleneck_features.models.layered import LAYERS_SHOWN
from bottleneck_features.models.readings import read_out
from bottleneck_features.models.tracing import fitting_matrix, truncated

ASPECTS = (3 / 4, 4 / 3)  # of the crops, as in torchvision
BACKBONE, CLASSES, READING = "backbone", "classes", "reading"
_PER_IMAGE = {"none": "avg"}  # what a classifier takes of a map that is kept whole


@keras.saving.register_keras_serializable("bottleneck")
class RandomResizedCrop(layers.Layer):
    """While training a random part of each image, resized; else the image as it is fitted into the network's input.

    Source: C. Szegedy et al., Going Deeper with Convolutions, 2015, section 6; the parameters are torchvision's.

    Args:
        size: height and width of what comes out.
        area: least share of the image a part has; 1 takes no parts.
        resize: kernel for the fitted image, as in `tf.image.resize`; parts are resized bilinearly.
        antialias: whether the fitted image is resized with antialiasing.
        fit: `"stretch"`, `"crop"` or `"pad"`.
        crop_share: the share of the shorter side that a crop keeps.
    """

    def __init__(
        self,
        size: tuple[int, int],
        area: float = 0.08,
        resize: str = "bilinear",
        antialias: bool = True,
        fit: Fit = "stretch",
        crop_share: float = 1.0,
        **settings: object,
    ) -> None:
        super().__init__(**settings)
        self.size, self.area, self.resize, self.antialias = tuple(size), area, resize, antialias
        self.fit, self.crop_share = fit, crop_share
        self.seed_generator = keras.random.SeedGenerator()
        self.supports_jit = False  # XLA cannot compile `crop_and_resize`

    def call(self, images: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Return the images, or while training random parts of them, `(n, *size, channels)` float32."""
        images = tf.cast(images, tf.float32)
        if training and self.area < 1:
            return tf.image.crop_and_resize(
                images, self._boxes(tf.shape(images)[0]), tf.range(tf.shape(images)[0]), self.size
            )
        if self.fit == "stretch":
            return tf.image.resize(images, self.size, self.resize, antialias=self.antialias)
        axes = fitted((images.shape[1], images.shape[2]), (self.size[0], self.size[1]), self.fit, self.crop_share)
        rows, columns = (tf.constant(fitting_matrix(axis, self.resize, self.antialias)) for axis in axes)
        return tf.einsum("rh,nhwc,kw->nrkc", rows, images, columns)

    def _boxes(self, n: tf.Tensor) -> tf.Tensor:
        area = keras.random.uniform((n,), self.area, 1.0, seed=self.seed_generator)
        ratio = tf.exp(keras.random.uniform((n,), *np.log(ASPECTS).tolist(), seed=self.seed_generator))
        height = tf.minimum(tf.sqrt(area / ratio), 1.0)
        width = tf.minimum(tf.sqrt(area * ratio), 1.0)
        top = (1 - height) * keras.random.uniform((n,), seed=self.seed_generator)
        left = (1 - width) * keras.random.uniform((n,), seed=self.seed_generator)
        return tf.stack([top, left, top + height, left + width], axis=1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `(n, *size, channels)`."""
        return (input_shape[0], *self.size, input_shape[-1])

    def get_config(self) -> dict[str, object]:
        """Return what the layer is made again from when a model is loaded."""
        names = ("size", "area", "resize", "antialias", "fit", "crop_share")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def classifier(
    backbone: Backbone,
    layer: str,
    classes: int,
    input_shape: tuple[int, int, int],
    *,
    crop_area: float = 0.08,
    flip: bool = True,
    resize: str = "bilinear",
    antialias: bool = True,
    fit: Fit = "stretch",
    crop_share: float = 1.0,
    pooling: str = "avg",
    dropout: float = 0.0,
) -> keras.Model:
    """Build a classifier: a backbone up to a layer, with global pooling and a new dense softmax layer.

    Args:
        backbone: from `load_backbone`.
        layer: its last layer that is kept.
        classes: number of classes.
        input_shape: height, width and 3, the images' own size; they are resized in the graph.
        crop_area: least share of an image that a random crop has while training; 1 for no cropping.
        flip: whether images are mirrored at random while training.
        resize: kernel, as in `tf.image.resize`.
        antialias: whether resizing uses antialiasing.
        fit: as in `build_extractor`, of images that are not cropped at random.
        crop_share: likewise.
        pooling: one of `POOLINGS`; of all of a map (`"none"`) the average is taken.
        dropout: fraction of features dropped while training, 0 to 1.

    Returns:
        An uncompiled model of RGB 0..255 `(n, *input_shape)`, all of it trainable, that gives class probabilities
        `(n, classes)`. Its layer `backbone` is the network, `classes` the new layer.

    Raises:
        UnknownLayer: if the backbone has no such layer.
    """
    backbone.require_layers((layer,))
    network, tokens = truncated(backbone.model, (layer,)), backbone.tokens_of(layer)
    reading, last = backbone.reading(layer, pooling), network.outputs[0]
    if tokens is not None:
        last = layers.Activation("linear", name=READING)(read_out(last, _PER_IMAGE.get(reading, reading), tokens))
    network = keras.Model(network.inputs[0], last, name=BACKBONE)
    for part in network._flatten_layers():
        part.trainable = True
    x = images = keras.Input(input_shape, name="images")
    if flip:
        x = layers.RandomFlip("horizontal", name="flip")(x)
    x = RandomResizedCrop(backbone.size, crop_area, resize, antialias, fit, crop_share, name="crop")(x)
    x = pooled(network(x), pooling)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Dense(classes, activation="softmax", name=CLASSES)(x)
    return keras.Model(images, x, name="classifier")


def compute_in(model: keras.Model, precision: str) -> keras.Model:
    """Let the backbone of a classifier compute in a type, its weights staying in float32.

    Preprocessing, resizing and the new layer stay in float32: 8 bits of an image do not fit into bfloat16's 8.

    Source: P. Micikevicius et al., Mixed Precision Training, 2018.

    Args:
        model: from `classifier`, uncompiled.
        precision: `"float32"`, `"bfloat16"` or `"float16"`.

    Returns:
        The same model.

    Raises:
        ValueError: if the precision is another word.
    """
    policy = "float32" if precision == "float32" else f"mixed_{precision}"
    for layer in model.get_layer(BACKBONE)._flatten_layers(include_self=False):
        if not isinstance(layer, PREPROCESSING):
            layer.dtype_policy = policy
    return model


def compile_classifier(model: keras.Model) -> keras.Model:
    """Prepare a classifier for training by Adam, with the loss scaled where its backbone computes in float16.

    Returns:
        The same model.
    """
    optimizer: keras.optimizers.Optimizer = keras.optimizers.Adam()
    if any(layer.compute_dtype == "float16" for layer in model.get_layer(BACKBONE).layers):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def load_classifier(path: Path) -> keras.Model:
    """Load a model that was made by `classifier` and saved, with its optimiser if it was compiled.

    Raises:
        UnsafeFile: if it would fill the memory, or leads to other files.
        Exception: of many kinds, as Keras raises them, if there is no such file or it is damaged.
    """
    return load_bounded(path)


def freeze_below(model: keras.Model, first: str) -> None:
    """Keep every layer of the backbone before the first one whose name begins with `first` as it is.

    Args:
        model: from `classifier`.
        first: a layer's name or the beginning of it, such as `conv5_block1`; `""` keeps nothing.

    Raises:
        UnknownLayer: if no layer's name begins so.
    """
    names = [layer.name for layer in model.get_layer(BACKBONE).layers]
    starts = [i for i, name in enumerate(names) if name.startswith(first)]
    if not starts:
        near = quoted(nearest(first, names)[:LAYERS_SHOWN])
        raise UnknownLayer(f"No layer of the backbone begins with '{first}'. Nearest: {near}.")
    for below in model.get_layer(BACKBONE).layers[: starts[0]] if first else ():
        for layer in below._flatten_layers():
            layer.trainable = False


def freeze_batch_norm(model: keras.Model) -> None:
    """Keep the statistics, scales and shifts of every batch norm of the backbone as they were pre-trained.

    With few images per batch their own statistics are noise, and moving averages of them spoil a pre-trained network.
    """
    for layer in model.get_layer(BACKBONE)._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False


def set_last_layer(model: keras.Model, weights: np.ndarray, bias: np.ndarray) -> None:
    """Start the new layer from a linear probe on the same features (linear probing, then fine-tuning).

    Source: A. Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution, 2022.

    Args:
        model: from `classifier`.
        weights: `(features, classes)`, for features as they are (not standardised).
        bias: `(classes,)`.

    Raises:
        ValueError: if they have other shapes than the layer's.
    """
    model.get_layer(CLASSES).set_weights([weights, bias])
