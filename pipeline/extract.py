"""Stage one: run the frozen backbone over the images once and keep its bottleneck features."""

import json
import logging
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

import features
import models
from pipeline.cache import backbone_label, cache_name, cache_root, cache_url, data_warnings, experiment_identity
from pipeline.datasets import Dataset, open_dataset
from pipeline.errors import DownloadError
from pipeline.experiment import Experiment
from pipeline.progress import progress
from pipeline.results import Clock, Result, experiment_json, hardware, run_folder, versions, write_result, write_text

SPEEDS = "speeds.json"
logger = logging.getLogger(__name__)

# A shard is what a kill can cost: at most about half a minute on two slow cores, by the backbone's own cost, so that
# every run of an experiment cuts the same shards.
SECONDS_A_SHARD = 30
SLOW_GFLOP_A_SECOND = 150
LARGEST_SHARD, SMALLEST_SHARD = 1024, 32
LARGEST_SHARD_BYTES = 64 << 20  # a shard is held in memory a few times over
CALIBRATION_SEED = 0
READ_AHEAD = 2  # batches


def extract_features(
    experiment: Experiment, home: Path, wait_seconds: float = 0.0, part: features.Part = features.WHOLE
) -> Result:
    """Extract what is missing of an experiment's features, or of a part of them.

    Args:
        experiment: the experiment.
        home: the artifacts folder; the cache is made below `home/features`.
        wait_seconds: how long to wait for another run that holds the cache.
        part: which shards; runs of different parts share a cache, and the last one to finish completes it.

    Returns:
        The `Result`, with `images`, `images_per_second` of this run, `engine`, `precision`, `cache`, `part`,
        `shards_left` (those of other parts; 0 when the cache is complete) and `check` (how far the engine is from the
        float32 reference).

    Raises:
        RequestError: a setting is wrong.
        DownloadError: data or weights cannot be downloaded; both are named.
        features.CacheError: the disk is full, or another run holds the cache.
    """
    clock = Clock()
    with clock.phase("open"):
        dataset = _open_with_weights(experiment, home)
        identity = experiment_identity(experiment, dataset, home)
    path = features.cache_path(cache_root(home), cache_name(experiment), identity)
    folder, key = run_folder(home, experiment.name, "features"), features.identity_key(identity)
    if url := cache_url(experiment, path):
        with clock.phase("store"):
            features.share(url, path)
    _say_what_differs(experiment, home, identity)
    if _is_whole(path):
        nothing = {"images": 0, "images_resumed": 0, "part": str(part), "shards_left": 0}
        return _result(experiment, dataset, identity, path, clock, nothing)
    with clock.phase("compile"):
        extractor = _build(experiment, dataset)
    with _writer(experiment, dataset, extractor, path, identity, wait_seconds, part) as writer:
        done_before = writer.done_images
        _warn_of_other_versions(writer)
        with clock.phase("extract"):
            fill(writer, dataset, extractor, experiment.compute.batch_size)
        shards_left = writer.finish()
    images = writer.total_images - done_before
    _remember_speed(folder, key, images, clock.seconds["extract"])
    details = {"images": images, "images_resumed": done_before, "part": str(part), "shards_left": shards_left}
    details["check"] = extractor.check
    return _result(experiment, dataset, identity, path, clock, details)


def _result(
    experiment: Experiment,
    dataset: Dataset,
    identity: dict[str, Any],
    path: Path,
    clock: Clock,
    details: dict[str, Any],
) -> Result:
    folder, key = run_folder(path.parents[1], experiment.name, "features"), features.identity_key(identity)
    info = features.describe_cache(path)
    details = {
        **details,
        "images_per_second": extraction_speed(folder, key),
        "engine": identity["compute.engine"],
        "precision": identity["compute.precision"],
        "cache": str(path),
        "cache_mib": round(info.bytes / 2**20, 1),
        "layers": {layer: list(shape) for layer, shape in (info.shapes or {}).items()},
    }
    result = Result(
        "features", experiment_json(experiment), key, clock.seconds, data_warnings(experiment, dataset), details, folder
    )
    write_result(result)
    return result


def fill(writer: features.CacheWriter, dataset: Dataset, extractor: models.Extractor, batch_size: int) -> None:
    """Extract and write every pending shard: reader → extractor → writer, the reader and the writer in threads of their own.

    The extractor is never drained between shards. At most `READ_AHEAD` batches and two shards are in memory.
    """
    pending = list(writer.pending)
    bar = progress(total=writer.total_images, initial=writer.done_images, unit="image", desc="features")
    images = _read_ahead(dataset, _parts(pending, batch_size))
    extracted = extractor.map(images)
    with ThreadPoolExecutor(1, "shard-writer") as thread, closing(images), bar:
        writing: Future[None] | None = None
        for shard, parts in groupby(_parts(pending, batch_size), key=lambda part: part[0]):
            outputs = []
            for _ in parts:
                outputs.append(next(extracted))
                bar.update(len(next(iter(outputs[-1].values()))))
            rows = {layer: np.concatenate([output[layer] for output in outputs]) for layer in outputs[0]}
            if writing:
                writing.result()
            writing = thread.submit(writer.write, shard, rows)
        if writing:
            writing.result()


