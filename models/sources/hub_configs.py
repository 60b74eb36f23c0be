"""What the `config.json` of a network says, in the layouts of Hugging Face, timm and KerasHub."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bottleneck_features.errors import quoted
from bottleneck_features.models.errors import BackboneFileError

NORM, POOLER, OUTPUT = "norm", "pooler", "output"  # names of last layers
HEADS = (POOLER, "projection")
OF_TOKENS = re.compile(r"block\d+|embeddings|norm|norm_before")


@dataclass(frozen=True)
class Family:
    """How networks of a kind are read.

    Attributes:
        last: the layer that is taken where none is named.
        auto: what `auto` means for its inner layers and its last norm.
    """

    last: str
    auto: str

    def last_layer(self, poolings: Sequence[str]) -> str:
        """Return the layer that is taken where none is named: a reading of tokens takes those after the last norm."""
        of_tokens = self.last == POOLER and set(poolings) - {"auto", "pooler"}
        return NORM if of_tokens else self.last

    def reading(self, layer: str, pooling: str) -> str:
        """Return what `auto` means for a layer; `auto` where only the loaded network tells."""
        if pooling != "auto" or self.auto == "avg":
            return "avg" if pooling == "auto" else pooling
        if layer in HEADS:
            return "pooler"
        return self.auto if OF_TOKENS.fullmatch(layer) else "auto"


CLASS_TOKEN = Family(NORM, "cls")
POOLED_CLASS_TOKEN = Family(POOLER, "cls")
POOLED_PATCHES = Family(POOLER, "patches")
MAPS_WITH_NORM = Family(NORM, "avg")
CONVOLUTIONAL = Family(OUTPUT, "avg")

TRANSFORMERS = {
    **dict.fromkeys(("vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit"), CLASS_TOKEN),
    "swin": MAPS_WITH_NORM,
    "metaclip_2": POOLED_CLASS_TOKEN,
}
# whose features through KerasHub 0.32 are those of timm; others that it converts pad otherwise (densenet, efficientnet_e*,
# efficientnetv2_rw_*), lose weights (hgnetv2 of `ssld`), or were not compared
TIMM = (
    *(f"resnet{depth}" for depth in (18, 26, 34, 50, 101, 152)),
    *(f"resnetv2_{depth}" for depth in (50, 101, 152)),
    *(f"vgg{depth}" for depth in (11, 13, 16, 19)),
    *(f"efficientnet_b{number}" for number in range(6)),
    "efficientnet_lite0",
    *(f"mobilenetv3_{size}" for size in ("small_050", "small_100", "large_100")),
    *("cspresnet50", "cspresnext50", "cspdarknet53", "darknet53", "hgnetv2_b4"),
)
KERAS_HUB = {
    **dict.fromkeys(("ViTBackbone", "DeiTBackbone", "DINOV2Backbone", "DINOV3Backbone"), CLASS_TOKEN),
    "SwinTransformerBackbone": MAPS_WITH_NORM,
    **dict.fromkeys(("SigLIPBackbone", "SigLIPVisionEncoder"), POOLED_PATCHES),
    **dict.fromkeys(("CLIPBackbone", "MetaCLIP2Backbone"), POOLED_CLASS_TOKEN),
    "CLIPVisionEncoder": CLASS_TOKEN,
    **dict.fromkeys(
        (
            "ResNetBackbone",
            "VGGBackbone",
            "DenseNetBackbone",
            "EfficientNetBackbone",
            "MobileNetBackbone",
            "MobileNetV5Backbone",
            "HGNetV2Backbone",
            "CSPNetBackbone",
            "XceptionBackbone",
        ),
        CONVOLUTIONAL,
    ),
}
AS_ONNX = "Export it as ONNX, with its image size fixed, and give the .onnx file."


def family_of(config: Mapping[str, Any], where: str) -> Family:
    """Return how a network is read.

    Args:
        config: the content of its `config.json`.
        where: it is, for messages.

    Raises:
        BackboneFileError: if it is no network of images that can be loaded; says what to do.
    """
    if "class_name" in config:
        return of_keras_hub(config, where)
    if "model_type" in config:
        kind = str(config["model_type"])
        if kind not in TRANSFORMERS:
            raise _unknown(where, "Hugging Face's", "model_type", kind, TRANSFORMERS)
        return TRANSFORMERS[kind]
    if "architecture" in config:
        architecture = str(config["architecture"])
        if architecture not in TIMM:
            raise _unknown(where, "timm's", "architecture", architecture, TIMM)
        return CONVOLUTIONAL
    raise BackboneFileError(
        f"{where} is of no layout that is known: its config.json has none of model_type (Hugging Face), architecture (timm), "
        f"class_name (KerasHub). {AS_ONNX}"
    )


def of_keras_hub(config: Mapping[str, Any], where: str) -> Family:
    """Return how a network is read whose configuration is KerasHub's."""
    name = str(config["class_name"])
    if name not in KERAS_HUB:
        raise _unknown(where, "KerasHub's", "class_name", name, KERAS_HUB)
    return KERAS_HUB[name]


def _unknown(
    where: str, whose: str, key: str, value: str, known: Sequence[str] | Mapping[str, Any]
) -> BackboneFileError:
    return BackboneFileError(
        f"{where} has {key} '{value}'. Of {whose} layout these are read: {quoted(list(known))}. {AS_ONNX}"
    )
