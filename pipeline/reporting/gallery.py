"""The most confident mistakes of a method, each beside the training images nearest to it in feature space."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bottleneck_features.features import Features
from bottleneck_features.models.rows import unit_rows
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.evaluation.details import Place
from bottleneck_features.pipeline.evaluation.predictions import Predictions
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.methods.layer_rows import LayerRows
from bottleneck_features.pipeline.reporting.thumbnails import data_uris
from bottleneck_features.plain import visible

SHOWN, NEAREST = 12, 4
_SIDE = 96  # pixels of a picture
_AT_A_TIME = 512  # samples whose features are read at a time


@dataclass(frozen=True)
class Neighbour:
    """A training image near a mistake: its picture (a `data:` address), id, class, and cosine of the features."""

    image: str
    id: str
    label: str
    cosine: float


@dataclass(frozen=True)
class Mistake:
    """An image that a method got wrong.

    Attributes:
        method: its name.
        image: its picture, as a `data:` address.
        id: of the sample.
        true: its class.
        predicted: the class that the method predicted.
        confidence: its predicted probability, 0..1.
        others: the classes that the other methods predicted, by the method's name.
        neighbours: the nearest training images, the nearest first.
    """

    method: str
    image: str
    id: str
    true: str
    predicted: str
    confidence: float
    others: dict[str, str]
    neighbours: tuple[Neighbour, ...]


def most_confident_mistakes(
    dataset: Dataset, cache: Features, *, layer: str, train: Subset, predictions: Predictions, method: str
) -> list[Mistake]:
    """Find the mistakes of a method with the highest confidence.

    Args:
        dataset: the open data set.
        cache: its complete cache.
        layer: of the cache, whose features say what is near: by cosine, averaged over views and positions.
        train: the training samples.
        predictions: with the confidence of `method`.
        method: whose mistakes.

    Returns:
        At most `SHOWN` mistakes, the most confident first.
    """
    predicted, confidence = predictions.predicted[method], predictions.confidence[method]
    wrong = np.flatnonzero(predicted != predictions.labels)
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:SHOWN]
    if not len(chosen):
        return []
    queries = predictions.positions(chosen, dataset.splits[predictions.split].ids)
    near, cosines = _others(cache, layer, Subset(predictions.split, queries), train)
    places = [Place(predictions.split, int(query)) for query in queries]
    places += [Place(train.split, int(index)) for index in near.ravel()]
    images = data_uris(dataset, places, _SIDE)
    names = [visible(name) for name in dataset.class_names]
    around = _neighbours(dataset, names, split=train.split, near=near, cosines=cosines, images=images[len(queries) :])
    return [
        Mistake(
            method,
            images[row],
            visible(str(predictions.ids[one])),
            names[predictions.labels[one]],
            names[predicted[one]],
            float(confidence[one]),
            {name: names[own[one]] for name, own in predictions.predicted.items() if name != method},
            around[row],
        )
        for row, one in enumerate(chosen)
    ]


def _others(cache: Features, layer: str, queries: Subset, train: Subset) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest training images; with cross-validation a query is one of them, and is not its own neighbour."""
    if queries.split != train.split:
        return nearest_by_cosine(cache, layer, queries, train, NEAREST)
    near, cosines = nearest_by_cosine(cache, layer, queries, train, NEAREST + 1)
    own = near == queries.indices[:, None]
    own[~own.any(axis=1), -1] = True
    shape = (len(near), near.shape[1] - 1)
    return near[~own].reshape(shape), cosines[~own].reshape(shape)


def nearest_by_cosine(
    cache: Features, layer: str, queries: Subset, known: Subset, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the known samples nearest to each query by the cosine of a layer's features.

    Args:
        cache: the open cache.
        layer: one of its layers.
        queries: m samples, in any order.
        known: n samples, read a part at a time.
        count: how many; at most n are found.

    Returns:
        `(m, count)` positions in the split of `known`, the nearest first, and their `(m, count)` cosines.
    """
    count = min(count, len(known))
    wanted = unit_vectors(cache, layer, queries)
    best = np.full((len(wanted), count), -np.inf, np.float32)
    where = np.zeros((len(wanted), count), np.int64)
    for start in range(0, len(known), _AT_A_TIME):
        part = Subset(known.split, known.indices[start : start + _AT_A_TIME])
        cosines = np.concatenate([best, wanted @ unit_vectors(cache, layer, part).T], axis=1)
        places = np.concatenate([where, np.tile(part.indices, (len(wanted), 1))], axis=1)
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        best, where = np.take_along_axis(cosines, order, axis=1), np.take_along_axis(places, order, axis=1)
    return where, best


def unit_vectors(cache: Features, layer: str, part: Subset) -> np.ndarray:
    """Return the `(len(part), d)` float32 features of samples, averaged over views and positions, at unit length."""
    return unit_rows(LayerRows(cache, (layer,), part).by_sample())


def _neighbours(
    dataset: Dataset, names: Sequence[str], *, split: str, near: np.ndarray, cosines: np.ndarray, images: list[str]
) -> list[tuple[Neighbour, ...]]:
    samples, pictures = dataset.splits[split], iter(images)
    return [
        tuple(
            Neighbour(next(pictures), visible(str(samples.ids[index])), names[samples.labels[index]], float(cosine))
            for index, cosine in zip(places, values, strict=True)
        )
        for places, values in zip(near, cosines, strict=True)
    ]
