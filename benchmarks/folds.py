"""What cross-validation says on 60 images, against a hold-out of 20 %: `python benchmarks/folds.py CACHE`.

CACHE is one of all CIFAR-10. A draw is 60 random images of two classes. Logistic regression on one layer takes its L2 value
from a grid by the inner validation images of a fold, and is then fitted on all that the fold trains on. The hold-out is the
first fold of the first repeat: stratified, 48 images train, 12 are scored. The true value is the mean, over the draws, of the
accuracy on all images of the two classes that were not drawn: of the procedure on all 60 images, which is what the kept model
is made by, and of that on a fold's 48.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from arguments import FOLDER
from scipy.stats import binomtest

from bottleneck_features.features import open_features
from bottleneck_features.models.parallel import Workers, workers
from bottleneck_features.models.probes import (
    Coordinates,
    Linear,
    fit_logistic,
    linear_scores,
    search_logistic,
    training_coordinates,
)
from bottleneck_features.pipeline.evaluation.folds import FOLDS, REPEATS, cross_validated_figure, make_folds
from bottleneck_features.pipeline.evaluation.scores import score_counts, wilson
from bottleneck_features.pipeline.figures import Figure
from bottleneck_features.pipeline.method_row import Score

IMAGES, VALIDATION = 60, 0.2
GRID = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
COLUMNS = (
    "estimate", "mean", "deviation", "of the hold-out's", "holds the true value", "… of a fold's size",
    "… of its own model", "width",
)  # fmt: skip
PAIRS = ("cat,dog", "deer,horse", "automobile,truck", "frog,ship")


class Draw(NamedTuple):
    """What one draw of images gives: three estimates, and the accuracy on the images left out of models of 60 and of 48."""

    holdout: Score
    once: Score
    repeated: Score
    of_all: float
    of_fold: float


def drawn(cache: Path, layer: str, pair: tuple[str, str], seeds: Sequence[int]) -> list[Draw]:
    """Return what some draws give."""
    rows, labels = _images(cache, layer, pair)
    with workers() as pool:
        return [_draw(rows, labels, seed, pool) for seed in seeds]


def _images(cache: Path, layer: str, pair: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    opened = open_features(cache)
    labels = np.concatenate([split.y for split in opened.values()])
    rows = np.concatenate([split.features[layer][:] for split in opened.values()])
    numbers = [opened.class_names.index(name) for name in pair]
    own = np.isin(labels, numbers)
    return rows[own].astype(np.float32), (labels[own] == numbers[1]).astype(np.int64)


def _draw(rows: np.ndarray, labels: np.ndarray, seed: int, pool: Workers) -> Draw:
    chosen = np.random.default_rng(seed).choice(len(labels), IMAGES, replace=False)
    others = np.setdiff1d(np.arange(len(labels)), chosen)
    own, answers = rows[chosen], labels[chosen]
    values, beyond, sizes = [], [], (0, 0)
    for fold in make_folds(
        "train", answers, np.arange(IMAGES), validation=VALIDATION, seed=seed, folds=FOLDS, repeats=REPEATS
    ):
        train, validation, scored = fold.holdout.train.indices, fold.holdout.validation.indices, fold.scored.indices
        model = _fitted(own, answers, train, validation, pool)
        values.append(_accuracy(model, own[scored], answers[scored]))
        sizes = len(train) + len(validation), len(scored)
        if len(values) <= FOLDS:
            beyond.append(_accuracy(model, rows[others], labels[others]))
    chooses = np.random.default_rng(seed).permutation(IMAGES)[: round(VALIDATION * IMAGES)]
    model = _fitted(own, answers, np.setdiff1d(np.arange(IMAGES), chooses), chooses, pool)
    return Draw(
        score_counts(round(values[0] * sizes[1]), sizes[1]),
        _over_folds(np.array(values[:FOLDS]), sizes),
        _over_folds(np.array(values), sizes),
        _accuracy(model, rows[others], labels[others]),
        float(np.mean(beyond)),
    )


def _over_folds(values: np.ndarray, sizes: tuple[int, int]) -> Score:
    mean = float(values.mean())
    found = cross_validated_figure(values, sizes, Figure(mean, *wilson(mean, IMAGES)))
    return Score(found.value, found.low, found.high, IMAGES)


def _fitted(rows: np.ndarray, labels: np.ndarray, train: np.ndarray, validation: np.ndarray, pool: Workers) -> Linear:
    """Choose the L2 value and fit it on both parts; the model is of raw features."""
    known = training_coordinates(rows[train], labels[train], pool)
    checked = Coordinates(known.basis, known.basis.rotate(rows[validation], pool), labels[validation])
    path, begin = search_logistic(known, checked, 2, GRID, pool)
    both = np.concatenate([train, validation])
    every = training_coordinates(rows[both], labels[both], pool)
    start = Linear(*every.basis.from_features(*known.basis.to_features(begin.weights, begin.bias)))
    linear = fit_logistic(every, 2, path.chosen, start, pool)
    return Linear(*every.basis.to_features(linear.weights, linear.bias))


def _accuracy(model: Linear, rows: np.ndarray, labels: np.ndarray) -> float:
    return float((linear_scores(rows, model).argmax(axis=1) == labels).mean())


def _line(name: str, found: Sequence[Score], holdout: Sequence[Score], draws: Sequence[Draw]) -> str:
    spread, other = (np.std([one.accuracy for one in scores], ddof=1) for scores in (found, holdout))
    held = []
    for truth in ("of_all", "of_fold"):
        value = np.mean([getattr(one, truth) for one in draws])
        held.append(_share(sum(one.low <= value <= one.high for one in found), len(found)))
    held.append(
        _share(sum(one.low <= draw.of_all <= one.high for one, draw in zip(found, draws, strict=True)), len(found))
    )
    mean, width = np.mean([one.accuracy for one in found]), np.mean([one.high - one.low for one in found])
    return f"| {name} | {100 * mean:.1f} % | {100 * spread:.1f} | {spread / other:.2f} | {' | '.join(held)} | {100 * width:.1f} |"


def _share(count: int, of: int) -> str:
    found = binomtest(count, of).proportion_ci(method="wilson")
    return f"{100 * count / of:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


@click.command(help=__doc__)
@click.argument("cache", type=FOLDER)
@click.option("--layer", help="Default: the last one.")
@click.option("--pair", "pairs", multiple=True, default=PAIRS, show_default=True, help="Two classes.")
@click.option("--draws", default=300, show_default=True)
@click.option("--jobs", default=2, show_default=True, help="Processes.")
def main(cache: Path, layer: str | None, pairs: tuple[str, ...], draws: int, jobs: int) -> None:
    """Print each estimate's mean, spread, coverage and width; spreads and widths in points."""
    layer = layer or open_features(cache).layers[-1]
    for pair in pairs:
        parts = np.array_split(np.arange(draws), jobs)
        with ProcessPoolExecutor(jobs) as pool:
            done = list(pool.map(partial(drawn, cache, layer, tuple(pair.split(","))), parts))
        found = [one for part in done for one in part]
        truths = [np.mean([getattr(one, name) for one in found]) for name in ("of_all", "of_fold")]
        print(
            f"\n{pair}, {layer}: true {100 * truths[0]:.1f} % with {IMAGES} images, {100 * truths[1]:.1f} % with a fold's"
        )
        print(f"| {' | '.join(COLUMNS)} |\n|---|{7 * '---:|'}")
        holdout = [one.holdout for one in found]
        for name, scores in (
            ("hold-out of 12", holdout),
            (f"{FOLDS} folds", [one.once for one in found]),
            (f"{FOLDS} folds, {REPEATS} times", [one.repeated for one in found]),
        ):
            print(_line(name, scores, holdout, found), flush=True)


if __name__ == "__main__":
    main()
