"""The ResNets and the VGG16 of torchvision in Keras, and the loading of their published checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
from keras import layers

from bottleneck_features.models import checkpoints

EPSILON = 1e-5
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels in 0..1, as in torchvision
VGG16_BLOCKS = (2, 2, 3, 3, 3)
VGG16_FILTERS = (64, 128, 256, 512, 512)
VGG16_MAP = (7, 7)  # what its fully connected layers were made for: images of 224 to 255 pixels


@dataclass(frozen=True)
class ResNet:
    """A ResNet of torchvision: blocks in each of the four stages, and whether they are bottlenecks (1×1, 3×3, 1×1).

    The stride is in the 3×3 convolution of a bottleneck ("v1.5"); Keras' own ResNet50 has it in the first 1×1.
    Source: K. He et al., Deep Residual Learning for Image Recognition, 2016.
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool


RESNETS = {
    "resnet18": ResNet((2, 2, 2, 2), bottleneck=False),
    "resnet34": ResNet((3, 4, 6, 3), bottleneck=False),
    "resnet50-v1.5": ResNet((3, 4, 6, 3), bottleneck=True),
}


def resnet(name: str, size: tuple[int, int]) -> keras.Model:
    """Build a ResNet without its classifier.

    Args:
        name: one of `RESNETS`.
        size: height and width of the images.

    Returns:
        A model of float RGB 0..255, `(n, *size, 3)`. Layers are named as in Keras' ResNets: `conv2_block1_1_conv`,
        `conv5_block2_out`, …; the last is `avg_pool`.
    """
    net = RESNETS[name]
    x = images = keras.Input((*size, 3), name="images")
    x = layers.ZeroPadding2D(3, name="conv1_pad")(_normalised(x))
    x = layers.Conv2D(64, 7, 2, use_bias=False, name="conv1_conv")(x)
    x = _norm("conv1_bn", relu="conv1_relu")(x)
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)  # zeros do not win over what comes out of a ReLU
    x = layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
    for stage, blocks in enumerate(net.blocks, start=2):
        for block in range(1, blocks + 1):
            strides = 2 if block == 1 and stage > 2 else 1
            x = _residual_block(x, net, 64 * 2 ** (stage - 2), strides, f"conv{stage}_block{block}")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(images, x, name=name)


def _residual_block(x: keras.KerasTensor, net: ResNet, filters: int, strides: int, name: str) -> keras.KerasTensor:
    kernels = (1, 3, 1) if net.bottleneck else (3, 3)
    width = 4 * filters if net.bottleneck else filters
    shortcut = x
    if strides > 1 or x.shape[-1] != width:
        shortcut = layers.Conv2D(width, 1, strides, use_bias=False, name=f"{name}_0_conv")(x)
        shortcut = _norm(f"{name}_0_bn")(shortcut)
    strided = kernels.index(3)
    for number, kernel in enumerate(kernels, start=1):
        last = number == len(kernels)
        step = strides if number - 1 == strided else 1
        x = _same_convolution(x, width if last else filters, kernel, step, f"{name}_{number}")
        x = _norm(f"{name}_{number}_bn", relu=None if last else f"{name}_{number}_relu")(x)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([shortcut, x]))


def _same_convolution(x: keras.KerasTensor, filters: int, kernel: int, strides: int, name: str) -> keras.KerasTensor:
    """Convolve with padding that is the same on all sides, as torch's; Keras' "same" is not when it strides."""
    if kernel > 1 and strides > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    padding = "valid" if strides > 1 else "same"
    return layers.Conv2D(filters, kernel, strides, padding, use_bias=False, name=f"{name}_conv")(x)


def vgg16_bn(size: tuple[int, int]) -> keras.Model:
    """Build VGG16 with batch norm, without its last layer.

    Source: K. Simonyan, A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2015.

    Args:
        size: height and width of the images.

    Returns:
        A model of float RGB 0..255, `(n, *size, 3)`, layers `block1_conv1`, `block1_bn1`, …, `block5_pool`; for images
        of 224 to 255 pixels also its fully connected layers `fc1` and `fc2` (4096).
    """
    x = images = keras.Input((*size, 3), name="images")
    x = _normalised(x)
    for block, (convolutions, filters) in enumerate(zip(VGG16_BLOCKS, VGG16_FILTERS, strict=True), start=1):
        for number in range(1, convolutions + 1):
            x = layers.Conv2D(filters, 3, padding="same", name=f"block{block}_conv{number}")(x)
            x = _norm(f"block{block}_bn{number}", relu=f"block{block}_relu{number}")(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    if x.shape[1:3] == VGG16_MAP:
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(4096, activation="relu", name="fc1")(x)
        x = layers.Dense(4096, activation="relu", name="fc2")(x)
    return keras.Model(images, x, name="vgg16-bn")


def _normalised(x: keras.KerasTensor) -> keras.KerasTensor:
    mean, variance = [255 * m for m in MEAN], [(255 * d) ** 2 for d in DEVIATION]
    return layers.Normalization(mean=mean, variance=variance, name="normalization")(x)


def _norm(name: str, relu: str | None = None) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    def apply(x: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.BatchNormalization(epsilon=EPSILON, momentum=0.9, name=name)(x)
        return layers.ReLU(name=relu)(x) if relu else x

    return apply


def load_checkpoint(model: keras.Model, path: Path) -> None:
    """Set the weights of one of these networks from a torchvision checkpoint, whose classifier is left out.

    Args:
        model: from `resnet` or `vgg16_bn`.
        path: a `.pth` or `.safetensors` file with torchvision's names.

    Raises:
        WeightsMismatch: if the checkpoint is damaged or of another architecture.
        OSError: if it cannot be opened.
    """
    prefix_of = vgg_prefix if model.name == "vgg16-bn" else resnet_prefix
    flattened = {"fc1": (VGG16_FILTERS[-1], *VGG16_MAP)}
    checkpoints.load_checkpoint(model, path, prefix_of, unneeded=("fc.", "classifier."), flattened=flattened)


def resnet_prefix(name: str) -> str:
    """Return `layer2.1.bn1` for `conv3_block2_1_bn`, and `layer2.0.downsample.0` for `conv3_block1_0_conv`."""
    if name.startswith("conv1_"):
        return name.removeprefix("conv1_").replace("conv", "conv1").replace("bn", "bn1")
    stage, block, number, kind = name.split("_")
    owner = f"layer{int(stage[4:]) - 1}.{int(block[5:]) - 1}"
    if number == "0":
        return f"{owner}.downsample.{0 if kind == 'conv' else 1}"
    return f"{owner}.{kind}{number}"


def vgg_prefix(name: str) -> str:
    """Return `features.7` for `block2_conv1`: torch counts the layers through, with norm, ReLU and pooling in between."""
    if name.startswith("fc"):
        return f"classifier.{0 if name == 'fc1' else 3}"
    block, part = int(name[5]), name.split("_")[1]
    before = sum(3 * convolutions + 1 for convolutions in VGG16_BLOCKS[: block - 1])
    return f"features.{before + 3 * (int(part[-1]) - 1) + part.startswith('bn')}"
