"""Which images a trained model was trained on, as far as the artifacts folder knows: the content hashes in its features."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features import features
from bottleneck_features.pipeline.extraction.cache import cache_root
from bottleneck_features.pipeline.use.saved_model import SavedModel

LEARNED = ("train", "validation")  # validation images chose settings, and the temperature


def training_contents(model: SavedModel, home: Path) -> np.ndarray | None:
    """Return the content hashes of the images that a model was trained on and chosen by.

    Any features of the same images know them, whatever network they are of.

    Args:
        model: the model.
        home: the artifacts folder.

    Returns:
        `(n, 32)` uint8; None where no features in this home are of these images.
    """
    for info in features.list_caches(cache_root(home)):
        if not info.complete or not _are_of(info.identity or {}, model.known):
            continue
        try:
            cache = features.open_features(info.path)
            found = np.concatenate([cache[split].contents for split in LEARNED if split in cache])
        except features.CacheError:
            continue
        return found[found.any(axis=1)]
    return None


def _are_of(identity: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    trained = known["cache_identity"]
    if "dataset.train" in trained:
        return all(identity.get(key) == trained.get(key) for key in (f"dataset.{split}" for split in LEARNED))
    return bool(known["cache_key"]) and features.identity_key(identity) == known["cache_key"]
