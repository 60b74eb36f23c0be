"""A study: one experiment, opened, with all that its stages share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features.features import RearrangedFeatures
from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.evaluation.duplicates import Duplicates, known_duplicates
from bottleneck_features.pipeline.evaluation.evaluation_set import EvaluationSet
from bottleneck_features.pipeline.evaluation.folded_set import FoldedSet
from bottleneck_features.pipeline.evaluation.folds import Fold
from bottleneck_features.pipeline.evaluation.groups import (
    group_numbers,
    group_warnings,
    groups_of,
    large_group_warnings,
    lone_class_warnings,
)
from bottleneck_features.pipeline.evaluation.ledger import Looks, content_digest, record_look
from bottleneck_features.pipeline.evaluation.per_class import absent_warnings
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset, hold_out, labels_of, scored_subset
from bottleneck_features.pipeline.evaluation.target import ClassTarget, class_target
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.opened import OpenedExperiment
from bottleneck_features.pipeline.resolved_experiment import resolved
from bottleneck_features.pipeline.results import Clock, Result
from bottleneck_features.quiet import import_tensorflow

_SHARED = ("identity", "cache_key", "cache_path", "cache", "cache_if_any", "target", "holdout", "scored_images")


@dataclass(frozen=True, eq=False)
class Study(OpenedExperiment):
    """An opened experiment with its splits and its evaluation set, the same for every method."""

    @cached_property
    def target(self) -> ClassTarget:
        """What is predicted, and what decides between models."""
        return class_target(self.classes, self.dataset.splits["train"].labels, self.experiment.score)

    @cached_property
    def holdout(self) -> Holdout:
        """The training and the validation samples, the same for every method; a `RequestError` names classes too small."""
        return hold_out(self.dataset, self.experiment.head.validation_split, self.experiment.seed)

    @cached_property
    def scored_images(self) -> Subset:
        """The samples of the evaluation set: the test split, or the validation images where there is none."""
        return scored_subset(self.dataset, self.holdout)

    @property
    def chooses_on_scored_images(self) -> bool:
        """Whether the images that are scored chose settings too: they are the validation images."""
        return self.scored_images is self.holdout.validation

    @cached_property
    def duplicates(self) -> Duplicates:
        """Images of the evaluation set that repeat an image used for training; without features only exact ones are found."""
        cache, holdout, scored = self.cache_if_any, self.holdout, self.scored_images
        with self.clock.phase("duplicates"):
            return known_duplicates(self.home, self.dataset, cache, holdout, scored)

    @cached_property
    def evaluation(self) -> EvaluationSet | FoldedSet:
        """The evaluation set, which scores each method once."""
        labels, groups = self.labels(self.scored_images), self.groups(self.scored_images)
        return EvaluationSet(self.target, labels, self.scored_images, self.duplicates, groups)

    def for_command(self, command: str) -> "Study":
        """Return the same study for another command, with what is open already and a clock of its own."""
        other = replace(self, command=command, clock=Clock())
        other.__dict__.update({name: value for name, value in self.__dict__.items() if name in _SHARED})
        return other

    def for_fold(self, fold: Fold) -> "Study":
        """Return the same study with the training images of a fold, scored on those that it leaves out."""
        other = self.for_command(self.command)
        other.__dict__.update(holdout=fold.holdout, scored_images=fold.scored)
        return other

    def with_features(self, network: OpenedExperiment) -> "Study":
        """Return the study of the same images, splits and target through the features of another network.

        Args:
            network: an experiment on the same images, opened.
        """
        other = replace(self, experiment=network.experiment, clock=Clock())
        same = {name: getattr(self, name) for name in ("target", "holdout", "scored_images")}
        of_network = {
            name: getattr(network, name) for name in ("identity", "cache_key", "cache_path", "recipe_key", "cache")
        }
        other.__dict__.update(same | of_network)
        return other

    def with_seed(self, seed: int) -> "Study":
        """Return the same study with another seed, of the validation split and of what is trained, on the same test images.

        Raises:
            RequestError: this seed draws no validation images of some class.
        """
        other = replace(self, experiment=replace(self.experiment, seed=seed), clock=Clock())
        other.__dict__.update(identity=self.identity, cache_key=self.cache_key, cache=self.cache, target=self.target)
        return other._without_duplicates()

    def redrawn(self, seed: int) -> "Study":
        """Return the study of another draw of the test split, where the data set is `redrawable`.

        What decides between models stays; how much each class counts follows the training images that are drawn.

        Raises:
            RequestError: this draw leaves a class without test images, or with too few to train and to validate.
        """
        dataset, settings = self.dataset.redrawn(seed), self.experiment
        drawn = replace(settings, dataset=replace(settings.dataset, split_seed=seed))
        other = replace(self, dataset=dataset, experiment=drawn, clock=Clock())
        target = class_target(self.classes, dataset.splits["train"].labels, settings.score)
        other.__dict__.update(
            identity={**self.identity, "dataset.split_seed": seed},
            cache_key=self.cache_key,
            cache=RearrangedFeatures(self.cache, dataset.places),
            target=replace(target, select=self.target.select, reason=self.target.reason),
        )
        return other._without_duplicates()

    def _without_duplicates(self) -> "Study":
        none = np.zeros(len(self.scored_images), bool)
        self.__dict__["duplicates"] = Duplicates((), none, "not looked for in other splits and trainings")
        return self

    def cross_validated(self, folded: FoldedSet) -> "Study":
        """Return the same study, scored by cross-validation instead of on an evaluation set."""
        other = replace(self)
        every = Subset("train", np.arange(len(self.dataset.splits["train"])))
        none = Duplicates((), np.zeros(len(every), bool), "images that repeat one another are in one fold")
        other.__dict__.update({name: value for name, value in self.__dict__.items() if name in _SHARED})
        other.__dict__.update(scored_images=every, evaluation=folded, duplicates=none)
        other.__dict__.update(holdout=folded.holdout or self.holdout)
        return other

    def labels(self, samples: Subset) -> np.ndarray:
        """Return the `(n,)` integer labels of some samples."""
        return labels_of(self.dataset, samples)

    def groups(self, samples: Subset) -> np.ndarray | None:
        """Return the `(n,)` numbers of the groups of some samples; None where no two are in the same one."""
        return group_numbers(groups_of(self.dataset, samples))

    def scored_warnings(self, methods: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Return warnings about the data, the weights, groups, and repeated images.

        Args:
            methods: the scored rows, as results have them.
        """
        return (*self.data_warnings(), *self.evaluation_warnings(), *self.duplicates.warnings(methods))

    def evaluation_warnings(self) -> tuple[str, ...]:
        """Return what a reader of the figures must know of folds, absent classes and groups."""
        folds = self.evaluation.warnings() if isinstance(self.evaluation, FoldedSet) else ()
        kind = "training" if folds else self.evaluation.kind
        names, labels = groups_of(self.dataset, self.scored_images), self.labels(self.scored_images)
        images = f"{kind} images"
        found = (
            *folds,
            *absent_warnings(labels, self.classes, images),
            *group_warnings(names, images),
            *lone_class_warnings(names, labels, self.classes, images),
        )
        if folds or self.chooses_on_scored_images:
            return found
        return (*found, *large_group_warnings(groups_of(self.dataset, self.holdout.validation), "validation images"))

    def write(self, details: Mapping[str, Any], warnings: Sequence[str], cache_key: str) -> Result:
        """Write the result, see `OpenedExperiment.write`; one that scored test images says how often they were looked at."""
        return super().write(*self.with_look(details, warnings), cache_key)

    def with_look(
        self, details: Mapping[str, Any], warnings: Sequence[str]
    ) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """Record that test images were scored, if they were, and return details and warnings with how often that was."""
        evaluation = self.__dict__.get("evaluation")
        if not (isinstance(evaluation, EvaluationSet) and evaluation.scorings and evaluation.kind == "test"):
            return details, tuple(warnings)
        looks = self.look_at_test(evaluation.scorings, evaluation.answers_digest())
        return {**details, "test_looks": looks.as_json()}, (*warnings, *looks.warnings())

    def look_at_test(self, methods: int, answers: str) -> Looks:
        """Record that this command scored methods on the test images, and return how often they were scored in this home.

        Args:
            methods: how many.
            answers: a text that is the same only for the same outcome.
        """
        images = content_digest(self.dataset, self.scored_images)
        return record_look(self.home, images, command=self.command, methods=methods, answers=answers)


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
    return open_data(resolved(experiment), home, command, options)


def open_data(experiment: Experiment, home: Path, command: str, options: tuple[str, ...] = ()) -> Study:
    """Open the data of an experiment for a command that needs no network; arguments and errors as for `open_study`."""
    clock = Clock()
    with clock.phase("open"):
        dataset = open_dataset(experiment, home)
    return Study(experiment, home, command, dataset, clock, options)


def open_study_with_features(experiment: Experiment, home: Path, command: str, options: tuple[str, ...] = ()) -> Study:
    """Open the data of an experiment and its features, then import TensorFlow, by which the command trains.

    Arguments as for `open_study`.

    Raises:
        NoCache: there are no such features, which is said at once.
        RequestError: a setting of the data is wrong.
        PipelineError: too many files cannot be used, or the data cannot be downloaded.
    """
    study = open_study(experiment, home, command, options)
    _ = study.cache
    import_tensorflow()
    return study
