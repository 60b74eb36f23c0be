"""The comparison: frozen features, fine-tuning and networks from scratch on the same images and splits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bottleneck_features import models
from bottleneck_features.models.parallel import Workers, workers
from bottleneck_features.pipeline.evaluation.folded_set import FoldedSet
from bottleneck_features.pipeline.evaluation.predictions import PREDICTIONS_FILE
from bottleneck_features.pipeline.evaluation.scored import (
    ScoredMethod,
    curves_of,
    keep_predictions,
    score_details,
    score_method,
)
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.method_names import NETWORKS
from bottleneck_features.pipeline.methods.compared import (
    CHEAP,
    Training,
    compared_methods,
    methods_of_fold,
    methods_of_seed,
    train_method,
)
from bottleneck_features.pipeline.methods.cross_validation import Folding, cross_validate
from bottleneck_features.pipeline.methods.pixels import pixels_on_disk
from bottleneck_features.pipeline.methods.seeds import Seeds, spread_details
from bottleneck_features.pipeline.results import Result


def compare(study: Study, folding: Folding | None = None, seeds: Seeds | None = None) -> Result:
    """Compare the methods of an experiment on the same images.

    `head`, `logistic`, `ridge` and `knn` are classifiers of frozen features, each on the last layer or on those that are
    named (`head@A`, `logistic@A+B`). `best-probe` is the one of them that `bottleneck probe` keeps. `fine-tune`,
    `from-pretrained` and `from-scratch` train the network itself; `convnet-…` are small networks trained from scratch.

    Args:
        study: the experiment, opened; its cache must be complete.
        folding: how the training images are cross-validated: beside the test split, or in its place where there is none.
            Methods that train with Keras are cross-validated in the first repeat only.
        seeds: the other splits and trainings that the spread of each method is measured over.

    Returns:
        The `Result`, with `methods`, `pairs` (of methods, on the same images or folds), `duplicates` across splits,
        `confusion`, `calibration`, `histories`, `predictions`, `files` and, where asked for, `seeds`.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: a class has too few samples to train and to validate.
        models.ModelError: a method trains the network, and it is a file that OpenVINO runs as it is.
        PipelineError: a loss became NaN.
    """
    wanted = compared_methods(study.experiment)
    if any(one.name in NETWORKS for one in wanted):
        models.require_trainable(study.experiment.backbone.name)
    with pixels_on_disk(study.dataset, study.home) as pixels, workers() as pool:
        folded = _folded(study, folding, pixels, pool) if folding else None
        examples: dict[str, TrainedMethod] = {}  # of the first fold, of methods that are too costly to train once more
        alone = folded is not None and "test" not in study.dataset.splits
        if folded and alone:
            study = study.cross_validated(folded)
            examples = {one.label: folded.example(one.label) for one in wanted if one.name not in CHEAP}
        training = Training(study, pixels, pool, with_heads=not alone)
        with study.clock.phase("train"):
            trained = [examples.get(one.label) or train_method(training, one) for one in wanted]
        with study.clock.phase("evaluate"):
            methods = [score_method(study, one, folded) for one in trained]
        procedure, present = methods_of_seed(wanted, pixels, pool), {one.row.label: one.row for one in methods}
        spread = {"seeds": spread_details(seeds, procedure, present)} if seeds else {}
    best = max(methods, key=lambda one: study.target.rank_of(one.row))
    details: dict[str, Any] = {
        "data": study.dataset.title,
        "backbone": study.backbone,
        "images_per_second": study.images_per_second,
        "methods": [one.row.as_json() for one in methods],
        **score_details(study, folded),
        **spread,
        "pairs": study.evaluation.comparisons(best.row.label),
        "duplicates": study.duplicates.as_json(),
        "classes": list(study.classes),
        **_by_method(methods),
        "curves": curves_of(study, [one.row for one in methods]),
        "predictions": keep_predictions(study, methods),
        "files": [str(study.folder / PREDICTIONS_FILE)],
    }
    return study.write(details, study.scored_warnings(details["methods"]), study.cache.key)


def _folded(study: Study, folding: Folding, pixels: Mapping[str, np.ndarray], pool: Workers) -> FoldedSet:
    wanted = compared_methods(study.experiment)
    cheap, costly = ([one for one in wanted if (one.name in CHEAP) == cheap] for cheap in (True, False))
    with study.clock.phase("cross-validate"):
        return cross_validate(
            study, folding, methods_of_fold(cheap, pixels, pool), methods_of_fold(costly, pixels, pool)
        )


def _by_method(methods: Sequence[ScoredMethod]) -> dict[str, Any]:
    """Return what the result says of each method that was scored at the end, by its label."""
    return {
        "confusion": {one.row.label: one.confusion.tolist() for one in methods},
        "calibration": {one.row.label: one.calibration.as_json() for one in methods},
        "histories": {one.row.label: dict(one.trained.curves) for one in methods if one.trained.curves},
    }
