"""Build the registered networks, and load files of weights into them."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from pathlib import Path

import h5py
import keras

from bottleneck_features.errors import first_line
from bottleneck_features.models import efficientnet_lite, torchvision_nets
from bottleneck_features.models.errors import ModelError, UnsafeFile, WeightsMismatch
from bottleneck_features.models.keras_files import require_bounded
from bottleneck_features.models.loaded import Loaded
from bottleneck_features.models.preprocessing import Preprocessing
from bottleneck_features.models.registry import APPLICATIONS, LITE0, TORCHVISION, Application
from bottleneck_features.models.sources.registered import Registered
from bottleneck_features.models.torch_files import SUFFIXES as TORCH_SUFFIXES


def load(source: Registered, size: tuple[int, int], asked: Preprocessing | None, fresh: bool) -> Loaded:
    """Build a registered network with new weights, for `load_weights`; its preprocessing is its own.

    Raises:
        ModelError: if it cannot take images of the size.
    """
    try:
        return Loaded(_registered(source.name, size))
    except ValueError as error:
        raise ModelError(f"Backbone '{source.name}' cannot take images of {size[0]}×{size[1]}: {error}") from error


def _registered(name: str, size: tuple[int, int]) -> keras.Model:
    if name == LITE0:
        return efficientnet_lite.efficientnet_lite0(size)
    if name in torchvision_nets.RESNETS:
        return torchvision_nets.resnet(name, size)
    return torchvision_nets.vgg16_bn(size) if name == "vgg16-bn" else _application(APPLICATIONS[name], size)


def _application(application: Application, size: tuple[int, int]) -> keras.Model:
    module = getattr(keras.applications, application.module)
    images = keras.Input((*size, 3), name="images")
    preprocessed = module.preprocess_input(images)
    model = getattr(module, application.constructor)(
        include_top=False, weights=None, input_tensor=preprocessed, input_shape=(*size, 3)
    )
    _name_stably(model)
    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)


def _name_stably(model: keras.Model) -> None:
    """Renumber unnamed layers: Keras counts them over the whole process (`layer_normalization_1` the second time)."""
    counts: Counter[str] = Counter()
    for layer in model.layers:
        kind = re.sub(r"(?<!^)(?=[A-Z][a-z])", "_", type(layer).__name__).lower()
        if re.fullmatch(rf"{kind}(_\d+)?", layer.name):
            layer.name = f"{kind}_{counts[kind]}" if counts[kind] else kind
            counts[kind] += 1


def load_weights(model: keras.Model, name: str, path: Path) -> None:
    """Load a file of weights into a network.

    Args:
        model: the network.
        name: of the backbone; files of torchvision's layout are read for the networks that have one.
        path: the file.

    Raises:
        WeightsMismatch: if it holds other weights.
        UnsafeFile: if it would fill the memory, or leads to other files.
    """
    if path.suffix in TORCH_SUFFIXES and name in (LITE0, *TORCHVISION):
        reader = efficientnet_lite if name == LITE0 else torchvision_nets
        reader.load_checkpoint(model, path)
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras only warns of weights that it leaves as they are
            _load_keras_weights(model, path)
    except UnsafeFile:
        raise
    except Exception as error:  # Keras and h5py raise ValueError, KeyError, OSError, TypeError, … by file
        raise WeightsMismatch(f"'{path}' does not hold weights for backbone '{name}': {first_line(error)}") from error


def _load_keras_weights(model: keras.Model, path: Path) -> None:
    require_bounded(path)
    if path.suffix != ".h5" or path.name.endswith(".weights.h5"):
        model.load_weights(path)
        return
    needed = {layer.name for layer in model.layers if layer.weights}
    model.load_weights(path, by_name=needed < _stored_layers(path))


def _stored_layers(path: Path) -> set[str]:
    """Return the names of the layers with weights in a file of Keras' legacy format; with its classifier there are more."""
    with h5py.File(path) as file:
        group = file.get("model_weights", file)
        return {name for name, layer in group.items() if len(layer.attrs.get("weight_names", ()))}
