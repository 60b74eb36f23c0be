"""What is asked of every loaded network, whatever runs it: its layers, and how they are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from bottleneck_features.errors import nearest, quoted
from bottleneck_features.models.errors import UnknownLayer
from bottleneck_features.models.readings import reading_of, tokens_in
from bottleneck_features.models.recipe import Recipe, Tokens

if TYPE_CHECKING:
    import openvino

LAYERS_SHOWN = 3


class Layered(ABC):
    """A network with named layers.

    Attributes:
        name: as asked for.
        size: height and width of its images.
        tokens: how the tokens of a transformer lie; None where there are none, or their number has to tell.
    """

    name: str
    size: tuple[int, int]
    tokens: Tokens | None

    @property
    @abstractmethod
    def layer_names(self) -> tuple[str, ...]:
        """Every layer with an output to take, in order."""

    @abstractmethod
    def output_shape(self, layer: str) -> tuple[int | None, ...]:
        """Return the shape of a layer's output, with the first axis, the channels last."""

    @property
    @abstractmethod
    def reference_name(self) -> str:
        """What computes the reference."""

    @property
    @abstractmethod
    def surest(self) -> str:
        """What to do where an engine disagrees with the reference, a sentence."""

    @abstractmethod
    def reference(self, recipe: Recipe, images: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the features that an extractor is checked against, in float32.

        Args:
            recipe: what surrounds the network.
            images: uint8 `(n, *input_shape, 3)`.

        Returns:
            By layer what an extractor returns.
        """

    @abstractmethod
    def first_input(self, images: np.ndarray) -> np.ndarray:
        """Return what reaches the first layer with weights, for `input_check`; `images` are uint8 `(n, *size, 3)`."""

    @abstractmethod
    def converted(self, recipe: Recipe, precision: str, calibration: np.ndarray | None = None) -> openvino.Model:
        """Return the network with a recipe round it, for OpenVINO.

        Args:
            recipe: what surrounds it.
            precision: `"float32"`, `"bfloat16"` or `"int8"`.
            calibration: uint8 images `(n, *input_shape, 3)` of the kind to come, for int8.

        Returns:
            The network of uint8 images in, with the outputs `out0`, `out1`, …, one for each layer of the recipe.

        Raises:
            EngineUnavailable: too few calibration images, or a network that is quantised already.
        """

    @abstractmethod
    def gflop_per_image(self, recipe: Recipe) -> float:
        """Count the multiply-adds for one image, each as two, in 1e9; biases, norms and resizing do not count."""

    @abstractmethod
    def layer_gflop(self) -> dict[str, float]:
        """Return by layer what it and all that it needs cost for one image, as `gflop_per_image` counts."""

    def tokens_of(self, layer: str) -> Tokens | None:
        """Return how the tokens lie in a layer's output; None for maps and vectors."""
        shape = self.output_shape(layer)
        return (self.tokens or tokens_in(shape, self.size)) if len(shape) == 3 else None

    def reading(self, layer: str, pooling: str) -> str:
        """Return which of `READINGS` a pooling means for a layer.

        Raises:
            InvalidSetting: if the layer has not what is to be read.
        """
        return reading_of(layer, self.output_shape(layer), pooling, self.tokens_of(layer))

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
                    f"bottleneck layers {self.name}"
                )
