"""The ground that methods are compared on: who trains, who validates, who decides, and what was learned from twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bottleneck_features.features import Features
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.evaluation.duplicates import Duplicates, known_duplicates
from bottleneck_features.pipeline.evaluation.final_split import FinalSplit
from bottleneck_features.pipeline.evaluation.groups import groups_of
from bottleneck_features.pipeline.evaluation.predictions import save_predictions
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset, hold_out, labels_of, scored_part
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.cache import data_warnings
from bottleneck_features.pipeline.results import Clock


@dataclass(frozen=True)
class Ground:
    """Which samples do what, the same for every method.

    Attributes:
        held: which train and which validate.
        part: which are scored at the end.
        duplicates: those of them that repeat a sample learned from.
        final: `part` behind its counter.
    """

    held: Holdout
    part: Subset
    duplicates: Duplicates
    final: FinalSplit


def common_ground(experiment: Experiment, home: Path, dataset: Dataset, cache: Features | None, clock: Clock) -> Ground:
    """Return the ground of an experiment's methods.

    Args:
        experiment: its validation share and seed are used.
        home: the artifacts folder.
        dataset: the open data set.
        cache: its features; without them only exact duplicates are found.
        clock: gets the phase `duplicates`.

    Raises:
        RequestError: a class has too few samples, or too few groups, to train and to validate.
    """
    held = hold_out(dataset, experiment.head.validation_split, experiment.seed)
    part = scored_part(dataset, held)
    with clock.phase("duplicates"):
        duplicates = known_duplicates(home, dataset, cache, held, part)
    return Ground(
        held, part, duplicates, FinalSplit(labels_of(dataset, part), part, duplicates, groups_of(dataset, part))
    )


def keep_predictions(ground: Ground, dataset: Dataset, folder: Path) -> dict[str, Any]:
    """Write what every scored method answered to each image, and return what results say of it."""
    return save_predictions(ground.final.predictions(dataset.splits[ground.part.split].ids), folder)


def scored_warnings(
    experiment: Experiment, dataset: Dataset, ground: Ground, methods: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    """Return what a reader of scores must know: of the data and the weights, of groups, and of images learned from twice.

    Args:
        experiment: with the weights that were used.
        dataset: the open data set.
        ground: what was scored on.
        methods: the scored rows, as results have them.
    """
    return (*data_warnings(experiment, dataset), *ground.final.warnings(), *ground.duplicates.warnings(methods))
