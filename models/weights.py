"""Which weights a backbone is asked to have, and exactly which bytes they are."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from bottleneck_features.models.errors import InvalidSetting
from bottleneck_features.models.preprocessing import Preprocessing
from bottleneck_features.models.sources import WeightsIdentity, find_source, named_source


def weights_identity(name: str, weights: str = "imagenet", seed: int = 0) -> WeightsIdentity:
    """Find, or download, the weights of a backbone; local files need no TensorFlow.

    Args:
        name: a backbone, see `find_source`.
        weights: `"imagenet"` (those that its publisher ships; of a file or folder its own), `"random"` or the path of a weights
            file.
        seed: seed of random weights.

    Returns:
        The identity of the weights.

    Raises:
        UnknownBackbone: if there is no such backbone.
        BackboneFileError: if it names a file that is not there.
        WeightsUnavailable: if published weights are neither here nor to be had.
        InvalidSetting: if `weights` is neither of the two words nor a file that exists.
    """
    source = find_source(name)
    if weights == "random":
        digest = hashlib.sha256(f"random:{source.architecture()}:{seed}".encode()).hexdigest()
        return WeightsIdentity("random", digest, None, "random weights, not pre-trained")
    return source.own_weights() if weights == "imagenet" else source.file_weights(_weights_file(weights))


def preprocessing_text(name: str, asked: Preprocessing | None = None) -> str:
    """Return what happens to RGB 0..255 before the first layer, for the key.

    Args:
        name: a backbone, see `find_source`.
        asked: by `backbone.preprocessing`; None for `auto`.

    Raises:
        UnknownBackbone: if there is no such backbone.
        InvalidSetting: if it has its own, or nothing says which it needs.
    """
    return named_source(name).preprocessing_text(asked)


def require_backbone(name: str) -> None:
    """Check that a backbone of this name can exist.

    Raises:
        UnknownBackbone: if it means nothing.
        BackboneFileError: if it is the path of something that is not there.
    """
    find_source(name)


def require_trainable(name: str) -> None:
    """Check that a backbone can be trained on and exported.

    Raises:
        InvalidSetting: if it cannot; says why.
        ModelError: see `find_source`.
    """
    if reason := find_source(name).trainable:
        raise InvalidSetting(reason)


def _weights_file(weights: str) -> Path:
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    if path.suffix or os.sep in weights:
        raise InvalidSetting(f"There is no weights file '{weights}'. Set backbone.weights to a file that exists.")
    raise InvalidSetting(
        f"backbone.weights must be 'imagenet', 'random' or the path of a weights file. Received: weights='{weights}'."
    )
