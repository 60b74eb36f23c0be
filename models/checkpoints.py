"""Set the weights of a Keras model from a torch checkpoint of the same network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
from keras import layers

from bottleneck_features.errors import first_line
from bottleneck_features.models.errors import WeightsMismatch
from bottleneck_features.models.torch_files import load_tensors

NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
Map = tuple[int, int, int]


def load_checkpoint(
    model: keras.Model,
    path: Path,
    prefix_of: Callable[[str], str],
    unneeded: tuple[str, ...] = (),
    flattened: Mapping[str, Map] | None = None,
) -> None:
    """Set every weight of a model, and let no tensor of the file but the unneeded ones be left over.

    Args:
        model: of convolutions, batch norms and dense layers.
        path: a `.pth` or `.safetensors` file.
        prefix_of: what begins the names of a layer's tensors there, by the layer's name.
        unneeded: beginnings of the names of tensors that the model need not have, such as another classifier's.
        flattened: channels, height and width of the map that a dense layer takes flattened, by the layer's name.

    Raises:
        WeightsMismatch: if the checkpoint is damaged or of another architecture.
        OSError: if it cannot be opened.
    """
    tensors = load_tensors(path)
    used = set()
    for layer in model.layers:
        if not layer.weights or isinstance(layer, layers.Normalization):
            continue
        prefix = prefix_of(layer.name)
        try:
            layer.set_weights(_layer_weights(layer, prefix, tensors, (flattened or {}).get(layer.name)))
        except (KeyError, ValueError) as error:
            raise WeightsMismatch(
                f"'{path}' has no weights for layer '{layer.name}' of {model.name} ({first_line(error)}): "
                "it belongs to another architecture."
            ) from error
        used.add(prefix)
    left = {name.rsplit(".", 1)[0] for name in tensors if not name.startswith(unneeded)} - used
    if left:  # a deeper network of the same family has every tensor a shallower one needs, and more
        raise WeightsMismatch(
            f"'{path}' has weights that {model.name} lacks, such as '{min(left)}': it belongs to another architecture."
        )


def _layer_weights(
    layer: layers.Layer, prefix: str, tensors: dict[str, np.ndarray], flattened: Map | None
) -> list[np.ndarray]:
    if isinstance(layer, layers.BatchNormalization):
        return [tensors[f"{prefix}.{part}"] for part in NORM_PARTS]
    kernel = tensors[f"{prefix}.weight"]
    bias = [tensors[f"{prefix}.bias"]] if layer.use_bias else []
    if isinstance(layer, layers.DepthwiseConv2D):
        return [kernel.transpose(2, 3, 0, 1), *bias]
    if isinstance(layer, layers.Conv2D):
        return [kernel.transpose(2, 3, 1, 0), *bias]
    if flattened:  # torch flattens channels first
        kernel = kernel.reshape(-1, *flattened).transpose(0, 2, 3, 1).reshape(len(kernel), -1)
    return [kernel.T, *bias]
