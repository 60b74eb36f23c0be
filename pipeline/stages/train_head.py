"""Stage two: train the walk-through's head on cached features."""

from collections.abc import Sequence
from pathlib import Path

from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.evaluation.ground import Ground, common_ground, scored_warnings
from bottleneck_features.pipeline.evaluation.judged import Judged, judge, judged_details
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.cache import extraction_speed, open_cache
from bottleneck_features.pipeline.methods.head import extraction_seconds, fit_head, predict_head
from bottleneck_features.pipeline.methods.kept_head import finished_head, head_classifier
from bottleneck_features.pipeline.methods.saved_head import save_head
from bottleneck_features.pipeline.results import Clock, Result, experiment_json, label, run_folder, write_result


def train_head(experiment: Experiment, home: Path) -> Result:
    """Train the head on the last cached layer and score the test split once, if there is one.

    Args:
        experiment: the experiment; its cache must be complete.
        home: the artifacts folder.

    Returns:
        The `Result`, with `methods`, `history`, `scored_on` (`test` or `validation`), `confusion` on it (rows: true
        classes), `calibration` (before and after temperature scaling), `duplicates` across splits and `files`.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: a class has too few samples, or too few groups, to train and to validate.
        PipelineError: the loss became NaN.
    """
    clock = Clock()
    with clock.phase("open"):
        dataset = open_dataset(experiment, home)
        cache = open_cache(experiment, home, dataset)
    folder = run_folder(home, experiment.name, "train-head")
    ground = common_ground(experiment, home, dataset, cache, clock)
    with clock.phase("train"):
        seconds = extraction_seconds(experiment, home, cache)
        trained = fit_head(experiment, cache, ground.held, cache.layers[-1], "linear", seconds)
    with clock.phase("evaluate"):
        judged = judge(
            trained, ground, dataset, lambda part: predict_head(trained.model, cache, cache.layers[-1], part)
        )
    with clock.phase("write"):
        kept = finished_head(
            experiment,
            dataset,
            cache,
            ground,
            judged.method,
            head_classifier(trained.model),
            judged.calibration.temperature,
        )
        files = [save_head(kept, folder / "head.npz"), *_pictures(judged, ground, cache.class_names, folder)]
    rate = extraction_speed(run_folder(home, experiment.name, "features"), cache.key)
    details = {**judged_details(judged, ground, dataset, folder, rate), "files": [str(file) for file in files]}
    warnings = scored_warnings(experiment, dataset, ground, details["methods"])
    result = Result("train-head", experiment_json(experiment), cache.key, clock.seconds, warnings, details, folder)
    write_result(result)
    return result


def judged_pictures(judged: Judged, classes: Sequence[str], folder: Path) -> list[Path]:
    """Draw the learning curves and the confusion matrix of a classifier."""
    from bottleneck_features.pipeline import plots

    title = label(judged.method)
    return [
        plots.learning_curves({title: judged.trained.history.curves}, folder / "learning-curves.png"),
        plots.confusion_matrices({title: judged.confusion}, classes, folder / "confusion.png"),
    ]


def _pictures(judged: Judged, ground: Ground, classes: Sequence[str], folder: Path) -> list[Path]:
    from bottleneck_features.pipeline import plots

    scored_on = f"{len(ground.part):,} {ground.final.kind} images"
    title = f"{label(judged.method)} on {scored_on}; T fitted on validation"
    diagram = plots.reliability_diagram(judged.calibration.as_json(), title, folder / "reliability.png")
    return [*judged_pictures(judged, classes, folder), diagram]
