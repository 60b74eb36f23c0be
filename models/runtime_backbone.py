"""A backbone that OpenVINO has read from a file: the same recipe round it as round a Keras model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from bottleneck_features.models.engines.conversion import quantised
from bottleneck_features.models.errors import EngineUnavailable
from bottleneck_features.models.layered import Layered
from bottleneck_features.models.preprocessing import Preprocessing
from bottleneck_features.models.recipe import Recipe, Tokens
from bottleneck_features.models.runtime_costs import gflop, layer_gflop
from bottleneck_features.models.runtime_input import arriving, require_preprocessing
from bottleneck_features.models.runtime_networks import RuntimeLayer, layers_of, operations, read_network, sized
from bottleneck_features.models.runtime_reference import Run, as_in_file, reference_runtime
from bottleneck_features.models.runtime_surrounding import surrounded
from bottleneck_features.models.sources import WeightsIdentity
from bottleneck_features.models.sources.runtime_file import RuntimeFile
from bottleneck_features.models.tracing import preparation, read_layers

if TYPE_CHECKING:
    import openvino


@dataclass(frozen=True)
class RuntimeBackbone(Layered):
    """A network of OpenVINO and where it comes from.

    Attributes:
        name: as asked for.
        source: its file.
        network: what OpenVINO has read, for images of its size.
        layers: its layers by name, in order.
        asked: what happens to RGB 0..255 before it; None: that is inside.
        preprocessing: what that is, for the key.
        weights: which weights it has.
        size: height and width of its images.
        tokens: None: their number has to tell how they lie.
    """

    name: str
    source: RuntimeFile
    network: openvino.Model
    layers: Mapping[str, RuntimeLayer]
    asked: Preprocessing | None
    preprocessing: str
    weights: WeightsIdentity
    size: tuple[int, int]
    tokens: Tokens | None = None

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Every layer with an output to take, in order."""
        return tuple(self.layers)

    def output_shape(self, layer: str) -> tuple[int | None, ...]:
        """Return the shape of a layer's output, with the first axis, the channels last."""
        return (None, *self.layers[layer].channels_last)

    def converted(self, recipe: Recipe, precision: str, calibration: np.ndarray | None = None) -> openvino.Model:
        """Return the network with a recipe round it; arguments and errors as for `engines.conversion.converted`.

        Raises:
            EngineUnavailable: int8 for a network that is quantised already, or too few calibration images.
        """
        network = surrounded(self.network, self.source.input, self.layers, recipe, self.asked)
        if precision != "int8":
            return network
        if any(op.get_type_name() == "FakeQuantize" for op in network.get_ops()):
            raise EngineUnavailable(
                f"'{self.name}' is quantised already: set compute.precision to 'auto' or 'float32'."
            )
        from openvino._offline_transformations import apply_moc_transformations

        apply_moc_transformations(network, cf=False)  # as its converter does: norms that are not folded stay in float32
        return quantised(network, calibration)

    @property
    def reference_name(self) -> str:
        """What computes the reference."""
        return f"{reference_runtime(self.source)} in float32"

    @property
    def surest(self) -> str:
        """What to do where the engine disagrees with it."""
        return "--set compute.precision=float32 is the surest; export the network again if that differs too."

    def reference(self, recipe: Recipe, images: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the features of images by the network as it is in its file."""
        outputs = self.as_in_file(recipe.layers)(preparation(recipe)(tf.constant(images)).numpy())
        read = read_layers([tf.constant(output) for output in outputs], recipe)
        return {layer: read[f"out{place}"].numpy() for place, layer in enumerate(recipe.layers)}

    def as_in_file(self, layers: Sequence[str]) -> Run:
        """Return what runs the network in float32 as it is in its file; see `runtime_reference`."""
        return as_in_file(self.source, self.network, self.layers, layers, self.asked)

    def first_input(self, images: np.ndarray) -> np.ndarray:
        """Return what reaches the first operation with weights."""
        return arriving(self.network, self.source.input, self.asked, images)

    def gflop_per_image(self, recipe: Recipe) -> float:
        """Count the multiply-adds for one image, each as two, in 1e9."""
        nodes = operations(self.network)
        return gflop(self.network, [nodes[name].get_name() for name in recipe.layers]) * len(recipe.views)

    def layer_gflop(self) -> dict[str, float]:
        """Return by layer what it and all that it needs cost for one image, as `gflop_per_image` counts."""
        nodes = operations(self.network)
        return layer_gflop(self.network, {name: nodes[name].get_name() for name in self.layers})


def load_runtime_backbone(
    source: RuntimeFile, weights: WeightsIdentity, size: tuple[int, int], asked: Preprocessing | None
) -> RuntimeBackbone:
    """Read a network from its file.

    Args:
        source: the file.
        weights: their identity, for which all its files have been found.
        size: height and width of its images.
        asked: what happens to RGB 0..255 before it; None: that is inside.

    Raises:
        BackboneFileError: if it is damaged, is no network of RGB images, or takes no images of that size.
        InvalidSetting: if it has no preprocessing inside and none was asked for, or has one besides.
    """
    seen = source.input
    network = sized(read_network(source.path), seen, size, source.path)
    require_preprocessing(network, seen, size, asked, source.name)
    layers = layers_of(network, seen)
    return RuntimeBackbone(source.name, source, network, layers, asked, source.preprocessing_text(asked), weights, size)
