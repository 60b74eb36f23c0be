"""What `backbone.name` may be, one module for each kind; nothing here needs TensorFlow until a network is loaded."""

from __future__ import annotations

import os
from pathlib import Path

from bottleneck_features.errors import nearest, quoted
from bottleneck_features.models.errors import BackboneFileError, UnknownBackbone
from bottleneck_features.models.registry import backbone_names
from bottleneck_features.models.sources.hub import HubNetwork
from bottleneck_features.models.sources.hub_downloads import INSTALL, is_remote, presets
from bottleneck_features.models.sources.keras_file import SUFFIXES as KERAS_SUFFIXES
from bottleneck_features.models.sources.keras_file import KerasFile
from bottleneck_features.models.sources.registered import Registered
from bottleneck_features.models.sources.runtime_file import SUFFIXES as RUNTIME_SUFFIXES
from bottleneck_features.models.sources.runtime_file import RuntimeFile
from bottleneck_features.models.sources.source import Source, WeightsIdentity

__all__ = ["Source", "WeightsIdentity", "find_source", "is_model_file", "label_of", "named_source", "only_engine"]

FILES = (*KERAS_SUFFIXES, *RUNTIME_SUFFIXES)
OTHER_FILES = (".pth", ".pt", ".bin", ".safetensors", ".tflite", ".pb", ".ckpt", ".weights.h5")


def is_model_file(name: str) -> bool:
    """Return whether a backbone's name is the path of a file."""
    return name.endswith(FILES) and not name.endswith(".weights.h5")


def model_file(name: str) -> KerasFile | RuntimeFile:
    """Return what the path of a model file means; the file need not be there."""
    return RuntimeFile(name) if name.endswith(RUNTIME_SUFFIXES) else KerasFile(name)


def named_source(name: str) -> Source:
    """Return what a backbone's name means, as `find_source`; a model file need not be there any more."""
    return model_file(name) if is_model_file(name) else find_source(name)


def only_engine(name: str) -> str:
    """Return the one engine that runs a backbone, which need not be there any more; empty where each does."""
    return RuntimeFile.engine if name.endswith(RUNTIME_SUFFIXES) else ""


def label_of(name: str) -> str:
    """Return the name that folders, pictures and reports show for a backbone, which need not be there any more."""
    if name in backbone_names():
        return name
    if is_model_file(name):
        return model_file(name).label
    return HubNetwork(name).label


def find_source(name: str) -> Source:
    """Return what a backbone's name means.

    Args:
        name: a registered name; a KerasHub preset; `hf://organisation/model`; `kaggle://…`; the path of a folder in the layout
            of Hugging Face, timm or KerasHub; of a `.keras` or `.h5` file with a whole model; of an `.onnx` file, or of
            OpenVINO's `.xml` file.

    Raises:
        UnknownBackbone: if it is none of these; names the nearest.
        BackboneFileError: if it is the path of something that is not there.
    """
    if name in backbone_names():
        return Registered(name)
    if is_model_file(name):
        if not Path(name).expanduser().is_file():
            raise BackboneFileError(f"There is no file '{name}'. Set backbone.name to a file that exists.")
        return model_file(name)
    if is_remote(name) or Path(name).expanduser().is_dir():
        return HubNetwork(name)
    raise _unknown(name)


def _unknown(name: str) -> UnknownBackbone | BackboneFileError:
    path = Path(name).expanduser()
    if path.is_file():
        weights = (
            " It may hold weights: name their network, and the file as backbone.weights."
            if name.endswith(OTHER_FILES)
            else ""
        )
        return BackboneFileError(f"'{name}' is no model file: these are {', '.join(FILES)}.{weights}")
    if os.sep in name and not path.parent.is_dir() and name.count("/") == 1 and not name.startswith((".", "~")):
        return UnknownBackbone(f"There is no folder '{name}'. On Hugging Face it would be hf://{name}.")
    if os.sep in name:
        return BackboneFileError(f"There is no folder or file '{name}'.")
    known = (*backbone_names(), *presets())
    more = "" if presets() else f" KerasHub's presets need KerasHub: {INSTALL}."
    return UnknownBackbone(
        f"There is no backbone '{name}'. Nearest: {quoted(nearest(name, known)[:5])}. It may also be hf://organisation/model, "
        f"a folder with config.json, or a {' or '.join(FILES)} file.{more}"
    )
