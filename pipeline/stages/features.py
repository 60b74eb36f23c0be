"""TODO."""

from pathlib import Path

from bottleneck_features import features
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.cache import (
    cache_url,
    remember_speed,
)
from bottleneck_features.pipeline.extraction.extract import (
    build,
    fill,
    finished,
    is_whole,
    job_writer,
    nothing_to_do,
    open_job,
    outputs_of,
    say_what_differs,
    warn_of_others,
)
from bottleneck_features.pipeline.results import (
    Clock,
    Result,
)


def extract_features(
    experiment: Experiment, home: Path, wait_seconds: float = 0.0, part: features.Partition = features.WHOLE
) -> Result:
    """Extract what is missing of an experiment's features, or of a part of them.

    Args:
        experiment: the experiment.
        home: the artifacts folder; the cache is made below `home/features`.
        wait_seconds: how long to wait for another run that holds the cache.
        part: which shards; runs of different parts share a cache, and the last one to finish completes it.

    Returns:
        The `Result`, with `images` of this run, `images_per_second` (over all runs that made this cache), `engine`,
        `precision`, `cache`, `part`, `shards_left` (those of other parts; 0 when the cache is complete) and, unless there was
        nothing to do, `check` (how far the engine is from the float32 reference).

    Raises:
        RequestError: a setting of the data is wrong.
        models.ModelError: another setting is wrong: `UnknownBackbone`, `UnknownLayer`, `InvalidSetting`, `EngineUnavailable`,
            or a file of weights does not fit; or the engine does not compute what Keras computes (`EngineMismatch`).
        DownloadError: data or weights cannot be downloaded; both are named.
        features.CacheError: the disk is full, or another run holds the cache, or it is complete and damaged.
    """
    clock = Clock()
    with clock.phase("open"):
        job = open_job(experiment, home)
    shared = True
    if url := cache_url(experiment, job.path):
        with clock.phase("store"):
            shared = features.share(url, job.path)
    say_what_differs(job)
    if shared and is_whole(job.path):
        return finished(job, clock, nothing_to_do(part))
    with clock.phase("compile"):
        extractor = build(job)
        outputs = outputs_of(extractor, experiment)
    with job_writer(job, outputs, wait_seconds, part) as writer:
        done_before = writer.done_images
        warn_of_others(writer.begun_with, outputs.machine)
        with clock.phase("extract"):
            fill(writer, job.dataset, extractor, experiment.compute.batch_size)
        shards_left = writer.finish()
    images = writer.total_images - done_before
    remember_speed(job.folder, job.key, images, clock.seconds["extract"])
    details = {"images": images, "images_resumed": done_before, "part": str(part), "shards_left": shards_left}
    return finished(job, clock, {**details, "check": outputs.check})
