"""Builds the `SavedHead` of a scored classifier: its arrays, temperature, out-of-distribution threshold and provenance."""

from typing import Any

import keras
import numpy as np

from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.methods.classifier import Classifier
from bottleneck_features.pipeline.methods.novelty import learn_novelty
from bottleneck_features.pipeline.methods.saved_head import SavedHead
from bottleneck_features.pipeline.results import experiment_json


def build_saved_head(study: Study, method: Method, classifier: Classifier, temperature: float) -> SavedHead:
    """Return a classifier with everything that `predict` needs: `predict` reads neither the data nor the cache.

    Args:
        study: the experiment, opened.
        method: the classifier's scored row.
        classifier: what is kept.
        temperature: of its probabilities, fitted on validation images.
    """
    experiment, cache = study.experiment, study.cache
    novelty = learn_novelty(cache, method.layers, study.holdout)
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
