"""A study: one experiment, opened, with all that its stages share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features.features import Features
from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.errors import NoCache
from bottleneck_features.pipeline.evaluation.duplicates import Duplicates, known_duplicates
from bottleneck_features.pipeline.evaluation.evaluation_set import EvaluationSet
from bottleneck_features.pipeline.evaluation.groups import scored_groups
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset, hold_out, labels_of, scored_part
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.cache import (
    backbone_label,
    data_warnings,
    extraction_speed,
    open_cache,
)
from bottleneck_features.pipeline.results import Clock, Result, experiment_json, run_folder, write_result


@dataclass(frozen=True, eq=False)
class Study:
    """One experiment, opened. What is costly is opened, split or looked for when it is first asked for, and then kept.

    Attributes:
        experiment: the experiment.
        home: the artifacts folder.
        command: whose study it is, such as `probe`; its results go into a folder of that name.
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
    def cache(self) -> Features:
        """The features of exactly this experiment; see `open_cache` for the errors that say why there are none."""
        with self.clock.phase("open"):
            return open_cache(self.experiment, self.home, self.dataset)

    @cached_property
    def cache_if_any(self) -> Features | None:
        """The same; None where nothing has been extracted."""
        try:
            return self.cache
        except NoCache:
            return None

    @cached_property
    def held(self) -> Holdout:
        """Which samples train and which validate, the same for every method; a `RequestError` names classes too small."""
        return hold_out(self.dataset, self.experiment.head.validation_split, self.experiment.seed)

    @cached_property
    def scored(self) -> Subset:
        """The images that decide at the end: the test split, or the validation images where there is none."""
        return scored_part(self.dataset, self.held)

    @cached_property
    def duplicates(self) -> Duplicates:
        """Those of them that repeat an image learned from; without features only exact ones are found."""
        cache, held, scored = self.cache_if_any, self.held, self.scored
        with self.clock.phase("duplicates"):
            return known_duplicates(self.home, self.dataset, cache, held, scored)

    @cached_property
    def evaluation(self) -> EvaluationSet:
        """The images that decide, behind a counter."""
        groups = scored_groups(self.dataset, self.scored)
        return EvaluationSet(self.labels(self.scored), self.scored, self.duplicates, groups)

    @cached_property
    def images_per_second(self) -> float | None:
        """How fast the features were extracted; None where it is not known."""
        return extraction_speed(run_folder(self.home, self.experiment.name, "features"), self.cache.key)

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

    def labels(self, samples: Subset) -> np.ndarray:
        """Return the `(n,)` integer labels of some samples."""
        return labels_of(self.dataset, samples)

    def data_warnings(self) -> tuple[str, ...]:
        """Return what a reader of any figure must know of the data and the weights."""
        return data_warnings(self.experiment, self.dataset)

    def scored_warnings(self, methods: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Return what a reader of scores must know: of data and weights, of groups, and of images that repeat others.

        Args:
            methods: the scored rows, as results have them.
        """
        return (*self.data_warnings(), *self.evaluation.warnings(), *self.duplicates.warnings(methods))

    def write(self, details: Mapping[str, Any], warnings: Sequence[str], cache_key: str) -> Result:
        """Write the result of the command, and return it.

        Args:
            details: what the command adds to what all results have.
            warnings: sentences a reader of the figures must know.
            cache_key: of the features it is of; empty where it is of none.
        """
        settings = experiment_json(self.experiment)
        result = Result(self.command, settings, cache_key, self.clock.seconds, tuple(warnings), details, self.folder)
        write_result(result)
        return result


def open_study(experiment: Experiment, home: Path, command: str, options: tuple[str, ...] = ()) -> Study:
    """Open the data of an experiment; its features are opened when they are first used.

    Args:
        experiment: the experiment.
        home: the artifacts folder.
        command: whose study it is.
        options: the words that name the experiment on the command line.

    Raises:
        RequestError: a setting of the data is wrong.
        PipelineError: too many files cannot be used, or the data cannot be downloaded.
    """
    clock = Clock()
    with clock.phase("open"):
        dataset = open_dataset(experiment, home)
    return Study(experiment, home, command, dataset, clock, options)
