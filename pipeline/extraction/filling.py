"""Makes the features of an experiment whole, in this process: what is missing is copied from other caches or computed."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bottleneck_features import features, models
from bottleneck_features.pipeline.extraction.cache import cache_folders, cache_url
from bottleneck_features.pipeline.extraction.extract import (
    cache_writer,
    fill,
    is_complete_and_valid,
    outputs_known,
    outputs_of,
    warn_if_machine_differs,
    warn_of_other_machines,
)
from bottleneck_features.pipeline.extraction.networks import describe_network, network_of, opened_or_built
from bottleneck_features.pipeline.extraction.opened import OpenedExperiment
from bottleneck_features.pipeline.extraction.speeds import remember_speed


@dataclass
class NetworkOnDemand:
    """Opens or compiles the network of an experiment, when it is first called.

    Attributes:
        opened: the experiment.
        extractor: the network, once it was asked for.
    """

    opened: OpenedExperiment
    extractor: models.Extractor | None = None

    def __call__(self) -> models.Extractor:
        """Return the network."""
        if self.extractor is None:
            with self.opened.clock.phase("compile"):
                self.extractor = opened_or_built(network_of(self.opened))
        return self.extractor

    @property
    def gflop_per_image(self) -> float | None:
        """The work for one image, a multiply-add counted as two; None where the network neither is here nor was kept."""
        known = self.extractor or describe_network(network_of(self.opened))
        return known.gflop_per_image if known else None


def is_whole(opened: OpenedExperiment) -> bool:
    """Return whether the features are all there, after a look into the object store, if the experiment has one.

    Raises:
        features.CacheDamaged: a shard is not what was written.
        features.StoreError: the object store does not answer.
    """
    shared = True
    if url := cache_url(opened.experiment, opened.cache_path):
        with opened.clock.phase("store"):
            shared = features.share(url, opened.cache_path)
    return shared and is_complete_and_valid(opened.cache_path)


def fill_cache(
    opened: OpenedExperiment,
    build: Callable[[], models.Extractor],
    wait_seconds: float = 0.0,
    part: features.Partition = features.WHOLE,
    *,
    reuse: bool = True,
    title: str = "features",
) -> dict[str, Any]:
    """Compute and write what is missing of an experiment's features, or of a part of them.

    Args:
        opened: the experiment; its features are not whole, see `is_whole`.
        build: such as a `NetworkOnDemand`; called where something must be computed, or the shape of features is not known.
        wait_seconds: how long to wait for another run that holds the cache.
        part: which shards.
        reuse: whether rows of the same content and recipe in other caches are copied instead of computed.
        title: of the progress bar.

    Returns:
        The details of a result: what `counts` returns, `part`, `shards_left` and `check`.

    Raises:
        models.ModelError: the network cannot be built.
        features.CacheError: the disk is full, or another run holds the cache, or a part of it is damaged.
    """
    clock = opened.clock
    outputs = outputs_known(opened) or outputs_of(build(), opened)
    with ExitStack() as writing:
        with clock.phase("reuse"):
            writer = writing.enter_context(cache_writer(opened, outputs, wait_seconds, part, donors_of(opened, reuse)))
        warn_if_machine_differs(writer.begun_with, outputs.machine)
        images = fill(writer, opened.dataset, build, opened.experiment.compute.batch_size, clock, title=title)
        shards_left = writer.finish()
    warn_of_other_machines(opened, writer.reused)
    remember_speed_of(opened, images)
    return {
        **counts(writer, images, writer.reused),
        "part": str(part),
        "shards_left": shards_left,
        "check": outputs.check,
    }


def nothing_to_do(part: features.Partition = features.WHOLE) -> dict[str, Any]:
    """Return the details of a result where the cache was there already."""
    return {
        "images": 0,
        "images_resumed": 0,
        "images_reused": 0,
        "reused_from": {},
        "part": str(part),
        "shards_left": 0,
    }


def donors_of(opened: OpenedExperiment, reuse: bool) -> list[Path] | None:
    """Return the folders of the caches that rows may be taken from; None where everything is to be computed."""
    return cache_folders(opened.home) if reuse else None


def counts(writer: features.CacheWriter, images: int, reused: features.Reused) -> dict[str, Any]:
    """Return how many images were computed, and where the others come from."""
    taken = sum(reused.rows.values())
    return {
        "images": images,
        "images_resumed": writer.total_images - images - taken,
        "images_reused": taken,
        "reused_from": {name: count for name, count in sorted(reused.rows.items()) if count},
    }


def remember_speed_of(opened: OpenedExperiment, images: int) -> None:
    """Remember how fast so many images of an experiment were computed."""
    seconds = opened.clock.seconds.get("extract", 0.0)
    remember_speed(opened.home, opened.recipe_key, images, seconds, opened.experiment.compute.batch_size)
