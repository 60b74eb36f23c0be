"""Load a whole Keras model from a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import keras

from bottleneck_features.errors import first_line
from bottleneck_features.models.errors import BackboneFileError, UnsafeFile
from bottleneck_features.models.hub_models import CHAINS, import_keras_hub, opened
from bottleneck_features.models.keras_files import load_bounded
from bottleneck_features.models.loaded import Loaded, preprocessed
from bottleneck_features.models.preprocessing import Preprocessing
from bottleneck_features.models.sources.keras_file import KerasFile


def load(source: KerasFile, size: tuple[int, int], asked: Preprocessing | None, fresh: bool) -> Loaded:
    """Load a model file for images of a size.

    Args:
        source: the file.
        size: height and width.
        asked: what its first layer wants of RGB 0..255; None: that is inside.
        fresh: whether it has new weights.

    Raises:
        BackboneFileError: see `load_model_file`; or its architecture is tied to its own size.
    """
    model = load_model_file(source.path)
    if type(model).__name__ in CHAINS:
        made = type(model)(**model.get_config()) if fresh else model
        found = opened(made, size, asked, source.name)
        again = {**model.get_config()}
        return replace(
            found, remade=lambda dtype: opened(type(model)(**{**again, "dtype": dtype}), size, asked, source.name).model
        )
    model = resized(model, size, source.name)
    if fresh:
        model = keras.models.clone_model(model)
    if asked is None:
        return Loaded(model)
    images = keras.Input((*size, 3), name="images")
    graph = model._functional if isinstance(model, keras.Sequential) else model
    return Loaded(keras.Model(images, graph._run_through_graph([preprocessed(images, asked)])))


def load_model_file(path: Path) -> keras.Model:
    """Load a whole model in safe mode.

    Raises:
        BackboneFileError: if the file is damaged, holds code, or is not a model of RGB images.
        EngineUnavailable: if it needs KerasHub, which is not installed.
        UnsafeFile: if it would fill the memory, or leads to other files.
    """
    config = KerasFile(str(path)).config()
    if "keras_hub" in json.dumps(config):
        import_keras_hub(str(path))
    try:
        model = load_bounded(path, compile=False, safe_mode=True)
    except UnsafeFile:
        raise
    except Exception as error:  # Keras lets anything through, from KeyError to h5py's OSError
        raise BackboneFileError(f"'{path}' cannot be loaded in safe mode: {first_line(error)}") from error
    shape = getattr(model, "input_shape", None)
    if isinstance(shape, dict) and len(shape) == 1:
        (shape,) = shape.values()
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
