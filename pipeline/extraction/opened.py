"""An experiment, opened: its data, the cache that its features belong in, and where its results go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features import features
from bottleneck_features.models.input_check import cautions
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.sources.embedded import DATA_NOTES
from bottleneck_features.pipeline.errors import NoCache
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.cache import (
    cache_root,
    image_warnings,
    open_cache,
    protocol_notes,
    weights_notes,
    weights_warnings,
)
from bottleneck_features.pipeline.extraction.calibration import calibration_images
from bottleneck_features.pipeline.extraction.identity import backbone_label, cache_name, experiment_identity, recipe
from bottleneck_features.pipeline.extraction.speeds import extraction_speed
from bottleneck_features.pipeline.kept_experiments import note_contents
from bottleneck_features.pipeline.results import Clock, Result, experiment_json, run_folder, write_result


@dataclass(frozen=True, eq=False)
class OpenedExperiment:
    """One experiment, opened. Expensive parts are made on first use, and then kept.

    Attributes:
        experiment: the experiment.
        home: the artifacts folder.
        command: what it is opened for, such as `probe`; its results go into a folder of that name.
        dataset: the open data set.
        clock: the seconds of the command, by phase.
        options: the words that name the experiment on the command line, so that results can say how to repeat them.
    """

    experiment: Experiment
    home: Path
    command: str
    dataset: Dataset
    clock: Clock
    options: tuple[str, ...] = field(default=())

    @cached_property
    def folder(self) -> Path:
        """Where the results go."""
        return run_folder(self.home, self.experiment.name, self.command)

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """Everything that changes the features' numbers, by the name of the setting it comes from."""
        with self.clock.phase("open"):
            return experiment_identity(self.experiment, self.dataset, self.calibration)

    @cached_property
    def calibration(self) -> np.ndarray | None:
        """The images that an int8 network is calibrated on, uint8; None for other precisions."""
        return calibration_images(self.experiment, self.dataset, self.home)

    @cached_property
    def cache_key(self) -> str:
        """SHA-256 of the identity."""
        return features.identity_key(self.identity)

    @cached_property
    def recipe_key(self) -> str:
        """SHA-256 of all that the features of an image depend on besides the image and the machine."""
        return features.identity_key(recipe(self.experiment, self.dataset.identity, self.calibration))

    @cached_property
    def cache_path(self) -> Path:
        """The folder of the cache, whether it is there or not."""
        return features.cache_path(cache_root(self.home), cache_name(self.experiment), self.identity)

    @cached_property
    def cache(self) -> features.Features:
        """The complete features of exactly this experiment; `open_cache` lists the errors."""
        identity = self.identity
        with self.clock.phase("open"):
            return open_cache(self.experiment, self.home, identity)

    @cached_property
    def cache_if_any(self) -> features.Features | None:
        """The same; None where nothing has been extracted."""
        try:
            return self.cache
        except NoCache:
            return None

    @property
    def images_per_second(self) -> float | None:
        """How fast features of this recipe are computed, over all runs in this home; None where it is not known."""
        return extraction_speed(self.home, self.recipe_key)

    @property
    def extraction_seconds(self) -> float | None:
        """How long extracting the whole cache takes at that speed."""
        rate = self.images_per_second
        return sum(len(split) for split in self.cache.values()) / rate if rate else None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(self.dataset.class_names)

    @property
    def backbone(self) -> str:
        """The backbone's name as results show it."""
        return backbone_label(self.experiment)

    def data_warnings(self) -> tuple[str, ...]:
        """Return warnings about the data, the weights and what the network makes of the numbers it gets."""
        return (*weights_warnings(self.experiment), *self.image_warnings(), *self.cautions)

    def image_warnings(self) -> tuple[str, ...]:
        """Return warnings about the data alone."""
        return (*image_warnings(self.dataset), *self._changes)

    @property
    def cautions(self) -> tuple[str, ...]:
        """What the network makes of the numbers it gets, where that is not as it should be."""
        check = features.describe_cache(self.cache_path).provenance.get("check")
        backbone = self.experiment.backbone
        if not isinstance(check, Mapping):
            return ()
        return cautions(check, backbone.name, raw_is_asked=backbone.preprocessing == "none")

    @property
    def notes(self) -> tuple[str, ...]:
        """What intervals are for, of embedded data; where the weights come from, and their licence, if the command uses them."""
        data = DATA_NOTES.get(self.experiment.dataset.source)
        own = (data,) if data else ()
        if self.command == "from-scratch":
            return own
        return (*own, *weights_notes(self.experiment), *protocol_notes(self.experiment))

    @cached_property
    def _changes(self) -> tuple[str, ...]:
        return note_contents(self.home, self.experiment, self.dataset)

    def write(self, details: Mapping[str, Any], warnings: Sequence[str], cache_key: str) -> Result:
        """Write the result of the command, and return it.

        Args:
            details: what the command adds to what all results have.
            warnings: sentences that a reader of the figures must know.
            cache_key: of the features it is of; empty where it is of none.
        """
        settings = experiment_json(self.experiment)
        result = Result(
            self.command, settings, cache_key, self.clock.seconds, tuple(warnings), details, self.folder, self.notes
        )
        write_result(result)
        return result
