"""How much a figure owes to the split and to the training: the same procedure with other splits, and with other seeds."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter
from scipy.stats import chi2

from bottleneck_features.foreign import read_json
from bottleneck_features.pipeline import arguments
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.evaluation.evaluation_set import EvaluationSet
from bottleneck_features.pipeline.evaluation.splits import digest
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.figures import CONFIDENCE
from bottleneck_features.pipeline.machine import versions
from bottleneck_features.pipeline.method_row import MOST, Method
from bottleneck_features.pipeline.methods.cross_validation import Procedure
from bottleneck_features.pipeline.progress import progress
from bottleneck_features.pipeline.results import experiment_json, write_text

LARGEST_SEED = 2**32 - 1
_VALUES = TypeAdapter(dict[str, float])


@dataclass(frozen=True)
class Seeds:
    """The splits and trainings of a spread; the first of both are those of the study itself.

    Attributes:
        study: the experiment, opened.
        splits: split seeds; empty where the test split is not drawn.
        trainings: seeds of the validation split and of what is trained.
        test_images: how many there are in each split.
    """

    study: Study
    splits: tuple[int, ...]
    trainings: tuple[int, ...]
    test_images: tuple[int, ...]

    @property
    def steps(self) -> int:
        """How many runs there are beside that of the study."""
        return len(self.splits[1:]) + len(self.trainings[1:])


def seeds_of(study: Study, count: int | None) -> Seeds | None:
    """Return the splits and trainings that a spread is measured over, or None where none is asked for.

    Args:
        study: the experiment, opened.
        count: how many of each, from 2 to 1,000.

    Raises:
        RequestError: there is no such number, there are no test images, or a class is too small in one of the splits.
    """
    if count is None:
        return None
    if count == 1:
        raise RequestError("seeds takes 2 or more: one figure has no spread. Received: 1")
    count = arguments.whole_number("seeds", count, 2, MOST)
    if "test" not in study.dataset.splits:
        raise RequestError(
            f"--seeds scores test images, and {study.dataset.title} has none. Without a test split --folds 5 --repeats 10 "
            "draws the images anew ten times; of image files --set dataset.test_fraction=0.2 draws a test split."
        )
    settings = study.experiment
    splits = _following(settings.dataset.split_seed, count) if study.dataset.redrawable else ()
    trainings = _following(settings.seed, count)
    counts = [len(_redrawn(study, seed).scored_images) for seed in splits[1:]]
    for seed in trainings[1:]:
        _trained_anew(study, seed)
    return Seeds(study, splits, trainings, (len(study.scored_images), *counts))


def spread_details(seeds: Seeds, procedure: Procedure, present: Mapping[str, Method]) -> dict[str, Any]:
    """Run a procedure on every split and with every seed, and return what results say of the spread under `seeds`.

    Each is scored once and is a look at test images, as the ledger counts them. What an interrupted run has scored is kept until
    the spread is whole, and is not made again.

    Args:
        seeds: from `seeds_of`.
        procedure: makes methods, by name, of a study.
        present: the scored rows of the study itself, by the same names.
    """
    study, measure = seeds.study, seeds.study.target.compared
    kept = study.folder / "seeds"
    first = {name: row.figure("test", measure).value for name, row in present.items()}
    with study.clock.phase("seeds"), progress(total=seeds.steps, desc="splits and trainings", unit="run") as bar:

        def values(other: Study) -> Mapping[str, float]:
            found = _values(other, procedure, tuple(present), kept)
            bar.update()
            return found

        splits = [first, *(values(_redrawn(study, seed)) for seed in seeds.splits[1:])]
        trainings = [first, *(values(_trained_anew(study, seed)) for seed in seeds.trainings[1:])]
    shutil.rmtree(kept, ignore_errors=True)
    return {
        "n": len(seeds.trainings),
        "measure": measure,
        "protocol": _protocol(seeds),
        "not_redrawn": "" if seeds.splits else why_not_redrawn(study.dataset),
        "split_seeds": list(seeds.splits),
        "training_seeds": list(seeds.trainings),
        "test_images": list(seeds.test_images),
        "methods": [
            {
                "name": name,
                "splits": _spread([own[name] for own in splits]) if seeds.splits else None,
                "trainings": _spread([own[name] for own in trainings]),
            }
            for name in present
        ],
    }


def why_not_redrawn(dataset: Dataset) -> str:
    """Return why a data set has no other splits, as a sentence."""
    if dataset.drawn_test:
        return "The test split is not drawn anew: dataset.limit takes some images of each split as it is. Leave it out for that."
    return "The test split came with the data, so it is not drawn anew."


def _following(seed: int, count: int) -> tuple[int, ...]:
    return tuple((seed + number) % (LARGEST_SEED + 1) for number in range(count))


def _redrawn(study: Study, seed: int) -> Study:
    try:
        return study.redrawn(seed)
    except RequestError as error:
        raise RequestError(f"--seeds draws the test split with dataset.split_seed={seed} too. {error}") from error


def _trained_anew(study: Study, seed: int) -> Study:
    try:
        return study.with_seed(seed)
    except RequestError as error:
        raise RequestError(f"--seeds draws validation images with seed={seed} too. {error}") from error


def _values(study: Study, procedure: Procedure, names: tuple[str, ...], kept: Path) -> Mapping[str, float]:
    """Return the test figure of each method, those of an interrupted run where there are some."""
    file = kept / f"{_recipe(study, names)}.json"
    try:
        return _VALUES.validate_python(read_json(file))
    except (OSError, ValueError):
        found = _scored(study, procedure)
        write_text(file, json.dumps(found))
        return found


def _recipe(study: Study, names: tuple[str, ...]) -> str:
    parts = study.holdout.train, study.holdout.validation, study.scored_images
    recipe = {
        "methods": names,
        "experiment": experiment_json(study.experiment),
        "identity": dict(study.identity),
        "samples": digest(*parts),
        "versions": versions(),
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]


def _scored(study: Study, procedure: Procedure) -> Mapping[str, float]:
    evaluation, made = study.evaluation, procedure(study)
    assert isinstance(evaluation, EvaluationSet)
    rows = {label: evaluation.score(one) for label, one in {one.method.label: one for one in made.values()}.items()}
    study.look_at_test(evaluation.scorings, evaluation.answers_digest())
    measure = study.target.compared
    return {name: rows[one.method.label].figure("test", measure).value for name, one in made.items()}


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {"values": list(values), "mean": float(np.mean(values)), "deviation": float(np.std(values, ddof=1))}


def _protocol(seeds: Seeds) -> str:
    dataset, count = seeds.study.dataset, len(seeds.trainings)
    low, high = np.sqrt((count - 1) / chi2.ppf([(1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2], count - 1))
    over_splits = (
        f"Splits: training and test images pooled and drawn anew ({count} split seeds), everything learned and chosen anew. "
        if seeds.splits
        else f"{why_not_redrawn(dataset)} "
    )
    moved = "the initial weights and the order of images"
    if "validation" in dataset.splits:
        moved += ", so that logistic, ridge and knn do not move: the validation split came with the data"
    else:
        moved = f"the validation split, {moved}"
    return (
        f"{over_splits}Trainings: the same test images, {count} seeds, which move {moved}. The first of each is the present "
        f"one. A standard deviation of {count} values is itself known to a factor of {low:.2g} to {high:.2g} only (95 %, "
        "normal values), and is of these images: others of the kind may differ more. Each run is a look at test images: the "
        "spread is for judging the figure, not for choosing a seed. What is kept and the headline stay those of the present "
        "seeds."
    )
