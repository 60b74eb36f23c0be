"""Stage one: run the frozen backbone over the images once and keep its bottleneck features."""

import json
import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import features
import models
from pipeline.cache import backbone_label, cache_name, cache_root, data_warnings, experiment_identity
from pipeline.datasets import Dataset, open_dataset
from pipeline.datasets.base import stratified_sample
from pipeline.errors import DownloadError
from pipeline.experiment import Experiment
from pipeline.progress import progress
from pipeline.results import Clock, Result, experiment_json, hardware, run_folder, versions, write_result

logger = logging.getLogger(__name__)

# A shard is what a kill can cost: at most about half a minute on two slow cores, by the backbone's own cost, so that
# every run of an experiment cuts the same shards.
SECONDS_A_SHARD = 30
SLOW_GFLOP_A_SECOND = 150
LARGEST_SHARD, SMALLEST_SHARD = 1024, 32


def extract_features(experiment: Experiment, home: Path, wait_seconds: float = 0.0) -> Result:
    """Extract what is missing of an experiment's features.

    Args:
        experiment: the experiment.
        home: the artifacts folder; the cache is made below `home/features`.
        wait_seconds: how long to wait for another run that holds the cache.

    Returns:
        The `Result`, with `images`, `images_per_second` of this run, `engine`, `precision`, `cache` and `check` (how far
        the engine is from the float32 reference).

    Raises:
        RequestError: a setting is wrong.
        DownloadError: data or weights cannot be downloaded; both are named.
        features.CacheError: the disk is full, or another run holds the cache.
    """
    clock = Clock()
    with clock.phase("open"):
        dataset = _open_with_weights(experiment)
        identity = experiment_identity(experiment, dataset, home)
    path = features.cache_path(cache_root(home), cache_name(experiment), identity)
    folder = run_folder(home, experiment.name, "features")
    _say_what_differs(experiment, home, identity)
    if _is_whole(path):
        return _unchanged(experiment, dataset, identity, path, folder, clock)
    with clock.phase("compile"):
        extractor = _build(experiment, dataset)
    with _writer(experiment, dataset, extractor, path, identity, wait_seconds) as writer:
        done_before = writer.done_images
        with clock.phase("extract"):
            fill(writer, dataset, extractor, experiment.compute.batch_size)
        writer.finish()
    images = writer.total_images - done_before
    details = {
        "images": images,
        "images_resumed": done_before,
        "images_per_second": round(images / clock.seconds["extract"], 2),
        "engine": extractor.engine,
        "precision": extractor.precision,
        "check": extractor.check,
        "cache": str(path),
        "cache_mib": round(features.describe_cache(path).bytes / 2**20, 1),
        "layers": {layer: list(shape) for layer, shape in extractor.output_shapes.items()},
    }
    result = Result(
        "features", experiment_json(experiment), features.identity_key(identity), clock.seconds,
        data_warnings(experiment, dataset), details, folder,
    )  # fmt: skip
    write_result(result)
    return result


def fill(writer: features.CacheWriter, dataset: Dataset, extractor: models.Extractor, batch_size: int) -> None:
    """Extract and write every pending shard: reader → extractor → writer, the writer in a thread of its own."""
    bar = progress(total=writer.total_images, initial=writer.done_images, unit="image", desc="features")
    with ThreadPoolExecutor(1, "shard-writer") as thread, bar:
        writing: Future[None] | None = None
        for shard in writer.pending:
            outputs = []
            for output in extractor.map(_batches(dataset, shard, batch_size)):
                outputs.append(output)
                bar.update(len(next(iter(output.values()))))
            rows = {layer: np.concatenate([output[layer] for output in outputs]) for layer in outputs[0]}
            if writing:
                writing.result()
            writing = thread.submit(writer.write, shard, rows)
        if writing:
            writing.result()


def _writer(
    experiment: Experiment,
    dataset: Dataset,
    extractor: models.Extractor,
    path: Path,
    identity: dict[str, Any],
    wait_seconds: float,
) -> features.CacheWriter:
    settings = experiment.features
    provenance = {
        "experiment": experiment.name,
        "settings": experiment_json(experiment),
        "data": dataset.title,
        "backbone": backbone_label(experiment),
        "versions": versions(),
        "hardware": hardware(),
        "warnings": list(data_warnings(experiment, dataset)),
        "check": extractor.check,
    }
    return features.CacheWriter(
        path,
        identity,
        {split: features.SplitPlan(samples.ids, samples.labels) for split, samples in dataset.splits.items()},
        {layer: features.ArraySpec(shape, settings.dtype) for layer, shape in extractor.output_shapes.items()},
        dataset.class_names,
        settings.shard_size or affordable_shard(extractor.gflop_per_image),
        provenance,
        settings.compression,
        wait_seconds,
    )


