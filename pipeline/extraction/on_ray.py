"""Stage one on a Ray cluster: each worker has a compiled backbone and gets one shard at a time."""

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from bottleneck_features import features, models
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.cache import cache_folders
from bottleneck_features.pipeline.extraction.extract import (
    Outputs,
    cache_writer,
    copy_rows,
    extract_shards,
    open_for_extraction,
    outputs_of,
    warn_if_machine_differs,
)
from bottleneck_features.pipeline.extraction.networks import network_of, opened_or_built
from bottleneck_features.pipeline.extraction.opened import OpenedExperiment
from bottleneck_features.pipeline.extraction.ray_workers import Cluster, WorkerPool, allocate_workers
from bottleneck_features.pipeline.progress import progress
from bottleneck_features.pipeline.results import Clock
from bottleneck_features.quiet import import_tensorflow


class Extracted(NamedTuple):
    """What a worker did for a shard: the seconds it took, the images it computed, and the rows it took from caches by name."""

    seconds: float
    images: int
    reused: Counter[str]


class ShardWorker:
    """One process of the cluster: it opens the data and compiles the backbone once, then works on shard after shard."""

    def prepare(
        self, experiment: Experiment, home: Path, here: Path, identity: dict[str, Any], cores: int, reuse: bool
    ) -> Outputs:
        """Get ready.

        Args:
            experiment: the experiment.
            home: the artifacts folder, under the path that all nodes see it by.
            here: the driver's working folder, which paths in the experiment may be relative to.
            identity: the cache's identity as the driver found it; this worker must find the same.
            cores: how many threads to compute with.
            reuse: whether rows of other caches are taken.

        Returns:
            What the extractor writes, with the versions and hardware here.

        Raises:
            PipelineError: data, weights or engine differ from the driver's.
        """
        import_tensorflow()
        models.limit_cores(cores)
        if here.is_dir():
            os.chdir(here)
        self._opened = open_for_extraction(experiment, home)
        require_same_identity(identity, self._opened)
        self._extractor = opened_or_built(network_of(self._opened))
        self._writing = ExitStack()  # never left: the process ends first, and what it holds ends with it
        self._writer: features.CacheWriter | None = None
        self._donors = cache_folders(home) if reuse else None
        return outputs_of(self._extractor, self._opened)

    def extract(self, shard: features.Shard) -> Extracted:
        """Extract a shard, write it and enter it in this process's journal."""
        start = time.perf_counter()
        opened = self._opened
        if self._writer is None:
            outputs = outputs_of(self._extractor, opened)
            self._writer = self._writing.enter_context(
                cache_writer(opened, outputs, part=features.SHARED, donors=self._donors)
            )
        batch_size = opened.experiment.compute.batch_size
        before = self._writer.reused.rows.copy()
        shards = extract_shards(self._writer, [shard], opened.dataset, self._extractor, batch_size)
        images = sum(computed for computed, _ in shards)
        return Extracted(time.perf_counter() - start, images, self._writer.reused.rows - before)


def start_workers(ray: Any, opened: OpenedExperiment, cluster: Cluster, *, reuse: bool) -> tuple[WorkerPool, int]:
    """Start the workers for an experiment on a connected cluster; returns them and how many they are."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    size, devices, cores = allocate_workers(nodes, cluster)
    worker = ray.remote(ShardWorker).options(num_cpus=cores, num_gpus=devices, scheduling_strategy="SPREAD")

    def prepare(worker: Any) -> Any:
        return worker.prepare.remote(opened.experiment, opened.home, Path.cwd(), dict(opened.identity), cores, reuse)

    return WorkerPool(ray, worker.remote, prepare, size), size


def fill_with_workers(
    pool: WorkerPool, writer: features.CacheWriter, clock: Clock
) -> tuple[int, features.Reused, list[float]]:
    """Have every pending shard extracted, with a progress bar; `clock` is as for `fill`.

    Returns:
        How many images the workers computed, what was taken from caches, and the seconds of each shard.
    """
    begun, images, reused, seconds = writer.begun_with, 0, writer.reused, list[float]()
    with progress(total=writer.total_images, initial=writer.done_images, unit="image", desc="features") as bar:
        with clock.phase("reuse"):
            for copied in copy_rows(writer):
                bar.update(copied)
        with clock.phase("extract"):
            for shard, done in pool.extract_all(writer.pending, writer.is_finished):
                bar.update(len(shard))
                if done is None:  # its worker died after it had written it
                    images += len(shard)
                else:
                    images, seconds = images + done.images, [*seconds, done.seconds]
                    reused.rows.update(done.reused)
    for machine in _unique(outputs.machine for outputs in pool.answers):
        warn_if_machine_differs(begun, machine)
    return images, reused, seconds


def _unique(machines: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list({json.dumps(machine, sort_keys=True): machine for machine in machines}.values())


def require_same_identity(identity: Mapping[str, Any], opened: OpenedExperiment) -> None:
    """Raise a PipelineError with what differs if a worker has opened other data, weights or engine than the driver."""
    differing = features.differences(identity, opened.identity)
    if not differing:
        return
    lines = "\n".join(f"  {difference}" for difference in differing)
    raise PipelineError(
        f"The worker on {socket.gethostname()} has other data, weights or settings than this process:\n{lines}\n"
        "Give all nodes the same files under the same paths. If the nodes are of different kinds, set engine and precision "
        "(--set compute.engine=… --set compute.precision=…)."
    )
