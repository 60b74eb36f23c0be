"""The comparison: frozen features, fine-tuning and networks from scratch on the same images and splits."""

from collections.abc import Sequence
from typing import Any

from bottleneck_features.features.reader import Features
from bottleneck_features.models.parallel import workers
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.evaluation.predictions import PREDICTIONS_FILE
from bottleneck_features.pipeline.evaluation.scored import ScoredMethod, keep_predictions, score_method
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.method_row import display_name
from bottleneck_features.pipeline.methods.compared import Training, train_compared
from bottleneck_features.pipeline.methods.pixels import pixels_on_disk
from bottleneck_features.pipeline.results import Result


def compare(study: Study) -> Result:
    """Compare the methods of an experiment on the same images.

    `linear` is the head on the last cached layer. Every earlier layer gets a head too; the best of them by validation
    accuracy is `earlier`, and only this one is scored on the test images. `probe` is the best logistic regression of
    `bottleneck probe`. `fine-tune`, `from-pretrained` and `from-scratch` train the network itself; `convnet-…` are small
    networks trained from scratch.

    Args:
        study: the experiment, opened; its cache must be complete.

    Returns:
        The `Result`, with `methods`, `pairs` (of methods, on the same images), `duplicates` across splits,
        `confusion`, `calibration`, `histories`, `predictions` and `files`.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: one method is left, or a class has too few samples to train and to validate.
        PipelineError: a loss became NaN.
    """
    _require_two(study.experiment, study.cache)
    evaluation = study.evaluation
    with pixels_on_disk(study.dataset, study.home) as pixels, workers() as pool:
        with study.clock.phase("train"):
            trained = list(train_compared(Training(study, pixels, pool)))
        with study.clock.phase("evaluate"):
            methods = [score_method(study, one) for one in trained if one.compared]
    ruled_out = [one.method for one in trained if not one.compared]
    details: dict[str, Any] = {
        "data": study.dataset.title,
        "backbone": study.backbone,
        "images_per_second": study.images_per_second,
        "methods": [row.as_json() for row in (*(one.row for one in methods), *ruled_out)],
        "scored_on": evaluation.kind,
        "pairs": evaluation.comparisons(),
        "duplicates": study.duplicates.as_json(),
        "classes": list(study.classes),
        **_by_method(methods),
        "predictions": keep_predictions(study),
        "files": [str(study.folder / PREDICTIONS_FILE)],
    }
    return study.write(details, study.scored_warnings(details["methods"]), study.cache.key)


def _by_method(methods: Sequence[ScoredMethod]) -> dict[str, Any]:
    """Return what the result says of each method that was scored at the end, by its label."""
    return {
        "confusion": {display_name(one.row): one.confusion.tolist() for one in methods},
        "calibration": {display_name(one.row): one.calibration.as_json() for one in methods},
        "histories": {display_name(one.row): dict(one.trained.curves) for one in methods if one.trained.curves},
    }


def _require_two(experiment: Experiment, cache: Features) -> None:
    methods = [name for name in experiment.compare.methods if name != "earlier" or len(cache.layers) > 1]
    if len(methods) < 2:
        raise RequestError(
            f"compare.methods={','.join(experiment.compare.methods)} leaves one method: 'earlier' needs several "
            f"backbone.layers, and the cache has {', '.join(cache.layers)}. Name another method, or add layers."
        )
