"""Builds the `SavedHead` of a scored classifier: its arrays, temperature, the images it has seen, and provenance."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.methods.classifier import Classifier
from bottleneck_features.pipeline.methods.layer_rows import LayerRows
from bottleneck_features.pipeline.methods.novelty import learn_novelty
from bottleneck_features.pipeline.methods.saved_head import SavedHead
from bottleneck_features.pipeline.methods.units import units_among
from bottleneck_features.pipeline.results import experiment_json

_COMPARED = 5_000  # images; Sun et al. lose next to nothing with 1 % of ImageNet
_SEED = 0


@dataclass(frozen=True)
class SeenImages:
    """Images that a model was trained on or chosen by, with which new ones are compared.

    Attributes:
        parts: the samples, each split once.
        units: `(m,)` integers, what belongs together, in the order of the parts.
    """

    parts: tuple[Subset, ...]
    units: np.ndarray


def seen_images(study: Study) -> SeenImages:
    """Return the training and validation images of a study; of more than 5,000 as many, drawn at random."""
    by_split: dict[str, list[np.ndarray]] = {}
    for part in (study.holdout.train, study.holdout.validation):
        by_split.setdefault(part.split, []).append(part.indices)
    sizes = [sum(map(len, indices)) for indices in by_split.values()]
    drawn = np.random.default_rng(_SEED).permutation(sum(sizes)) < _COMPARED
    chosen = np.split(drawn, np.cumsum(sizes)[:-1])
    parts = tuple(
        Subset(split, np.sort(np.concatenate(indices))[own])
        for (split, indices), own in zip(by_split.items(), chosen, strict=True)
        if own.any()
    )
    return SeenImages(parts, units_among(study, *parts))


def build_saved_head(
    study: Study, method: Method, classifier: Classifier, temperature: float, seen: SeenImages
) -> SavedHead:
    """Return a classifier with everything that `predict` needs: `predict` reads neither the data nor the cache.

    Args:
        study: the experiment, opened.
        method: the classifier's scored row.
        classifier: what is kept.
        temperature: of its probabilities, fitted on validation images.
        seen: from `seen_images`.
    """
    experiment, cache = study.experiment, study.cache
    novelty = learn_novelty(LayerRows(cache, method.layers, *seen.parts).by_sample(), seen.units)
    row = method.as_json()
    poolings = experiment.features.pooling
    poolings = poolings if len(poolings) == len(cache.layers) else poolings * len(cache.layers)
    recipe: dict[str, Any] = {
        "method": method.name,
        "layers": list(method.layers),
        "pooling": dict(zip(cache.layers, poolings, strict=True)),
        "views": list(cache.identity["input.views"]),
        "classes": list(cache.class_names),
        "hyperparameters": dict(method.hyperparameters),
        "temperature": temperature,
        "threshold": method.threshold,
        "image_shape": list(study.dataset.image_shape),
        "data": study.dataset.title,
        "backbone": study.backbone,
        "cache_identity": cache.identity,
        "cache_key": cache.key,
        "scored_on": study.evaluation.kind,
        "n": row["n"],
        "refitted_on": row["refitted_on"],
        "accuracy": row["accuracy"],
        "interval": row["interval"],
        "experiment": experiment_json(experiment),
    }
    return SavedHead(recipe, classifier, novelty, study.calibration)


def head_classifier(model: keras.Model) -> Classifier:
    """Return the arrays of a head that `models.build_head` made; its probabilities are averaged over the views."""
    kernel, bias = model.get_layer("classes").get_weights()
    arrays = {"coefficients": kernel.T.astype(np.float64), "intercept": bias.astype(np.float64)}
    return Classifier(arrays, len(bias), "probabilities")
