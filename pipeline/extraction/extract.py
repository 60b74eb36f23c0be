"""Stage one: run the frozen backbone over the images once and keep its bottleneck features."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bottleneck_features import features, models
from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.errors import DownloadError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.cache import cache_root, cache_url
from bottleneck_features.pipeline.extraction.calibration import keep_calibration
from bottleneck_features.pipeline.extraction.identity import cache_name, targets_of
from bottleneck_features.pipeline.extraction.networks import describe_network, network_of
from bottleneck_features.pipeline.extraction.opened import OpenedExperiment
from bottleneck_features.pipeline.extraction.read_ahead import read_ahead
from bottleneck_features.pipeline.machine import hardware, machine_kind, versions
from bottleneck_features.pipeline.progress import progress
from bottleneck_features.pipeline.resolved_experiment import resolved
from bottleneck_features.pipeline.results import Clock, experiment_json

logger = logging.getLogger(__name__)

# A kill can cost one shard: at most about half a minute on two slow cores. The size follows from the backbone's own cost,
# so that every run of an experiment has the same shards.
SECONDS_A_SHARD = 30
SLOW_GFLOP_A_SECOND = 150
LARGEST_SHARD, SMALLEST_SHARD = 1024, 32
LARGEST_SHARD_BYTES = 64 << 20  # a shard is held in memory a few times over


@dataclass(frozen=True)
class Outputs:
    """What a cache writer needs to know about an extractor.

    Attributes:
        shapes: of one image's features, by layer.
        shard_size: images per shard.
        check: how far the engine is from the float32 reference, by layer.
        machine: `versions` and `hardware` of its process, which determine the low bits.
        kind: names what of these does: two machines of one kind give the same bits.
    """

    shapes: Mapping[str, tuple[int, ...]]
    shard_size: int
    check: Mapping[str, Mapping[str, float]]
    machine: Mapping[str, Mapping[str, Any]]
    kind: str


def open_for_extraction(experiment: Experiment, home: Path) -> OpenedExperiment:
    """Open an experiment for extraction: one message names all data and weights that cannot be downloaded.

    Raises:
        RequestError: a setting of the data is wrong.
        models.ModelError: the backbone, the weights or the engine are not available.
        DownloadError: data or weights cannot be downloaded; both are named.
    """
    clock = Clock()
    with clock.phase("open"):
        dataset = _dataset_and_weights(experiment, home)
        experiment = resolved(experiment)
        keep_calibration(experiment, dataset, home)
    return OpenedExperiment(experiment, home, "features", dataset, clock)


def fill(
    writer: features.CacheWriter,
    dataset: Dataset,
    build_extractor: Callable[[], models.Extractor],
    batch_size: int,
    clock: Clock,
    delay: float = 0.0,
    title: str = "features",
) -> int:
    """Extract and write every pending shard, with a progress bar.

    Args:
        writer: of the cache.
        dataset: where the images come from.
        build_extractor: called if there is anything to compute; its extractor takes batches of `batch_size`.
        batch_size: images per batch.
        clock: has the seconds of copying rows as `reuse`, those of computing as `extract`.
        delay: seconds before the progress bar is shown.
        title: of the progress bar.

    Returns:
        How many images were extracted.
    """
    computed = 0
    with progress(total=writer.total_images, initial=writer.done_images, unit="image", desc=title, delay=delay) as bar:
        with clock.phase("reuse"):
            for copied in copy_rows(writer):
                bar.update(copied)
        if shards := writer.pending:
            extractor = build_extractor()
            with clock.phase("extract"):
                for images, reused in extract_shards(writer, shards, dataset, extractor, batch_size):
                    computed += images
                    bar.update(images + reused)
    return computed


def copy_rows(writer: features.CacheWriter) -> Iterator[int]:
    """Write the pending shards all of whose rows other caches have; yield how many rows each one has."""
    for shard in writer.pending:
        if not writer.lacks(shard) and not len((draft := writer.draft(shard)).missing):
            writer.write(shard, draft.filled({}))
            yield len(shard)


def extract_shards(
    writer: features.CacheWriter,
    shards: Sequence[features.Shard],
    dataset: Dataset,
    extractor: models.Extractor,
    batch_size: int,
) -> Iterator[tuple[int, int]]:
    """Extract and write shards: reader → extractor → writer, the reader and the writer in threads of their own.

    The extractor is never drained between shards. At most `READ_AHEAD + 1` batches that were read, `extractor.in_flight`
    in the extractor, and the shards that these are of with one more are in memory.

    Args:
        writer: of the cache; the shards are pending in it.
        shards: in the order in which they are written.
        dataset: where the images come from.
        extractor: takes batches of `batch_size`.
        batch_size: images per batch; no batch reaches into the next shard.

    Yields:
        How many images a batch had, as each is extracted, and how many rows of its shard were had already, with the last
        batch of it. All shards are on disk when there are no more.
    """
    drafts: deque[features.Draft] = deque()
    images = read_ahead(dataset.images, _parts(writer, shards, batch_size, drafts))
    outputs: list[Mapping[str, np.ndarray]] = []
    with ThreadPoolExecutor(1, "shard-writer") as thread, closing(images):
        writing: Future[None] | None = None
        for output in chain(extractor.map(images), [None]):
            if output is not None:
                outputs.append(output)
                yield _length(output), 0
            while drafts and (output is None or sum(map(_length, outputs)) == len(drafts[0].missing)):
                draft = drafts.popleft()
                if writing:
                    writing.result()
                writing = thread.submit(_write, writer, draft, outputs)
                outputs = []
                yield 0, len(draft.shard) - len(draft.missing)
        if writing:
            writing.result()


def _length(output: Mapping[str, np.ndarray]) -> int:
    return len(next(iter(output.values())))


def _write(writer: features.CacheWriter, draft: features.Draft, outputs: Sequence[Mapping[str, np.ndarray]]) -> None:
    computed = {layer: np.concatenate([output[layer] for output in outputs]) for layer in outputs[0]} if outputs else {}
    writer.write(draft.shard, draft.filled(computed))


def _parts(
    writer: features.CacheWriter, shards: Sequence[features.Shard], batch_size: int, drafts: deque[features.Draft]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the batches of what is to be extracted, a split and positions in it; each shard's draft goes to `drafts` before."""
    for shard in shards:
        draft = writer.draft(shard)
        drafts.append(draft)
        for start in range(0, len(draft.missing), batch_size):
            yield shard.split, shard.start + draft.missing[start : start + batch_size]


