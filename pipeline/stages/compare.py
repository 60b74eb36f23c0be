"""The comparison: frozen features, fine-tuning and networks from scratch on the same images and splits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bottleneck_features.features import Features
from bottleneck_features.models.parallel import workers
from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.evaluation.ground import Ground, common_ground, keep_predictions, scored_warnings
from bottleneck_features.pipeline.evaluation.predictions import FILE
from bottleneck_features.pipeline.evaluation.splits import labels_of
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.cache import backbone_label, extraction_speed, open_cache
from bottleneck_features.pipeline.methods.contestants import Arena, Contestant, contestants
from bottleneck_features.pipeline.methods.pixels import pixels_on_disk
from bottleneck_features.pipeline.results import Clock, Method, Result, experiment_json, label, run_folder, write_result
from bottleneck_features.pipeline.stages.report import Subject, page_of, write_report


def compare(experiment: Experiment, home: Path, options: tuple[str, ...] = ()) -> Result:
    """Compare the methods of an experiment on the same images.

    `linear` is the head on the last cached layer. Every earlier layer gets a head too; the best of them by validation
    accuracy is `earlier`, and only its test accuracy is looked at. `probe` is the best logistic regression of
    `bottleneck probe`. `fine-tune`, `from-pretrained` and `from-scratch` train the network itself; `convnet-…` are small
    networks trained from scratch.

    Args:
        experiment: the experiment; its cache must be complete.
        home: the artifacts folder.
        options: the command line's words, so that the report can say how to repeat it.

    Returns:
        The `Result`, with `methods`, `pairs` (of methods, on the same images), `duplicates` across splits,
        `confusion`, `calibration`, `histories`, `predictions`, and `files`, the report last.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: one method is left, or a class has too few samples to train and to validate.
        PipelineError: a loss became NaN.
    """
    clock = Clock()
    with clock.phase("open"):
        dataset = open_dataset(experiment, home)
        cache = open_cache(experiment, home, dataset)
    folder = run_folder(home, experiment.name, "compare")
    _require_two(experiment, cache)
    ground = common_ground(experiment, home, dataset, cache, clock)
    with pixels_on_disk(dataset, home) as pixels, workers() as team:
        with clock.phase("train"):
            trained = list(contestants(Arena(experiment, home, dataset, cache, pixels, ground, team)))
        with clock.phase("evaluate"):
            entered = [one for one in trained if one.entered]
            tested = [ground.final.score(one.method, one.probabilities) for one in entered]
    subject = Subject(experiment, home, options, dataset, cache)
    details: dict[str, Any] = {
        "data": dataset.title,
        "backbone": backbone_label(experiment),
        "images_per_second": extraction_speed(run_folder(home, experiment.name, "features"), cache.key),
        "methods": [method.as_json() for method in (*tested, *(one.method for one in trained if not one.entered))],
        **_scored(tested, entered, ground, dataset),
        "predictions": keep_predictions(ground, dataset, folder),
        "files": [str(folder / FILE), str(page_of(subject))],
    }
    warnings = scored_warnings(experiment, dataset, ground, details["methods"])
    result = Result("compare", experiment_json(experiment), cache.key, clock.seconds, warnings, details, folder)
    write_result(result)
    write_report(subject)
    return result


def _scored(
    tested: Sequence[Method], entered: Sequence[Contestant], ground: Ground, dataset: Dataset
) -> dict[str, Any]:
    """What the result says of the methods that were scored at the end."""
    final, checked = ground.final, labels_of(dataset, ground.held.validation)
    return {
        "scored_on": final.kind,
        "pairs": final.comparisons(),
        "duplicates": ground.duplicates.as_json(),
        "classes": list(dataset.class_names),
        "confusion": {label(own): final.confusion(own.name, len(dataset.class_names)).tolist() for own in tested},
        "calibration": {
            label(one.method): final.calibration(one.method.name, (checked, one.validation_probabilities)).as_json()
            for one in entered
        },
        "histories": {label(one.method): dict(one.history.curves) for one in entered if one.history},
    }


def _require_two(experiment: Experiment, cache: Features) -> None:
    methods = [name for name in experiment.compare.methods if name != "earlier" or len(cache.layers) > 1]
    if len(methods) < 2:
        raise RequestError(
            f"compare.methods={','.join(experiment.compare.methods)} leaves one method: 'earlier' needs several "
            f"backbone.layers, and the cache has {', '.join(cache.layers)}. Name another method, or add layers."
        )
