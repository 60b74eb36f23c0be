"""Trains the pre-trained network itself, on the splits of the frozen methods."""

import os
from pathlib import Path
from typing import Any

from bottleneck_features.features import Features
from bottleneck_features.models.weights import file_digest
from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.errors import NoCache
from bottleneck_features.pipeline.evaluation.ground import common_ground, scored_warnings
from bottleneck_features.pipeline.evaluation.judged import judge, judged_details
from bottleneck_features.pipeline.experiment import Experiment, with_random_weights
from bottleneck_features.pipeline.extraction.cache import backbone_label, open_cache
from bottleneck_features.pipeline.methods.network import _starts_from_probe, train_network
from bottleneck_features.pipeline.methods.pixels import pixel_probabilities, pixels_on_disk
from bottleneck_features.pipeline.results import Clock, Result, experiment_json, run_folder, write_result
from bottleneck_features.pipeline.stages.train_head import judged_pictures


def fine_tune(experiment: Experiment, home: Path, method: str = "fine-tune") -> Result:
    """Train the network and score the test split once, if there is one.

    Args:
        experiment: its `finetune` section is the recipe; the layer the new last layer stands on is the last of
            `backbone.layers`.
        home: the artifacts folder.
        method: one of `NETWORKS`; see `train_network`.

    Returns:
        The `Result`, with `methods`, `history`, `scored_on`, `confusion` (rows: true classes), `calibration` and `files`.

    Raises:
        NoCache: there is no cache, which the linear probe needs that `fine-tune` starts from.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: a class has too few samples, or too few groups, to train and to validate.
        models.ModelError: the backbone, `finetune.from_layer` or the weights are not to be had, or another setting is wrong.
        PipelineError: the loss became NaN.
    """
    clock = Clock()
    with clock.phase("open"):
        dataset = open_dataset(experiment, home)
        cache = _cache(experiment, home, dataset, method)
    folder = run_folder(home, experiment.name, method)
    ground = common_ground(experiment, home, dataset, cache, clock)
    with pixels_on_disk(dataset, home) as pixels:
        with clock.phase("train"):
            trained = train_network(experiment, home, dataset, pixels, ground.held, method, cache)
        with clock.phase("evaluate"):
            probabilities = pixel_probabilities(trained.model, pixels, experiment.finetune.batch_size)
            judged = judge(trained, ground, dataset, probabilities)
    with clock.phase("write"):
        unnamed = folder / f".model~{os.getpid()}.keras"
        trained.model.save(unnamed)
        pictures = judged_pictures(judged, dataset.class_names, folder)
    started = with_random_weights(experiment) if method == "from-scratch" else experiment
    details: dict[str, Any] = {
        "data": dataset.title,
        "backbone": backbone_label(started),
        **judged_details(judged, ground, dataset, folder, None),
        "model_sha256": file_digest(unnamed),
        "files": [str(file) for file in (folder / "model.keras", *pictures)],
    }
    warnings = scored_warnings(started, dataset, ground, details["methods"])
    key = cache.key if cache else ""
    result = Result(method, experiment_json(experiment), key, clock.seconds, warnings, details, folder)
    unnamed.replace(folder / "model.keras")
    write_result(result)
    return result


def _cache(experiment: Experiment, home: Path, dataset: Dataset, method: str) -> Features | None:
    """The cache of the experiment; None where there is none and the method does not start from a probe on it."""
    try:
        return open_cache(experiment, home, dataset)
    except NoCache:
        if _starts_from_probe(experiment, method):
            raise
        return None
