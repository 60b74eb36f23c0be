"""The map of the features: the scored images in two dimensions, by PCA and by t-SNE."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from bottleneck_features.features import Features
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.evaluation.details import Place
from bottleneck_features.pipeline.evaluation.predictions import Predictions
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.reporting.gallery import unit_vectors
from bottleneck_features.pipeline.reporting.thumbnails import sprite
from bottleneck_features.plain import visible

MOST, FEWEST = 2000, 10  # images on the map
COMPONENTS = 50  # of the PCA that t-SNE starts from, as its authors did
PERPLEXITY, ITERATIONS = 30, 500
_COLUMNS = 40  # thumbnails in a row of the sprite
SIDE_OF_FILES, SIDE_OF_ARRAYS = 48, 32  # pixels of a thumbnail
STEPS = 65_535


@dataclass(frozen=True)
class FeatureMap:
    """What the page's script draws.

    Attributes:
        shown: how many images are on it.
        of: how many were scored.
        layer: whose features.
        method: whose mistakes are marked.
        explained: the share of the variance that the two axes of the PCA have.
        data: for the script: positions and labels as little-endian uint16 in base64, names, and the sprite.
    """

    shown: int
    of: int
    layer: str
    method: str
    explained: float
    data: dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """Scored images in two dimensions.

    Attributes:
        chosen: `(m,)` which of the scored images these are, rising; every class in its proportion.
        indices: `(m,)` where they lie in their split.
        places: `(m, 2)` positions by `PCA` and by `t-SNE`.
        explained: the share of the variance that the two axes of the PCA have.
    """

    chosen: np.ndarray
    indices: np.ndarray
    places: dict[str, np.ndarray]
    explained: float


def feature_map(
    dataset: Dataset, cache: Features, *, layer: str, predictions: Predictions, method: str, seed: int
) -> FeatureMap | None:
    """Return the map of the scored images; None where they are fewer than ten, or all alike.

    Args:
        dataset: the open data set.
        cache: its complete cache.
        layer: one of the cache's layers.
        predictions: which images were scored, and their predicted classes.
        method: whose predictions are marked right or wrong.
        seed: the same seed draws the same map.
    """
    found = lay_out(cache, layer, predictions, seed)
    if found is None:
        return None
    chosen, labels = found.chosen, predictions.labels
    side = SIDE_OF_FILES if dataset.origin("train", 0) else SIDE_OF_ARRAYS
    data = {
        "maps": {name: _packed(_scaled(own)) for name, own in found.places.items()},
        "labels": _packed(labels[chosen]),
        "predicted": _packed(predictions.predicted[method][chosen]),
        "ids": [visible(str(one)) for one in predictions.ids[chosen]],
        "classes": [visible(name) for name in dataset.class_names],
        "side": side,
        "columns": _COLUMNS,
        "sprite": sprite(dataset, [Place(predictions.split, int(index)) for index in found.indices], side, _COLUMNS),
    }
    return FeatureMap(len(chosen), len(labels), visible(layer), method, found.explained, data)


def layer_of(cache: Features, method: Mapping[str, Any]) -> str:
    """Return the last layer that a method sees; the cache's last for one that sees none."""
    seen = [layer for layer in cache.layers if visible(layer) in method["layers"]]
    return (seen or cache.layers)[-1]


def lay_out(cache: Features, layer: str, predictions: Predictions, seed: int) -> Layout | None:
    """Lay at most `MOST` scored images out in two dimensions; None where they are fewer than ten, or all alike.

    Unit-length features are projected on their first principal components; t-SNE starts from the first 50 of these.

    Args:
        cache: the complete cache of the images.
        layer: one of the cache's layers.
        predictions: which images were scored.
        seed: the same seed draws the same map.

    Source: L. van der Maaten and G. Hinton, Visualizing Data using t-SNE, 2008.
    """
    if len(predictions.labels) < FEWEST:
        return None
    chosen = _spread_over_classes(predictions.labels, seed)
    indices = predictions.positions(chosen, cache[predictions.split].ids)
    rows = unit_vectors(cache, layer, Subset(predictions.split, indices))
    if not np.isfinite(rows).all() or not np.ptp(rows, axis=0).any():  # t-SNE would end the process
        return None
    return Layout(chosen, indices, *_laid_out(rows, seed))


def _spread_over_classes(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return sorted indices of at most `MOST` samples, every class in its proportion."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    evenly = np.linspace(0, len(labels) - 1, min(MOST, len(labels))).round().astype(int)
    return np.sort(by_class[evenly])


def _laid_out(rows: np.ndarray, seed: int) -> tuple[dict[str, np.ndarray], float]:
    components = min(COMPONENTS, *rows.shape)
    pca = PCA(components, random_state=seed)
    found = pca.fit_transform(rows)
    tsne = TSNE(perplexity=min(PERPLEXITY, (len(rows) - 1) / 3), max_iter=ITERATIONS, init="pca", random_state=seed)
    nearby = tsne.fit_transform(found)
    return {"PCA": found[:, :2], "t-SNE": nearby}, float(pca.explained_variance_ratio_[:2].sum())


def _scaled(places: np.ndarray) -> np.ndarray:
    """Return `(n, 2)` positions as whole numbers of 0..65535, one scale for both axes, the map in the middle."""
    low, high = places.min(axis=0), places.max(axis=0)
    middle, reach = (low + high) / 2, max(float((high - low).max()), 1e-12)
    return np.round(((places - middle) / reach + 0.5) * STEPS)


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<u2").tobytes()).decode()
