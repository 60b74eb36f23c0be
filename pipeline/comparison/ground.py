"""The ground that methods are compared on: who trains, who validates, who decides, and what was learned from twice."""

from dataclasses import dataclass
from pathlib import Path

from features import Features
from pipeline.comparison.duplicates import Duplicates, known_duplicates
from pipeline.comparison.final_split import FinalSplit
from pipeline.comparison.groups import groups_of
from pipeline.comparison.splits import Holdout, Part, hold_out, scored_part
from pipeline.datasets import Dataset
from pipeline.experiment import Experiment
from pipeline.results import Clock


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
    part: Part
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
    labels = dataset.splits[part.split].labels[part.indices]
    return Ground(held, part, duplicates, FinalSplit(labels, part, duplicates, groups_of(dataset, part)))