def affordable_shard(gflop_per_image: float) -> int:
    """Return how many images a shard holds: a power of two that costs at most about half a minute on two cores."""
    affordable = SECONDS_A_SHARD * SLOW_GFLOP_A_SECOND / max(gflop_per_image, 1e-9)
    return int(min(LARGEST_SHARD, max(SMALLEST_SHARD, 2 ** np.floor(np.log2(affordable)))))


def _batches(dataset: Dataset, shard: features.Shard, batch_size: int) -> Iterator[np.ndarray]:
    for start in range(shard.start, shard.stop, batch_size):
        yield dataset.images(shard.split, np.arange(start, min(start + batch_size, shard.stop)))


def _build(experiment: Experiment, dataset: Dataset) -> models.Extractor:
    backbone = models.load_backbone(
        experiment.backbone.name, experiment.backbone.weights, experiment.input.size, experiment.seed
    )
    engine, precision = models.resolve_engine(experiment.compute.engine, experiment.compute.precision)
    return models.build_extractor(
        backbone,
        layers=experiment.backbone.layers,
        pooling=experiment.features.pooling,
        input_shape=dataset.image_shape[:2],
        resize=experiment.input.resize,
        antialias=experiment.input.antialias,
        views=experiment.input.views,
        engine=engine,
        precision=precision,
        batch_size=experiment.compute.batch_size,
        calibration=_calibration_images(experiment, dataset) if precision == "int8" else None,
    )


def _calibration_images(experiment: Experiment, dataset: Dataset) -> np.ndarray:
    labels = dataset.splits["train"].labels
    return dataset.images("train", stratified_sample(labels, min(experiment.compute.calibration, len(labels))))


def _open_with_weights(experiment: Experiment) -> Dataset:
    problems = []
    dataset = None
    try:
        dataset = open_dataset(experiment.dataset)
    except DownloadError as error:
        problems.append(str(error))
    try:
        models.weights_identity(experiment.backbone.name, experiment.backbone.weights, experiment.seed)
    except models.WeightsUnavailable as error:
        problems.append(str(error))
    if dataset is None or problems:
        problems.append("What works without any download: make demo")
        raise DownloadError("\n".join(problems))
    return dataset


def _say_what_differs(experiment: Experiment, home: Path, identity: dict[str, Any]) -> None:
    try:
        features.find_cache(cache_root(home), cache_name(experiment), identity)
    except features.CacheMissing as missing:
        if missing.nearest:
            fields = "\n".join(f"  {difference}" for difference in missing.differences)
            logger.warning(
                "A new cache is made: the nearest one, %s, differs in\n%s", missing.nearest.path.name, fields
            )


def _is_whole(path: Path) -> bool:
    """Whether the cache is complete and passes the checks of opening; a damaged one is taken up again by the writer."""
    try:
        features.open_features(path)
    except features.CacheError:
        return False
    return True


def _unchanged(
    experiment: Experiment, dataset: Dataset, identity: dict[str, Any], path: Path, folder: Path, clock: Clock
) -> Result:
    info = features.describe_cache(path)
    key = features.identity_key(identity)
    earlier = earlier_extraction(folder, key)
    details = {
        "images": 0,
        "images_per_second": earlier.get("images_per_second"),
        "engine": identity["compute.engine"],
        "precision": identity["compute.precision"],
        "cache": str(path),
        "cache_mib": round(info.bytes / 2**20, 1),
        "layers": {layer: list(shape) for layer, shape in (info.shapes or {}).items()},
    }
    return Result(
        "features", experiment_json(experiment), key, clock.seconds, data_warnings(experiment, dataset), details, folder
    )


def earlier_extraction(folder: Path, key: str) -> dict[str, Any]:
    """Return the kept result of the extraction that made the cache `key`, or an empty dictionary when there is none."""
    try:
        kept = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if kept.get("cache_key") == key else {}