class Described(Protocol):
    """What is known of a network that extracts: an extractor, or the description of one that was kept."""

    @property
    def output_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """See `models.Extractor`."""

    @property
    def check(self) -> Mapping[str, Mapping[str, float]]:
        """See `models.Extractor`."""

    @property
    def gflop_per_image(self) -> float:
        """See `models.Extractor`."""


def outputs_of(network: Described, opened: OpenedExperiment) -> Outputs:
    """Return what a network writes for an experiment."""
    shard_size = opened.experiment.features.shard_size or affordable_shard(network)
    machine = {"versions": versions(), "hardware": hardware()}
    return Outputs(
        network.output_shapes, shard_size, network.check, machine, machine_kind(opened.identity["compute.engine"])
    )


def outputs_known(opened: OpenedExperiment) -> Outputs | None:
    """Return what the network that was kept for an experiment writes; None where it is to be built to know."""
    kept = describe_network(network_of(opened))
    return outputs_of(kept, opened) if kept else None


def _section(provenance: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return a part of what a cache says of its making, which can come from anyone; {} where there is no such part."""
    found: Any = provenance
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def cache_writer(
    opened: OpenedExperiment,
    outputs: Outputs,
    wait_seconds: float = 0.0,
    part: features.Partition = features.WHOLE,
    donors: Sequence[Path] | None = None,
) -> features.CacheWriter:
    """Return the writer of an experiment's cache, or of a part of it, still to be entered; arguments as it has them."""
    experiment, dataset, settings = opened.experiment, opened.dataset, opened.experiment.features
    provenance = {
        "experiment": experiment.name,
        "settings": experiment_json(experiment),
        "data": dataset.title,
        "image_shape": list(dataset.image_shape),
        "backbone": opened.backbone,
        **outputs.machine,
        "warnings": list(opened.data_warnings()),
        "notes": list(opened.notes),
        "check": outputs.check,
    }
    url = cache_url(experiment, opened.cache_path)
    kind = partial(features.PublishingWriter, url) if url else features.CacheWriter
    return kind(
        opened.cache_path,
        opened.identity,
        {split: _plan(dataset, split) for split in dataset.splits},
        {layer: features.ArraySpec(shape, settings.dtype) for layer, shape in outputs.shapes.items()},
        targets_of(dataset),
        shard_size=outputs.shard_size,
        provenance=provenance,
        compression=settings.compression,
        wait_seconds=wait_seconds,
        part=part,
        recipe=opened.recipe_key,
        machine=outputs.kind,
        donors=donors,
    )


def _plan(dataset: Dataset, split: str) -> features.SplitPlan:
    samples = dataset.splits[split]
    return features.SplitPlan(samples.ids, dataset.contents(split, np.arange(len(samples))))


def affordable_shard(network: Described) -> int:
    """Return how many images a shard holds: a power of two that costs at most half a minute on two cores, and 64 MiB."""
    float_bytes = 4 * sum(int(np.prod(shape)) for shape in network.output_shapes.values())
    by_time = SECONDS_A_SHARD * SLOW_GFLOP_A_SECOND / max(network.gflop_per_image, 1e-9)
    by_memory = LARGEST_SHARD_BYTES / float_bytes
    affordable = 2 ** int(np.floor(np.log2(max(1.0, min(by_time, by_memory)))))
    return min(LARGEST_SHARD, max(SMALLEST_SHARD, affordable))


def _dataset_and_weights(experiment: Experiment, home: Path) -> Dataset:
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
        problems.append("This works without any download: make demo")
        raise DownloadError("\n".join(problems))
    return dataset


def say_what_differs(opened: OpenedExperiment) -> None:
    """Log how the nearest cache differs, if the experiment makes a new one; of the same recipe its rows are taken instead."""
    try:
        features.find_cache(cache_root(opened.home), cache_name(opened.experiment), opened.identity)
    except features.CacheMissing as missing:
        if missing.nearest and missing.nearest.recipe != opened.recipe_key:
            fields = "\n".join(f"  {difference}" for difference in missing.differences)
            logger.warning(
                "A new cache is created: the most similar one, %s, differs in\n%s", missing.nearest.path.name, fields
            )


def warn_if_machine_differs(begun: Mapping[str, Any], current: Mapping[str, Any]) -> None:
    """Warn if the cache has shards from other library versions or another processor: low bits may differ.

    Args:
        begun: `versions` and `hardware` of the process that began the cache.
        current: those of the process that continues it.
    """
    for name, now in current.items():
        before = _section(begun, name) or now
        changed = [
            f"{field} {before.get(field)} then, {now[field]} now" for field in now if before.get(field) != now[field]
        ]
        if changed:
            logger.warning("This cache was begun with other %s: %s.", name, "; ".join(changed))


def warn_of_other_machines(opened: OpenedExperiment, reused: features.Reused) -> None:
    """Say which rows of other caches were computed again because another kind of machine had made them."""
    here = {"processor": hardware()["processor"], **versions()}
    for name, rows in reused.other_machine.items():
        made = features.describe_cache(cache_root(opened.home) / name).provenance
        there = {"processor": _section(made, "hardware").get("processor"), **_section(made, "versions")}
        changed = [
            f"{field} {there[field]} there, {here[field]} here"
            for field in here
            if there.get(field, here[field]) != here[field]
        ]
        logger.warning(
            "The features of %s images in %s were not used: another kind of machine made them (%s), so low bits may differ.",
            f"{rows:,}",
            name,
            "; ".join(changed) or "other instructions of the processor",
        )


def is_complete_and_valid(path: Path) -> bool:
    """Whether the cache is complete and passes the checks of opening; if it does not, the writer continues it.

    Raises:
        features.CacheDamaged: it passes them, but a shard is not what was written.
    """
    try:
        features.open_features(path)
    except features.CacheError:
        return False
    features.require_unchanged(path)
    return True
