"""What happens to an image besides the network, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bottleneck_features.models.errors import InvalidSetting, require_choice
from bottleneck_features.models.fitting import FITS, Axis, Fit, fitted

READINGS = ("avg", "max", "none", "cls", "patches", "cls+patches", "pooler")
POOLINGS = ("auto", *READINGS)  # as `features.pooling`; a recipe has one of `READINGS`
VIEWS = ("identity", "hflip")
KERNELS = ("bilinear", "nearest", "bicubic", "area", "lanczos3")


@dataclass(frozen=True)
class Tokens:
    """How a transformer's tokens lie in its layers' outputs `(n, tokens, channels)`.

    Attributes:
        prefix: how many come before those of the patches: the class token, which is the first, a distillation token, registers;
            0 where there is no class token.
        grid: rows and columns of patches, whose tokens follow row by row.
    """

    prefix: int
    grid: tuple[int, int]


@dataclass(frozen=True)
class Recipe:
    """What happens to an image besides the network.

    Attributes:
        layers: names of the layers to take.
        pooling: one of `READINGS` for each of them: over all axes but the first and the last, for tokens over the patches.
        input_shape: height and width of the uint8 images.
        size: height and width the network sees.
        resize: one of `KERNELS`.
        antialias: whether the kernel widens when an image shrinks.
        views: some of `VIEWS`, in order.
        tokens: for each layer how its tokens lie; None for maps and vectors. Empty: no layer has tokens.
        fit: one of `FITS`, how images of another aspect are brought to `size`; of images that were fitted before, `"stretch"`.
        crop_share: see `fitting.fitted`.
    """

    layers: tuple[str, ...]
    pooling: tuple[str, ...]
    input_shape: tuple[int, int]
    size: tuple[int, int]
    resize: str = "bilinear"
    antialias: bool = False
    views: tuple[str, ...] = ("identity",)
    tokens: tuple[Tokens | None, ...] = ()
    fit: Fit = "stretch"
    crop_share: float = 1.0

    def __post_init__(self) -> None:
        require_choice("input.resize", self.resize, KERNELS)
        require_choice("input.fit", self.fit, FITS)
        for pooling in self.pooling:
            require_choice("features.pooling", pooling, READINGS)
        for view in self.views:
            require_choice("input.views", view, VIEWS)
        if len(self.pooling) != len(self.layers):
            raise InvalidSetting(
                f"features.pooling must have one entry, or one per layer ({len(self.layers)}). "
                f"Received: {list(self.pooling)}."
            )
        if not self.layers or not self.views or len(set(self.layers)) < len(self.layers):
            raise InvalidSetting(
                f"backbone.layers and input.views need at least one entry and no layer twice. "
                f"Received: layers={list(self.layers)}, views={list(self.views)}."
            )
        if not 0 < self.crop_share <= 1:
            raise InvalidSetting(f"input.crop_share is above 0 and at most 1. Received: {self.crop_share!r}")

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """What becomes of the height and the width of the images."""
        return fitted(self.input_shape, self.size, self.fit, self.crop_share)


def read_shape(shape: Sequence[int], reading: str, tokens: Tokens | None) -> int:
    """Return how many numbers of one image are read of a layer.

    Args:
        shape: of a layer's output, without the first axis.
        reading: one of `READINGS`.
        tokens: how its tokens lie; None for vectors and maps.
    """
    if reading == "none":
        positions = math.prod(tokens.grid) if tokens else math.prod(shape[:-1])
        return positions * shape[-1]
    return 2 * shape[-1] if reading == "cls+patches" else shape[-1]
