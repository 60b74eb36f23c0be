"""Features of images that are no data set: looked up by content in the caches of the home, computed once, and kept there."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features import features, models
from bottleneck_features.features.storage import make_folder
from bottleneck_features.pipeline.datasets.dataset import Dataset, Samples
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.extraction.cache import cache_folders, cache_root, weights_notes
from bottleneck_features.pipeline.extraction.extract import affordable_shard, fill
from bottleneck_features.pipeline.extraction.identity import backbone_label, targets_of
from bottleneck_features.pipeline.extraction.networks import WantedNetwork
from bottleneck_features.pipeline.machine import hardware, machine_kind, versions
from bottleneck_features.pipeline.results import Clock, experiment_json

SPLIT, NAME, NO_CLASS = "images", "extractor", "unlabelled"
SHOWN_AFTER = 2.0  # seconds of computing, its progress
Read = Callable[[np.ndarray], np.ndarray]  # from (m,) places to uint8 images (m, *image_shape)
Rows = Iterator[tuple[np.ndarray, Mapping[str, np.ndarray]]]
logger = logging.getLogger(__name__)


class _ByContent(Dataset):
    """Images by their content hashes, some of which are only there to be copied from other caches."""

    title, class_names = "images given to an extractor", (NO_CLASS,)

    def __init__(self, contents: np.ndarray, copied: int, image_shape: tuple[int, int, int], read: Read) -> None:
        ids = np.array([row.tobytes().hex() for row in contents])
        self.splits = {SPLIT: Samples(ids, np.zeros(len(ids), np.int64))}
        self.image_shape = image_shape
        self._contents, self._copied, self._read = contents, copied, read

    def images(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.images`."""
        if (indices < self._copied).any():
            raise PipelineError("A cache from which rows are copied was changed meanwhile. Run again.")
        return self._read(indices - self._copied)

    def contents(self, split: str, indices: np.ndarray) -> np.ndarray:
        """See `Dataset.contents`."""
        found: np.ndarray = self._contents[indices]
        return found


def first_places(contents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each content is for the first time, in order, and which of these each one is.

    Args:
        contents: `(n, 32)` uint8.
    """
    _, first, inverse = np.unique(contents, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    return first[order], ranks[inverse.reshape(-1)]


@dataclass(frozen=True, eq=False)
class KeptRows:
    """The features that a home has of images by one recipe, in caches of data sets and in those it makes for them.

    Attributes:
        wanted: the network.
        recipe: from `identity.recipe`; its key is that of the network.
    """

    wanted: WantedNetwork
    recipe: Mapping[str, Any]

    @cached_property
    def machine(self) -> str:
        """What computes here, as `machine_kind` has it."""
        return machine_kind(self.recipe["compute.engine"])

    def find(self, contents: np.ndarray) -> Rows:
        """Yield what the home has of some contents; see `features.find_rows`."""
        yield from features.find_rows(cache_folders(self.wanted.home), self.wanted.recipe_key, self.machine, contents)

    def keep(self, contents: np.ndarray, read: Read, network: Callable[[], models.Extractor]) -> None:
        """Compute what the home does not have of some contents, and write it into a cache, a shard at a time.

        Others that do so for the same recipe wait, and then find it.

        Args:
            contents: `(n, 32)` uint8, each one once.
            read: gives the images of places in `contents`.
            network: gives what computes; called if there is anything to compute.

        Raises:
            PipelineError: an image cannot be read.
            features.CacheError: the disk is full, or the home cannot be written.
            models.ModelError: see `network`.
        """
        root = cache_root(self.wanted.home)
        make_folder(root)
        with features.recipe_lock(root, self.wanted.recipe_key):
            missing = self._missing(contents)
            if len(missing):
                self._write(contents[missing], lambda places: read(missing[places]), network())

    def _missing(self, contents: np.ndarray) -> np.ndarray:
        had = np.zeros(len(contents), bool)
        for places, _ in self.find(contents):
            had[places] = True
        return np.flatnonzero(~had)

    def _write(self, contents: np.ndarray, read: Read, network: models.Extractor) -> None:
        folders, key = cache_folders(self.wanted.home), self.wanted.recipe_key
        features.repair_damaged(folders, key, SPLIT)
        taken_in = features.small_caches(folders, key, self.machine, SPLIT, len(contents))
        copied = np.concatenate([contents[:0], *taken_in.values()])
        copied = copied[first_places(copied)[0]]
        whole = np.concatenate([copied, contents])
        dataset = _ByContent(whole, len(copied), self.wanted.image_shape, read)
        writer = self._writer(dataset, network)
        _put_aside_a_broken_manifest(writer.path)
        try:
            with writer:
                fill(writer, dataset, lambda: network, network.batch_size, Clock(), delay=SHOWN_AFTER)
                writer.finish()
        except PipelineError:  # of an image that cannot be read
            if not features.describe_cache(writer.path).done_images:
                features.remove_cache(writer.path)
            raise
        for folder in taken_in:
            if folder != writer.path:
                with suppress(features.CacheError):  # somebody removes it, or writes to it
                    features.remove_cache(folder)

    def _writer(self, dataset: _ByContent, network: models.Extractor) -> features.CacheWriter:
        experiment, root = self.wanted.experiment, cache_root(self.wanted.home)
        identity = {f"dataset.{SPLIT}": dataset.fingerprint(SPLIT), **self.recipe}
        backbone = backbone_label(experiment)
        samples = dataset.splits[SPLIT]
        provenance = {
            "experiment": NAME,
            "settings": experiment_json(experiment),
            "data": dataset.title,
            "image_shape": list(dataset.image_shape),
            "backbone": backbone,
            "versions": versions(),
            "hardware": hardware(),
            "warnings": [],
            "notes": list(weights_notes(experiment)),
            "check": network.check,
        }
        return features.CacheWriter(
            features.cache_path(root, f"{NAME}-{backbone}", {**identity, "machine": self.machine}),
            identity,
            {SPLIT: features.SplitPlan(samples.ids, dataset.contents(SPLIT, np.arange(len(samples))))},
            {
                layer: features.ArraySpec(shape, experiment.features.dtype)
                for layer, shape in network.output_shapes.items()
            },
            targets_of(dataset),
            shard_size=affordable_shard(network),
            provenance=provenance,
            wait_seconds=float("inf"),
            recipe=self.wanted.recipe_key,
            machine=self.machine,
            donors=cache_folders(self.wanted.home),
        )


def _put_aside_a_broken_manifest(folder: Path) -> None:
    """Move the manifest of a cache away if it is not what was written, so that the cache is written anew."""
    if (folder / "manifest.json").exists() and features.describe_cache(folder).problem:
        report = features.repair(folder)
        logger.warning("%s The cache is made again.", "; ".join(problem.reason for problem in report.problems))
