"""Stage one: run the frozen backbone over the images once and keep its bottleneck features, here or on a Ray cluster."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features import features, models
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.extract import (
    cache_writer,
    is_complete_and_valid,
    open_for_extraction,
    say_what_differs,
    warn_of_other_machines,
)
from bottleneck_features.pipeline.extraction.filling import (
    NetworkOnDemand,
    counts,
    donors_of,
    fill_cache,
    is_whole,
    nothing_to_do,
    remember_speed_of,
)
from bottleneck_features.pipeline.extraction.on_ray import fill_with_workers, start_workers
from bottleneck_features.pipeline.extraction.opened import OpenedExperiment
from bottleneck_features.pipeline.extraction.ray_workers import Cluster, connected
from bottleneck_features.pipeline.results import Result


def extract_features(
    experiment: Experiment,
    home: Path,
    wait_seconds: float = 0.0,
    part: features.Partition = features.WHOLE,
    *,
    reuse: bool = True,
) -> Result:
    """Extract what is missing of an experiment's features, or of a part of them.

    Args:
        experiment: the experiment.
        home: the artifacts folder; the cache is made below `home/features`.
        wait_seconds: how long to wait for another run that holds the cache.
        part: which shards; runs of different parts share a cache, and the last one to finish completes it.
        reuse: whether rows of the same content and recipe in other caches are copied instead of computed.

    Returns:
        The `Result`, with `images` (forward passes of this run), `images_resumed` (of earlier runs), `images_reused` and
        `reused_from` (how many from which cache), `images_per_second` (over the runs of this recipe, see `remember_speed`),
        `engine`, `precision`, `cache`, `part`, `shards_left` (those of other parts; 0 when the cache is complete) and, unless
        there was nothing to do, `check` (how far the engine is from the float32 reference).

    Raises:
        RequestError: a setting of the data is wrong.
        models.ModelError: another setting is wrong: `UnknownBackbone`, `UnknownLayer`, `InvalidSetting`, `EngineUnavailable`,
            or a file of weights does not fit; or the engine does not compute what Keras computes (`EngineMismatch`).
        DownloadError: data or weights cannot be downloaded; both are named.
        features.CacheError: the disk is full, or another run holds the cache, or it is complete and damaged.
    """
    opened = open_for_extraction(experiment, home)
    if is_whole(opened):
        return _finished(opened, nothing_to_do(part))
    say_what_differs(opened)
    return _finished(opened, fill_cache(opened, NetworkOnDemand(opened), wait_seconds, part, reuse=reuse))


def _finished(opened: OpenedExperiment, details: Mapping[str, Any]) -> Result:
    """Write and return the result of stage one, with what is known of its cache added to the details."""
    info = features.describe_cache(opened.cache_path)
    details = {
        **details,
        "images_per_second": opened.images_per_second,
        "engine": opened.identity["compute.engine"],
        "precision": opened.identity["compute.precision"],
        "cache": str(opened.cache_path),
        "cache_mib": round(info.bytes / 2**20, 1),
        "layers": {layer: list(shape) for layer, shape in (info.shapes or {}).items()},
    }
    note = models.engine_note(opened.experiment.backbone.name)
    return opened.write(details, (*opened.data_warnings(), *([note] if note else [])), opened.cache_key)


def extract_on_ray(
    experiment: Experiment, home: Path, wait_seconds: float = 0.0, *, cluster: Cluster, reuse: bool = True
) -> Result:
    """Extract what is missing of an experiment's features with the workers of a Ray cluster.

    The shard of a worker that dies goes to another one, and a new worker takes its place.

    Args:
        experiment: the experiment.
        home: the artifacts folder, which all nodes see under this path.
        wait_seconds: how long to wait for another run that holds the cache.
        cluster: where, and with how many workers.
        reuse: as for `extract_features`.

    Returns:
        The `Result`, as from `extract_features`, with `workers`, `worker_deaths` and `shard_seconds`.

    Raises:
        RequestError: Ray is not installed, there is no such cluster, or it is too small for the workers.
        PipelineError: workers died again and again, or see other data than this process.
        As `extract_features`.
    """
    if experiment.features.store:
        raise RequestError(
            "features.store and --engine-on ray cannot be combined: Ray's workers write into one folder that all nodes see. "
            "Leave one of them out. To fill a store with many processes, use --shard I/N."
        )
    opened = open_for_extraction(experiment, home.resolve())
    clock = opened.clock
    if is_complete_and_valid(opened.cache_path):
        return _finished(opened, nothing_to_do())
    say_what_differs(opened)
    with connected(cluster.address) as ray:
        with clock.phase("compile"):
            pool, workers = start_workers(ray, opened, cluster, reuse=reuse)
            outputs = pool.first_answer()
        with ExitStack() as writing:
            with clock.phase("reuse"):
                donors = donors_of(opened, reuse)
                writer = writing.enter_context(cache_writer(opened, outputs, wait_seconds, features.SHARED, donors))
            images, reused, seconds = fill_with_workers(pool, writer, clock)
            left = writer.finish()
    warn_of_other_machines(opened, reused)
    remember_speed_of(opened, images)
    details = {**counts(writer, images, reused), "part": str(features.WHOLE), "shards_left": left}
    details |= {"check": outputs.check, "workers": workers, "worker_deaths": pool.deaths}
    return _finished(opened, {**details, "shard_seconds": _summary(seconds)})


def _summary(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    mean, deviation, longest = np.mean(seconds), np.std(seconds), np.max(seconds)
    return {"mean": float(mean), "standard_deviation": float(deviation), "longest": float(longest)}
