"""What a network wants instead of RGB 0..255, and how its publisher prepares photographs for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bottleneck_features.models.fitting import Fit

DIGITS = 7  # of the numbers in a key: more than float32 keeps


@dataclass(frozen=True)
class Preprocessing:
    """What happens to RGB 0..255 before the first layer: `x · scale + offset`, by channel.

    Attributes:
        scale: three factors.
        offset: three summands.
        bgr: whether the channels are turned round first, to blue, green, red; `scale` and `offset` are then of these.
    """

    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    bgr: bool = False

    @classmethod
    def standardising(
        cls, mean: Sequence[float], std: Sequence[float], scale: float = 1 / 255, bgr: bool = False
    ) -> Preprocessing:
        """Return `(x · scale − mean) / std`, as Hugging Face, timm and torchvision write it."""
        first, second, third = (scale / s for s in std)
        one, two, three = (-m / s for m, s in zip(mean, std, strict=True))
        return cls((first, second, third), (one, two, three), bgr)

    @property
    def text(self) -> str:
        """What tells it from others, for a key."""
        scale, offset = ([float(f"{value:.{DIGITS}g}") for value in values] for values in (self.scale, self.offset))
        return f"{'BGR' if self.bgr else 'RGB'} · {scale} + {offset}"

    @property
    def changes_nothing(self) -> bool:
        """Whether RGB 0..255 stays as it is."""
        return self == NAMED["none"]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return float32 images `(…, 3)` of RGB 0..255 as the network wants them."""
        ordered = images[..., ::-1] if self.bgr else images
        return (ordered * np.asarray(self.scale, np.float32) + np.asarray(self.offset, np.float32)).astype(np.float32)


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NAMED = {
    "tf": Preprocessing.standardising((1, 1, 1), (1, 1, 1), 1 / 127.5),
    "torch": Preprocessing.standardising(IMAGENET_MEAN, IMAGENET_STD),
    "caffe": Preprocessing((1, 1, 1), (-103.939, -116.779, -123.68), bgr=True),
    "none": Preprocessing((1, 1, 1), (0, 0, 0)),
}


@dataclass(frozen=True)
class Protocol:
    """How the publisher of a network prepares a photograph.

    Attributes:
        size: height and width that the network sees.
        fit: see `fitting.fitted`.
        crop_share: which share of the resized shorter side a cut-out has; 1 for all of it.
        kernel: of resizing, as `input.resize`.
    """

    size: tuple[int, int] = (224, 224)
    fit: Fit = "stretch"
    crop_share: float = 0.875
    kernel: str = "bilinear"
