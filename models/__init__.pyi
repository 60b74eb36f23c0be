from .backbones import Backbone, layer_names, load_backbone, load_keras_backbone
from .building import build_extractor
from .convnets import small_convnet, strong_convnet
from .downloads import fetch, keras_home
from .engine_choice import backbone_engine, engine_note
from .engines import gpus, has_openvino, resolve_engine, training_precision
from .errors import (
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
from .estimators import LogisticPath
from .extractor import Extractor
from .finetuning import (
    classifier,
    compile_classifier,
    compute_in,
    freeze_batch_norm,
    freeze_below,
    load_classifier,
    set_last_layer,
)
from .heads import build_head
from .layered import Layered
from .matmul import matmul_gflops
from .networks import open_extractor, require_readable
from .parallel import limit_cores
from .preprocessing import NAMED, Preprocessing
from .recipe import Recipe
from .registry import backbone_names, default_layers
from .sources import WeightsIdentity, find_source, is_model_file, label_of, named_source, only_engine
from .weights import preprocessing_text, require_trainable, weights_identity

__all__ = [
    "NAMED",
    "Backbone",
    "BackboneFileError",
    "EngineMismatch",
    "EngineUnavailable",
    "Extractor",
    "InvalidSetting",
    "Layered",
    "LogisticPath",
    "ModelError",
    "Preprocessing",
    "Recipe",
    "UnknownBackbone",
    "UnknownLayer",
    "UnsafeFile",
    "WeightsIdentity",
    "WeightsMismatch",
    "WeightsUnavailable",
    "backbone_engine",
    "backbone_names",
    "build_extractor",
    "build_head",
    "classifier",
    "compile_classifier",
    "compute_in",
    "default_layers",
    "engine_note",
    "fetch",
    "find_source",
    "freeze_batch_norm",
    "freeze_below",
    "gpus",
    "has_openvino",
    "is_model_file",
    "keras_home",
    "label_of",
    "layer_names",
    "limit_cores",
    "load_backbone",
    "load_classifier",
    "load_keras_backbone",
    "matmul_gflops",
    "named_source",
    "only_engine",
    "open_extractor",
    "preprocessing_text",
    "require_readable",
    "require_trainable",
    "resolve_engine",
    "set_last_layer",
    "small_convnet",
    "strong_convnet",
    "training_precision",
    "weights_identity",
]
