"""What computes: backbones and their weights, the compiled extractor, heads, linear probes and the small ConvNets."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bottleneck_features.models.errors import (
    BackboneFileError,
    EngineMismatch,
    EngineUnavailable,
    InvalidSetting,
    ModelError,
    UnknownBackbone,
    UnknownLayer,
    UnsafeFile,
    WeightsMismatch,
    WeightsUnavailable,
)
from bottleneck_features.models.registry import backbone_names, default_layers
from bottleneck_features.models.weights import (
    WeightsIdentity,
    fetch,
    is_model_file,
    keras_home,
    preprocessing,
    weights_identity,
)

if TYPE_CHECKING:
    from bottleneck_features.models.backbones import Backbone, layer_names, load_backbone
    from bottleneck_features.models.building import build_extractor
    from bottleneck_features.models.convnets import small_convnet, strong_convnet
    from bottleneck_features.models.engines import gpus, resolve_engine, training_precision
    from bottleneck_features.models.estimators import LogisticPath
    from bottleneck_features.models.extractor import Extractor
    from bottleneck_features.models.finetuning import (
        classifier,
        compile_classifier,
        compute_in,
        freeze_batch_norm,
        freeze_below,
        load_classifier,
        set_last_layer,
    )
    from bottleneck_features.models.heads import build_head
    from bottleneck_features.models.matmul import matmul_gflops
    from bottleneck_features.models.networks import open_extractor
    from bottleneck_features.models.parallel import limit_cores
    from bottleneck_features.models.recipe import Recipe

# most of these need TensorFlow, which is imported when the first of them is asked for; the estimator needs scikit-learn
_LAZY = {
    "backbones": ("Backbone", "layer_names", "load_backbone"),
    "building": ("build_extractor",),
    "convnets": ("small_convnet", "strong_convnet"),
    "engines": ("gpus", "resolve_engine", "training_precision"),
    "estimators": ("LogisticPath",),
    "extractor": ("Extractor",),
    "finetuning": (
        "classifier", "compile_classifier", "compute_in", "freeze_batch_norm", "freeze_below", "load_classifier",
        "set_last_layer",
    ),
    "heads": ("build_head",),
    "matmul": ("matmul_gflops",),
    "networks": ("open_extractor",),
    "parallel": ("limit_cores",),
    "recipe": ("Recipe",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _LAZY.items() for name in names}

__all__ = [
    "Backbone",
    "BackboneFileError",
    "EngineMismatch",
    "EngineUnavailable",
    "Extractor",
    "InvalidSetting",
    "LogisticPath",
    "ModelError",
    "Recipe",
    "UnknownBackbone",
    "UnknownLayer",
    "UnsafeFile",
    "WeightsIdentity",
    "WeightsMismatch",
    "WeightsUnavailable",
    "backbone_names",
    "build_extractor",
    "build_head",
    "classifier",
    "compile_classifier",
    "compute_in",
    "default_layers",
    "fetch",
    "freeze_batch_norm",
    "freeze_below",
    "gpus",
    "is_model_file",
    "keras_home",
    "layer_names",
    "limit_cores",
    "load_backbone",
    "load_classifier",
    "matmul_gflops",
    "open_extractor",
    "preprocessing",
    "resolve_engine",
    "set_last_layer",
    "small_convnet",
    "strong_convnet",
    "training_precision",
    "weights_identity",
]

if __name__ != "bottleneck_features.models":
    raise ImportError("`models` is a part of bottleneck-features: import bottleneck_features.models instead.")


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'bottleneck_features.models' has no attribute '{name}'")
    return getattr(importlib.import_module(f"bottleneck_features.models.{_MODULE_OF[name]}"), name)
