"""Cross-validation of procedures: everything that is learned or chosen comes from a fold's own training images."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bottleneck_features.pipeline import arguments
from bottleneck_features.pipeline.dataset_settings import DEFAULT_TEST_FRACTION
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.evaluation.folded_set import FoldedSet
from bottleneck_features.pipeline.evaluation.folds import FEW, FOLDS, REPEATS, Fold, make_folds, whole_holdout
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.method_row import MOST
from bottleneck_features.pipeline.methods.units import units_among
from bottleneck_features.pipeline.progress import progress

FEWEST = 3  # units: one to train on, one to choose settings by, one to be scored
Procedure = Callable[[Study], Mapping[str, TrainedMethod]]


@dataclass(frozen=True)
class Folding:
    """How images are cross-validated: `folds` at least 2, drawn anew in each of the `repeats`."""

    folds: int = FOLDS
    repeats: int = REPEATS


def folding_of(study: Study, folds: int | None, repeats: int | None) -> Folding | None:
    """Return how a study is cross-validated, or None.

    Without being asked for it is where no test split was given or asked for and a drawn one would have under 100 images, and
    beside a test split of under 100 images, unless `dataset.limit` has made the data small.

    Args:
        study: the experiment, opened.
        folds: asked for, from 2 to 1,000; 0: no cross-validation.
        repeats: asked for, from 1 to 1,000.

    Raises:
        RequestError: there are no such numbers of folds or repeats, or repeats without folds.
    """
    if folds is not None:
        folds = arguments.whole_number("folds", folds, 2, MOST, zero="none")
    if repeats is not None:
        repeats = arguments.whole_number("repeats", repeats, 1, MOST)
    if folds == 0 or (folds is None and not _says_little(study)):
        if repeats is not None:
            raise RequestError("repeats goes with folds, such as 10 repeats of 5 folds.")
        return None
    return Folding(folds or FOLDS, repeats or REPEATS)


def _says_little(study: Study) -> bool:
    settings, splits = study.experiment.dataset, study.dataset.splits
    if settings.limit:
        return False
    if "test" in splits:
        return len(splits["test"]) < FEW
    return settings.test_fraction is None and DEFAULT_TEST_FRACTION * len(splits["train"]) < FEW


def cross_validate(
    study: Study, folding: Folding, procedure: Procedure, costly: Procedure | None = None, title: str = "folds"
) -> FoldedSet:
    """Run procedures once per fold, and score what they make on the images that the fold leaves out.

    Args:
        study: the experiment, opened.
        folding: how.
        procedure: makes models, by name, of a study whose training images are those of a fold.
        costly: makes others, in the first repeat only.
        title: shown in the progress bar.

    Raises:
        RequestError: there are too few groups or different pictures.
    """
    units = training_units(study)
    if len(np.unique(units)) < FEWEST:
        raise RequestError(
            f"Cross-validation needs at least {FEWEST} groups or different pictures, to train, to choose and to score. "
            f"The {len(units):,} training images are of {len(np.unique(units)):,}. Change dataset.group, or add images."
        )
    every = Subset("train", np.arange(len(study.dataset.splits["train"])))
    found = FoldedSet(study.target, study.labels(every), every, units, _whole(study, every, units))
    with progress(total=folding.folds * folding.repeats, desc=title, unit="fold") as bar:
        for fold in folds_of(study, folding, units):
            own = study.for_fold(fold)
            steps = [procedure, *([costly] if costly and fold.repeat == 0 else [])]
            for step in steps:
                for name, trained in step(own).items():
                    found.add(name, fold, trained)
            bar.update()
    return found


def _whole(study: Study, every: Subset, units: np.ndarray) -> Holdout | None:
    """Return a hold-out of the training images that parts no unit; None where the study's own parts none."""
    train, validation = study.holdout.train, study.holdout.validation
    if validation.split != every.split or not np.isin(units[validation.indices], units[train.indices]).any():
        return None
    settings = study.experiment
    share, seed = settings.head.validation_split, settings.seed
    return whole_holdout(every, study.labels(every), units, validation=share, seed=seed)


def folds_of(study: Study, folding: Folding, units: np.ndarray) -> Iterator[Fold]:
    """Give the folds of a study; where the data have a validation split it chooses the settings of every fold."""
    experiment, validation = study.experiment, study.dataset.splits.get("validation")
    folds = make_folds(
        "train",
        study.dataset.splits["train"].labels,
        units,
        validation=experiment.head.validation_split,
        seed=experiment.seed,
        folds=folding.folds,
        repeats=folding.repeats,
    )
    with_own = partial(_validated_on, Subset("validation", np.arange(len(validation)))) if validation else None
    return map(with_own, folds) if with_own else folds


def _validated_on(validation: Subset, fold: Fold) -> Fold:
    parts = fold.holdout.train, fold.holdout.validation
    train = Subset("train", np.sort(np.concatenate([part.indices for part in parts])))
    return replace(fold, holdout=Holdout(train, validation))


def training_units(study: Study) -> np.ndarray:
    """Return the `(n,)` numbers of what stays together in folds: groups, and images that repeat one another."""
    return units_among(study, Subset("train", np.arange(len(study.dataset.splits["train"]))))
