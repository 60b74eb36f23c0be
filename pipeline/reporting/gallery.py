"""The most confident mistakes of a method, the surest beside the training images nearest to them in feature space."""

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

EXPLAINED, NEAREST = 12, 4  # mistakes that have their nearest training images beside them, and how many
MOST, OF_A_PAIR = 160, 8  # mistakes on the page, and those of one class that were taken for one other class
SIDE, NEAR_SIDE = 96, 64  # pixels of a picture
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
        image: its picture, as a `data:` address.
        id: of the sample.
        true: the number of its class.
        predicted: the number of the class that the method predicted.
        confidence: its predicted probability, 0..1.
        others: the classes that the other methods predicted, by the method's name.
        neighbours: the nearest training images, the nearest first; of the surest mistakes only.
    """

    image: str
    id: str
    true: int
    predicted: int
    confidence: float
    others: dict[str, str]
    neighbours: tuple[Neighbour, ...]


def mistakes(
    dataset: Dataset, cache: Features, *, layer: str, train: Subset, predictions: Predictions, method: str
) -> list[Mistake]:
    """Find the mistakes of a method with the highest confidence, of each two classes that are confused `OF_A_PAIR` at most.

    Args:
        dataset: the open data set.
        cache: its complete cache.
        layer: of the cache, whose features say what is near: by cosine, averaged over views and positions.
        train: the training samples.
        predictions: with the confidence of `method`.
        method: whose mistakes.

    Returns:
        At most `MOST` mistakes, the most confident first.
    """
    chosen = _surest(predictions, method)
    if not len(chosen):
        return []
    places = predictions.positions(chosen, dataset.splits[predictions.split].ids)
    near, cosines = _others(cache, layer, Subset(predictions.split, places[:EXPLAINED]), train)
    images = data_uris(dataset, [Place(predictions.split, int(place)) for place in places], SIDE)
    beside = data_uris(dataset, [Place(train.split, int(index)) for index in near.ravel()], NEAR_SIDE)
    names = [visible(name) for name in dataset.class_names]
    around = _neighbours(dataset, names, split=train.split, near=near, cosines=cosines, images=beside)
    return [
        Mistake(
            image,
            visible(str(predictions.ids[row])),
            int(predictions.labels[row]),
            int(predictions.predicted[method][row]),
            float(predictions.confidence[method][row]),
            {name: names[own[row]] for name, own in predictions.predicted.items() if name != method},
            neighbours,
        )
        for row, image, neighbours in zip(chosen, images, [*around, *[()] * len(chosen)], strict=False)
    ]


def _surest(predictions: Predictions, method: str) -> np.ndarray:
    """Return rows of wrong answers, the surest first: at most `MOST`, and `OF_A_PAIR` of the same true and predicted class."""
    predicted, labels = predictions.predicted[method], predictions.labels
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-predictions.confidence[method][wrong], kind="stable")]
    counts: dict[tuple[int, int], int] = {}
    kept = []
    for row, pair in zip(
        wrong.tolist(), zip(labels[wrong].tolist(), predicted[wrong].tolist(), strict=True), strict=True
    ):
        counts[pair] = counts.get(pair, 0) + 1
        if counts[pair] <= OF_A_PAIR:
            kept.append(row)
    return np.array(kept[:MOST], int)


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
