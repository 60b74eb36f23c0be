"""What a report shows of single images: each class, the most confident mistakes, and the map of the features."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bottleneck_features.pipeline.evaluation.predictions import Predictions
from bottleneck_features.pipeline.evaluation.splits import Subset, hold_out
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.method_names import row_label
from bottleneck_features.pipeline.reporting.answer import best_method
from bottleneck_features.pipeline.reporting.feature_map import FeatureMap, feature_map, layer_of
from bottleneck_features.pipeline.reporting.gallery import Mistake, most_confident_mistakes
from bottleneck_features.pipeline.reporting.method_tables import class_table
from bottleneck_features.plain import visible


def single_images(
    study: Study, results: Mapping[str, Mapping[str, Any]], found: tuple[str, Predictions] | None
) -> dict[str, Any]:
    """Return what the page shows of single images, if a result has kept its predictions.

    Args:
        study: the experiment, opened.
        results: result objects by command.
        found: the command whose predictions are shown, and the predictions.
    """
    if found is None:
        return {"classes": [], "mistakes": [], "map": None}
    command, predictions = found
    result, names = results[command], [visible(name) for name in study.dataset.class_names]
    method = best_method(result)
    scored = predictions.positions(np.arange(len(predictions.ids)), study.dataset.splits[predictions.split].ids)
    groups = study.groups(Subset(predictions.split, scored))
    tables = [
        class_table(name, predictions.labels, predicted, names, groups)
        for name, predicted in predictions.predicted.items()
    ]
    return {
        "classes": sorted(tables, key=lambda table: table.method != row_label(method)),
        "mistakes": _mistakes(study, predictions, method, result["experiment"]),
        "map": _map(study, predictions, method),
    }


def _map(study: Study, predictions: Predictions, method: Mapping[str, Any]) -> FeatureMap | None:
    layer = layer_of(study.cache, method)
    seed = study.experiment.seed
    return feature_map(
        study.dataset, study.cache, layer=layer, predictions=predictions, method=row_label(method), seed=seed
    )


def _mistakes(
    study: Study, predictions: Predictions, method: Mapping[str, Any], made_with: Mapping[str, Any]
) -> list[Mistake]:
    """Find the mistakes, and their neighbours among the training images of the run that made them."""
    dataset, cache = study.dataset, study.cache
    holdout = hold_out(dataset, made_with["head"]["validation_split"], made_with["seed"])
    layer = layer_of(cache, method)
    return most_confident_mistakes(
        dataset, cache, layer=layer, train=holdout.train, predictions=predictions, method=row_label(method)
    )
