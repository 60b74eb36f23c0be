"""The comparison: frozen features, fine-tuning and networks from scratch on the same images and splits."""

from collections.abc import Sequence
from typing import Any

from bottleneck_features.models.parallel import workers
from bottleneck_features.pipeline.evaluation.predictions import PREDICTIONS_FILE
from bottleneck_features.pipeline.evaluation.scored import ScoredMethod, keep_predictions, score_method
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.methods.compared import Training, train_compared
from bottleneck_features.pipeline.methods.pixels import pixels_on_disk
from bottleneck_features.pipeline.results import Result


def compare(study: Study) -> Result:
    """Compare the methods of an experiment on the same images.

    `head`, `logistic`, `ridge` and `knn` are classifiers of frozen features, each on the last layer or on those that are
    named (`head@A`, `logistic@A+B`). `best-probe` is the one of them that `bottleneck probe` keeps. `fine-tune`,
    `from-pretrained` and `from-scratch` train the network itself; `convnet-…` are small networks trained from scratch.

    Args:
        study: the experiment, opened; its cache must be complete.

    Returns:
        The `Result`, with `methods`, `pairs` (of methods, on the same images), `duplicates` across splits,
        `confusion`, `calibration`, `histories`, `predictions` and `files`.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: a class has too few samples to train and to validate.
        PipelineError: a loss became NaN.
    """
    evaluation = study.evaluation
    with pixels_on_disk(study.dataset, study.home) as pixels, workers() as pool:
        with study.clock.phase("train"):
            trained = list(train_compared(Training(study, pixels, pool)))
        with study.clock.phase("evaluate"):
            methods = [score_method(study, one) for one in trained]
    details: dict[str, Any] = {
        "data": study.dataset.title,
        "backbone": study.backbone,
        "images_per_second": study.images_per_second,
        "methods": [one.row.as_json() for one in methods],
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
        "confusion": {one.row.label: one.confusion.tolist() for one in methods},
        "calibration": {one.row.label: one.calibration.as_json() for one in methods},
        "histories": {one.row.label: dict(one.trained.curves) for one in methods if one.trained.curves},
    }
