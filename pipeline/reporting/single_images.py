"""What a report shows of single images: a few by chance, each class, mistakes, thresholds, repeats, and the map."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bottleneck_features.pipeline.evaluation.details import Place
from bottleneck_features.pipeline.evaluation.predictions import Predictions
from bottleneck_features.pipeline.evaluation.splits import Subset, hold_out
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.method_names import row_label, row_title
from bottleneck_features.pipeline.method_row import CROSS_VALIDATED
from bottleneck_features.pipeline.reporting.answer import best_method
from bottleneck_features.pipeline.reporting.class_images import sample_rows, typical_rows, wrong_rows
from bottleneck_features.pipeline.reporting.feature_map import FeatureMap, feature_map, layer_of
from bottleneck_features.pipeline.reporting.gallery import OF_A_PAIR, Mistake, mistakes
from bottleneck_features.pipeline.reporting.method_tables import class_table
from bottleneck_features.pipeline.reporting.thresholds import Thresholds, thresholds
from bottleneck_features.pipeline.reporting.thumbnails import data_uris
from bottleneck_features.plain import visible

_PARTS = (
    "sample_images", "classes", "class_images", "mistakes", "mistaken", "of_a_pair", "map", "thresholds", "threshold_data",
)  # fmt: skip
SAMPLE_SIDE, CLASS_SIDE = 112, 56  # pixels


@dataclass(frozen=True)
class Thumbnail:
    """A scored image: its picture (a `data:` address), id, the numbers of its class and of the predicted one, confidence."""

    image: str
    id: str
    true: int
    predicted: int
    confidence: float


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
        return dict.fromkeys(_PARTS)
    command, predictions = found
    result, names = results[command], [visible(name) for name in study.dataset.class_names]
    method = best_method(result)
    scored = predictions.positions(np.arange(len(predictions.ids)), study.dataset.splits[predictions.split].ids)
    groups = study.groups(Subset(predictions.split, scored))
    titles = {row_label(row): row_title(row) for row in result["methods"]}
    tables = [
        class_table(titles.get(name, name), predictions.labels, predicted, names, groups)
        for name, predicted in predictions.predicted.items()
    ]
    moved = _thresholds(result, predictions, method, groups)
    return {
        "sample_images": _thumbnails(
            study, predictions, row_label(method), sample_rows(predictions, study.experiment.seed)
        ),
        "classes": sorted(tables, key=lambda table: table.method != row_title(method)),
        "class_images": _class_images(study, predictions, method),
        "mistaken": int((predictions.predicted[row_label(method)] != predictions.labels).sum()),
        "of_a_pair": OF_A_PAIR,
        "mistakes": _mistakes(study, predictions, method, result["experiment"]),
        "map": _map(study, predictions, method),
        "thresholds": moved,
        "threshold_data": moved and moved.for_script(),
    }


def _thumbnails(
    study: Study, predictions: Predictions, method: str, rows: np.ndarray, side: int = SAMPLE_SIDE
) -> list[Thumbnail]:
    positions = predictions.positions(rows, study.dataset.splits[predictions.split].ids)
    images = data_uris(study.dataset, [Place(predictions.split, int(one)) for one in positions], side)
    labels, predicted, confidence = (
        column.tolist()
        for column in (predictions.labels, predictions.predicted[method], predictions.confidence[method])
    )
    return [
        Thumbnail(image, visible(str(predictions.ids[row])), labels[row], predicted[row], confidence[row])
        for image, row in zip(images, rows, strict=True)
    ]


def _class_images(
    study: Study, predictions: Predictions, method: Mapping[str, Any]
) -> list[tuple[list[Thumbnail], list[Thumbnail]]]:
    """Return typical and wrong images of each class; each image is decoded once."""
    label, dataset = row_label(method), study.dataset
    typical = typical_rows(
        dataset,
        study.cache,
        layer=layer_of(study.cache, method),
        predictions=predictions,
        method=label,
        seed=study.experiment.seed,
    )
    wrong = wrong_rows(predictions, label, len(dataset.class_names))
    rows = np.unique(np.concatenate([*typical, *wrong]))
    known = dict(zip(rows.tolist(), _thumbnails(study, predictions, label, rows, CLASS_SIDE), strict=True))
    return [
        ([known[row] for row in right.tolist()], [known[row] for row in other.tolist()])
        for right, other in zip(typical, wrong, strict=True)
    ]


def _thresholds(
    result: Mapping[str, Any], predictions: Predictions, method: Mapping[str, Any], groups: np.ndarray | None
) -> Thresholds | None:
    """Return the thresholds; none where one class is absent, and none where every fold's model has its own."""
    label = row_label(method)
    curves, calibration = result.get("curves", {}).get(label), result.get("calibration") or {}
    if len(result["classes"]) == 2 and curves is None:
        return None
    if result["scored_on"] == CROSS_VALIDATED and method.get("threshold") is not None:
        return None
    temperature = calibration.get(label, calibration).get("temperature", 1.0)
    return thresholds(predictions, method, curves, temperature, groups)


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
    return mistakes(dataset, cache, layer=layer, train=holdout.train, predictions=predictions, method=row_label(method))
