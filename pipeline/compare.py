"""The comparison: heads on cached features against ConvNets trained from scratch on the same images and splits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

import models
from features import Features
from pipeline.cache import backbone_label, data_warnings, open_cache
from pipeline.datasets import Dataset, open_dataset
from pipeline.duplicates import find_duplicates
from pipeline.evaluation import confusion, paired_comparisons, score
from pipeline.experiment import Experiment
from pipeline.extract import extraction_speed
from pipeline.pixels import pixels_on_disk
from pipeline.report import write_report
from pipeline.results import Clock, Method, Result, experiment_json, run_folder, write_result
from pipeline.splits import Holdout, Part, hold_out, scored_part
from pipeline.train_head import TrainedMethod, extraction_seconds, fit_head, score_head, scored_on, with_final_score
from pipeline.training import Recipe, RowBatches, fit, predict


def compare(experiment: Experiment, home: Path, options: tuple[str, ...] = ()) -> Result:
    """Compare the methods of an experiment on the same images.

    `linear` is the head on the last cached layer. Every earlier layer gets a head too; the best of them by validation
    accuracy is `earlier`, and only its test accuracy is looked at. `convnet-…` are trained from scratch.

    Args:
        experiment: the experiment; its cache must be complete.
        home: the artifacts folder.
        options: the command line's words, so that the report can say how to repeat it.

    Returns:
        The `Result`, with `methods`, `pairs` (of methods, on the same images), `duplicates` across splits,
        `confusion`, `histories`, `files`.

    Raises:
        RequestError: there is no cache that matches; the message names what differs.
        PipelineError: a loss became NaN.
    """
    from pipeline import plots

    clock = Clock()
    with clock.phase("open"):
        dataset = open_dataset(experiment, home)
        cache = open_cache(experiment, home, dataset)
    folder = run_folder(home, experiment.name, "compare")
    held = hold_out(dataset, experiment.head.validation_split, experiment.seed)
    part = scored_part(dataset, held)
    labels = dataset.splits[part.split].labels[part.indices]
    with clock.phase("duplicates"):
        duplicates = find_duplicates(dataset, cache, held, part)
    with pixels_on_disk(dataset, home) as pixels:
        with clock.phase("train"):
            heads = _train_heads(experiment, cache, held, extraction_seconds(experiment, home, cache))
            convnets = [
                train_convnet(experiment, dataset, pixels, held, name) for name in experiment.convnet.architectures
            ]
        with clock.phase("evaluate"):
            chosen = _choose(heads)
            scored = [_score_head(trained, cache, part) for trained in chosen]
            scored += [
                _score_convnet(trained, pixels, labels, part, experiment.convnet.batch_size) for trained in convnets
            ]
    matrices = {plots.label(method): confusion(labels, guess, len(dataset.class_names)) for method, guess in scored}
    rejected = [trained.method for trained in heads if trained not in chosen]
    with clock.phase("write"):
        tested = [duplicates.score_without(method, labels, guess) for method, guess in scored]
        histories = {plots.label(trained.method): trained.history for trained in [*chosen, *convnets]}
        files = [
            plots.comparison(tested + rejected, backbone_label(experiment), folder / "comparison.png"),
            plots.learning_curves(histories, folder / "learning-curves.png"),
            plots.confusion_matrices(matrices, dataset.class_names, folder / "confusion.png"),
        ]
    details: dict[str, Any] = {
        "data": dataset.title,
        "backbone": backbone_label(experiment),
        "images_per_second": extraction_speed(run_folder(home, experiment.name, "features"), cache.key),
        "methods": [method.as_json() for method in tested + rejected],
        "scored_on": scored_on(part),
        "pairs": paired_comparisons(labels, {method.name: guess for method, guess in scored}),
        "duplicates": duplicates.as_json(),
        "classes": list(dataset.class_names),
        "confusion": {name: matrix.tolist() for name, matrix in matrices.items()},
        "histories": {name: dict(history.curves) for name, history in histories.items()},
        "files": [str(file) for file in [*files, folder / "report.html"]],
    }
    warnings = (*data_warnings(experiment, dataset), *duplicates.warnings(details["methods"]))
    result = Result("compare", experiment_json(experiment), cache.key, clock.seconds, warnings, details, folder)
    write_report(write_result(result), options, folder / "report.html")
    return result


def train_convnet(
    experiment: Experiment, dataset: Dataset, pixels: Mapping[str, np.ndarray], held: Holdout, architecture: str
) -> TrainedMethod:
    """Train a ConvNet from scratch on the images at their own size, with the heads' training and validation images.

    Args:
        experiment: its `convnet` section is the recipe.
        dataset: the open data set.
        pixels: its images by split, uint8 `(n, height, width, 3)`.
        held: which samples train and which validate.
        architecture: `small` or `strong`.

    Returns:
        The `TrainedMethod`, scored on training and validation images only.
    """
    settings = experiment.convnet
    name = f"convnet-{architecture}"
    clock = Clock()
    with clock.phase("train"):
        keras.utils.set_random_seed(experiment.seed)
        model = _CONVNETS[architecture](dataset.image_shape, len(dataset.class_names), settings.flip)
        train, validation = (
            RowBatches(
                pixels[part.split],
                dataset.splits[part.split].labels,
                part.indices,
                settings.batch_size,
                experiment.seed,
            )
            for part in (held.train, held.validation)
        )
        recipe = Recipe(settings.epochs, settings.batch_size, settings.learning_rate, experiment.seed)
        history = fit(model, train, validation, recipe, name)
    scores, probabilities = {}, np.empty(0)
    for split, part in (("train", held.train), ("validation", held.validation)):
        probabilities = predict(model, pixels[part.split], part.indices, batch_size=settings.batch_size)
        scores[split] = score(dataset.splits[part.split].labels[part.indices], probabilities.argmax(axis=1))
    seconds = {"extract": 0.0, "train": clock.seconds["train"]}
    return TrainedMethod(Method(name, (), model.count_params(), scores, seconds), model, history, probabilities)


_CONVNETS = {
    "small": lambda shape, classes, flip: models.small_convnet(shape, classes),
    "strong": lambda shape, classes, flip: models.strong_convnet(shape, classes, flip),
}


def _train_heads(
    experiment: Experiment, cache: Features, held: Holdout, extract_seconds: float | None
) -> list[TrainedMethod]:
    *earlier, last = cache.layers
    names = [("linear", last), *(("earlier", layer) for layer in reversed(earlier))]
    return [fit_head(experiment, cache, held, layer, name, extract_seconds) for name, layer in names]


def _choose(heads: list[TrainedMethod]) -> list[TrainedMethod]:
    linear, *earlier = heads
    return [linear, *sorted(earlier, key=lambda trained: -trained.method.scores["validation"].accuracy)[:1]]


def _score_head(trained: TrainedMethod, cache: Features, part: Part) -> tuple[Method, np.ndarray]:
    method, probabilities = score_head(trained, cache, part)
    return method, probabilities.argmax(axis=1)


def _score_convnet(
    trained: TrainedMethod, pixels: Mapping[str, np.ndarray], labels: np.ndarray, part: Part, batch_size: int
) -> tuple[Method, np.ndarray]:
    predicted = predict(trained.model, pixels[part.split], part.indices, batch_size=batch_size).argmax(axis=1)
    return with_final_score(trained.method, labels, predicted, part), predicted
