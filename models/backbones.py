"""Build a backbone with its weights: a registered network or a `.keras` file, RGB 0..255 in, preprocessing inside."""

from __future__ import annotations

import contextlib
import random
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import keras

from bottleneck_features.errors import first_line, nearest, quoted
from bottleneck_features.models import efficientnet_lite, torchvision_nets
from bottleneck_features.models.errors import (
    BackboneFileError,
    ModelError,
    UnknownLayer,
    UnsafeFile,
    WeightsMismatch,
)
from bottleneck_features.models.keras_files import load_bounded, require_bounded
from bottleneck_features.models.registry import APPLICATIONS, LITE0, TORCHVISION, Application
from bottleneck_features.models.torch_files import SUFFIXES as TORCH_SUFFIXES
from bottleneck_features.models.weights import (
    WeightsIdentity,
    is_model_file,
    preprocessing,
    require_backbone,
    weights_identity,
)

LAYERS_SHOWN = 3


@dataclass(frozen=True)
class Backbone:
    """A network and where it comes from.

    Attributes:
        name: as asked for.
        model: takes float32 RGB 0..255, `(n, *size, 3)`; its own preprocessing comes first.
        preprocessing: what that preprocessing is, for the key.
        weights: which weights it has.
        size: height and width of its images.
    """

    name: str
    model: keras.Model
    preprocessing: str
    weights: WeightsIdentity
    size: tuple[int, int]

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Every layer with an output to take, in order."""
        return _output_layers(self.model)

    def require_layers(self, names: tuple[str, ...]) -> None:
        """Check that layers exist.

        Raises:
            UnknownLayer: naming the nearest ones.
        """
        for name in names:
            if name not in self.layer_names:
                near = quoted(nearest(name, self.layer_names)[:LAYERS_SHOWN])
                raise UnknownLayer(
                    f"Backbone '{self.name}' has no layer '{name}'. Nearest: {near}. "
                    f"The last ones: {', '.join(self.layer_names[-4:])}. All {len(self.layer_names)}: "
                    f"python -c \"from bottleneck_features import models; print(*models.layer_names('{self.name}'))\""
                )


def layer_names(name: str) -> tuple[str, ...]:
    """Return the layers of a backbone, whose weights need not be at hand.

    Args:
        name: a registered name or the path of a `.keras` file.

    Raises:
        UnknownBackbone: if there is no such backbone.
        BackboneFileError: if the file is missing, damaged, or not a model of RGB images.
    """
    require_backbone(name)
    model = load_model_file(Path(name).expanduser()) if is_model_file(name) else _build(name, (224, 224), fresh=True)
    return _output_layers(model)


def _output_layers(model: keras.Model) -> tuple[str, ...]:
    return tuple(layer.name for layer in model.layers if not isinstance(layer, keras.layers.InputLayer))


def load_backbone(name: str, weights: str = "imagenet", size: tuple[int, int] = (224, 224), seed: int = 0) -> Backbone:
    """Build a backbone and load its weights.

    Args:
        name: a registered name or the path of a `.keras` file whose input is RGB 0..255.
        weights: `"imagenet"`, `"random"` or a weights file (`.h5`, `.weights.h5`, `.keras`; `.pth` and `.safetensors`
            for efficientnet-lite0 and torchvision's networks). A `.keras` file keeps its own weights under `"imagenet"`.
        size: height and width the network is to see.
        seed: seed of random weights.

    Returns:
        The backbone, without its classifier where Keras offers that.

    Raises:
        ModelError: if the backbone, its weights or the size cannot be had; the message says what to do.
    """
    require_backbone(name)
    identity = weights_identity(name, weights, seed)
    with _seeded(seed):
        model = _build(name, size, fresh=identity.source == "random")
    own = is_model_file(name) and weights == "imagenet"
    if identity.path is not None and not own:
        _load_weights(model, name, identity.path)
    model.trainable = False
    return Backbone(name, model, preprocessing(name), identity, size)


def _build(name: str, size: tuple[int, int], fresh: bool) -> keras.Model:
    if is_model_file(name):
        model = resized(load_model_file(Path(name).expanduser()), size, name)
        return keras.models.clone_model(model) if fresh else model
    try:
        return _registered(name, size)
    except ValueError as error:
        raise ModelError(f"Backbone '{name}' cannot take images of {size[0]}×{size[1]}: {error}") from error


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


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed Python's generator, from which Keras draws the seeds of unseeded initializers; it is put back afterwards."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def load_model_file(path: Path) -> keras.Model:
    """Load a `.keras` file in safe mode.

    Raises:
        BackboneFileError: if it is damaged, holds code, or is not a model of RGB images.
        UnsafeFile: if it would fill the memory, or leads to other files.
    """
    if not zipfile.is_zipfile(path):
        raise BackboneFileError(f"'{path}' is not a .keras model file, or is truncated. Fetch or save it again.")
    try:
        model = load_bounded(path, compile=False, safe_mode=True)
    except UnsafeFile:
        raise
    except Exception as error:  # Keras lets anything through, from KeyError to h5py's OSError
        raise BackboneFileError(f"'{path}' cannot be loaded in safe mode: {first_line(error)}") from error
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] != 3:
        raise BackboneFileError(
            f"'{path}' is not a model of RGB images: its input must be (n, height, width, 3). Received: {shape}."
        )
    return model


def resized(model: keras.Model, size: tuple[int, int], name: str) -> keras.Model:
    """Return the model at a fixed image size, rebuilt when it was made for another one.

    Raises:
        BackboneFileError: if its architecture is tied to its own size.
    """
    own = model.input_shape[1:3]
    if own == size:
        return model
    try:
        images = keras.Input((*size, 3), name="images")
        clone = keras.models.clone_model(model, input_tensors=[images] if isinstance(model.input, list) else images)
        clone.set_weights(model.get_weights())
    except Exception as error:  # a shape error can come from any layer
        raise BackboneFileError(
            f"'{name}' cannot be rebuilt for {size[0]}×{size[1]} images ({first_line(error)}). "
            f"Its own size is {own}: set input.size to that."
        ) from error
    return clone


def _load_weights(model: keras.Model, name: str, path: Path) -> None:
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