def _parts(shards: Sequence[features.Shard], batch_size: int) -> Iterator[tuple[features.Shard, np.ndarray]]:
    """Give the batches of every shard: the shard, and positions in its split."""
    for shard in shards:
        for start in range(shard.start, shard.stop, batch_size):
            yield shard, np.arange(start, min(start + batch_size, shard.stop))


def _read_ahead(
    dataset: Dataset, parts: Iterable[tuple[features.Shard, np.ndarray]]
) -> Generator[np.ndarray, None, None]:
    """Give the images of batch after batch, the next ones being read and decoded meanwhile."""
    reader = ThreadPoolExecutor(1, "image-reader")
    waiting: deque[Future[np.ndarray]] = deque()
    try:
        for shard, indices in parts:
            waiting.append(reader.submit(dataset.images, shard.split, indices))
            if len(waiting) > READ_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        reader.shutdown(cancel_futures=True)


def _writer(
    experiment: Experiment,
    dataset: Dataset,
    extractor: models.Extractor,
    path: Path,
    identity: dict[str, Any],
    wait_seconds: float,
    part: features.Part,
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
    kind = partial(features.PublishingWriter, cache_url(experiment, path)) if settings.store else features.CacheWriter
    return kind(
        path,
        identity,
        {split: features.SplitPlan(samples.ids, samples.labels) for split, samples in dataset.splits.items()},
        {layer: features.ArraySpec(shape, settings.dtype) for layer, shape in extractor.output_shapes.items()},
        dataset.class_names,
        settings.shard_size or affordable_shard(extractor),
        provenance,
        settings.compression,
        wait_seconds,
        part,
    )


def affordable_shard(extractor: models.Extractor) -> int:
    """Return how many images a shard holds: a power of two that costs at most half a minute on two cores, and 64 MiB."""
    float_bytes = 4 * sum(int(np.prod(shape)) for shape in extractor.output_shapes.values())
    by_time = SECONDS_A_SHARD * SLOW_GFLOP_A_SECOND / max(extractor.gflop_per_image, 1e-9)
    by_memory = LARGEST_SHARD_BYTES / float_bytes
    affordable = 2 ** int(np.floor(np.log2(max(1.0, min(by_time, by_memory)))))
    return min(LARGEST_SHARD, max(SMALLEST_SHARD, affordable))


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
    order = np.random.default_rng(CALIBRATION_SEED).permutation(len(dataset.splits["train"]))
    return dataset.images("train", np.sort(order[: experiment.compute.calibration]))


def _open_with_weights(experiment: Experiment, home: Path) -> Dataset:
    problems = []
    dataset = None
    try:
        dataset = open_dataset(experiment, home)
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


def _warn_of_other_versions(writer: features.CacheWriter) -> None:
    """Say when shards of other library versions or another processor are already there: low bits may differ."""
    begun = writer.begun_with
    for name, now in (("versions", versions()), ("hardware", hardware())):
        before = begun.get(name, now)
        changed = [
            f"{field} {before.get(field)} then, {now[field]} now" for field in now if before.get(field) != now[field]
        ]
        if changed:
            logger.warning("This cache was begun with other %s: %s.", name, "; ".join(changed))


def _is_whole(path: Path) -> bool:
    """Whether the cache is complete and passes the checks of opening; a damaged one is taken up again by the writer."""
    try:
        features.open_features(path)
    except features.CacheError:
        return False
    return True


def extraction_speed(folder: Path, key: str) -> float | None:
    """Return the images/s at which a cache was extracted, over all its finished runs; None when it is not known.

    Args:
        folder: the run folder of `features`.
        key: SHA-256 of the cache's identity.
    """
    images, seconds = _speeds(folder).get(key, (0, 0.0))
    return round(images / seconds, 2) if images else None


def _remember_speed(folder: Path, key: str, images: int, seconds: float) -> None:
    speeds = _speeds(folder)
    images_before, seconds_before = speeds.get(key, (0, 0.0))
    speeds[key] = (images_before + images, seconds_before + seconds)
    write_text(folder / SPEEDS, json.dumps(speeds, indent=1))


def _speeds(folder: Path) -> dict[str, tuple[int, float]]:
    try:
        return {
            key: (int(n), float(seconds)) for key, (n, seconds) in json.loads((folder / SPEEDS).read_text()).items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
