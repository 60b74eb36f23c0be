"""EfficientNet-Lite0 in Keras, and the loading of its torch checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
from keras import layers

from bottleneck_features.models import checkpoints

BATCH_NORM_EPSILON = 1e-3
STEM_FILTERS, TOP_FILTERS = 32, 1280
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Stage:
    """Blocks of one width: `repeats` of them, the first with `strides`."""

    repeats: int
    kernel: int
    strides: int
    expansion: int
    filters: int


# github tensorflow/tpu models/official/efficientnet/lite: B0 without squeeze-and-excitation, ReLU6 for swish
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def efficientnet_lite0(size: tuple[int, int]) -> keras.Model:
    """Build EfficientNet-Lite0 with its classifier.

    Args:
        size: height and width of the images.

    Returns:
        A model of float RGB 0..255, `(n, *size, 3)`, that gives the probabilities of ImageNet's 1,000 classes. Layers are
        named as in Keras' EfficientNets: `block3b_add`, `block4a_project_bn`, …, `top_activation`, `avg_pool`.
    """
    images = keras.Input((*size, 3), name="images")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(images)
    x = _activated(layers.Conv2D(STEM_FILTERS, 3, 2, "same", use_bias=False, name="stem_conv")(x), "stem_")
    for number, stage in enumerate(STAGES, start=1):
        for repeat in range(stage.repeats):
            x = _block(x, stage, stage.strides if repeat == 0 else 1, f"block{number}{'abcd'[repeat]}_")
    x = _activated(layers.Conv2D(TOP_FILTERS, 1, use_bias=False, name="top_conv")(x), "top_")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dropout(0.2, name="top_dropout")(x)
    x = layers.Dense(IMAGENET_CLASSES, activation="softmax", name="predictions")(x)
    return keras.Model(images, x, name="efficientnet-lite0")


def _activated(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=f"{name}bn")(x)
    return layers.ReLU(6.0, name=f"{name}activation")(x)


def _block(x: keras.KerasTensor, stage: Stage, strides: int, name: str) -> keras.KerasTensor:
    """Expand with 1×1, convolve each channel, project with 1×1; add the input where the shapes allow."""
    start, filters = x, x.shape[-1]
    if stage.expansion > 1:
        expand = layers.Conv2D(filters * stage.expansion, 1, use_bias=False, name=f"{name}expand_conv")
        x = _activated(expand(x), f"{name}expand_")
    depthwise = layers.DepthwiseConv2D(stage.kernel, strides, "same", use_bias=False, name=f"{name}dwconv")
    x = _activated(depthwise(x), name)
    x = layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}project_conv")(x)
    x = layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=f"{name}project_bn")(x)
    if strides == 1 and filters == stage.filters:
        x = layers.Add(name=f"{name}add")([x, start])
    return x


def load_checkpoint(model: keras.Model, path: Path) -> None:
    """Set the weights of an EfficientNet-Lite0, its classifier's too, from its torch checkpoint.

    Raises:
        WeightsMismatch: if the checkpoint is damaged or of another architecture.
        OSError: if it cannot be opened.
    """
    checkpoints.load_checkpoint(model, path, _torch_prefix)


def _torch_prefix(name: str) -> str:
    """Return `_blocks.2._expand_conv` for `block2b_expand_conv`: torch counts the blocks through, without stages."""
    whole = {
        "stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1", "predictions": "_fc",
    }  # fmt: skip
    if name in whole:
        return whole[name]
    block, part = name.split("_", 1)
    stage, repeat = int(block[5:-1]), "abcd".index(block[-1])
    index = sum(s.repeats for s in STAGES[: stage - 1]) + repeat
    parts = {
        "expand_conv": "_expand_conv", "expand_bn": "_bn0", "dwconv": "_depthwise_conv", "bn": "_bn1",
        "project_conv": "_project_conv", "project_bn": "_bn2",
    }  # fmt: skip
    return f"_blocks.{index}.{parts[part]}"
