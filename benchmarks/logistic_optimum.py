"""Measures how far logistic regressions end above their optimum: `python benchmarks/logistic_optimum.py`.

Small problems of several shapes: classes are normal clouds, turned, of falling variances, and cut off at 0 as features of a
ConvNet are. The optimum is where Newton's method has less than 1e-12 nats left to gain.
"""

import time
from collections.abc import Callable

import click
import numpy as np

from bottleneck_features.models.logistic import L2_VALUES, TOLERANCE, LogisticFit, logistic_optimum, logistic_path
from bottleneck_features.models.parallel import Workers, workers
from bottleneck_features.models.probes import Coordinates, training_coordinates

SHAPES = ((700, 10, 3), (700, 40, 17), (700, 1024, 8), (2000, 30, 10), (5000, 16, 4), (1500, 64, 30))
WEIGHTS = (0.01, 1, 50)
EVERY, EXACT = 4, 1e-12
Problem = Callable[[np.random.Generator, int, int, int], tuple[np.ndarray, np.ndarray]]


def clouds(random: np.random.Generator, n: int, d: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes that overlap."""
    labels = random.integers(0, classes, n)
    x = 0.5 * random.normal(size=(classes, d))[labels] + random.normal(size=(n, d))
    return np.maximum(x * np.logspace(0, -1.5, d) @ np.linalg.qr(random.normal(size=(d, d)))[0], 0), labels


def wrong_labels(random: np.random.Generator, n: int, d: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """A third of the labels is drawn anew."""
    x, labels = clouds(random, n, d, classes)
    return x, np.where(random.random(n) < 1 / 3, random.integers(0, classes, n), labels)


def apart(random: np.random.Generator, n: int, d: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes that can be told apart without error."""
    x, labels = clouds(random, n, d, classes)
    return x + 3 * x.std() * random.normal(size=(classes, d))[labels], labels


def one_large_class(random: np.random.Generator, n: int, d: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Of all but the first class every twentieth row is left."""
    x, labels = clouds(random, n, d, classes)
    kept = (labels == 0) | (random.random(n) < 0.05)
    kept[np.unique(labels, return_index=True)[1]] = True
    return x[kept], labels[kept]


def above(train: Coordinates, pool: Workers) -> tuple[np.ndarray, int]:
    """Return how far the path, and its optima, are above the optimum, and their seconds; and how many say they are not."""
    rows, labels, counts = train.rows, train.labels, train.weights
    classes, start = int(labels.max()) + 1, time.process_time()
    near = list(logistic_path(rows, labels, classes, L2_VALUES, pool, counts=counts))
    between = time.process_time()
    fits = [logistic_optimum(fit, rows, labels, pool, counts=counts) for fit in near]
    seconds = between - start, time.process_time() - between

    def exactly(fit: LogisticFit, tolerance: float) -> float:
        return logistic_optimum(fit, rows, labels, pool, counts=counts, tolerance=tolerance).loss

    chosen = range(len(fits) - 1, -1, -EVERY)
    best = np.array([exactly(fits[number], EXACT) for number in chosen])
    gaps = [max(np.array([exactly(found[number], np.inf) for number in chosen]) - best) for found in (near, fits)]
    return np.array([*gaps, *seconds]), sum(fit.left > TOLERANCE for fit in fits)


@click.command(help=__doc__)
@click.option("--seeds", default=2, show_default=True, help="Draws of each problem.")
def main(seeds: int) -> None:
    """Print the largest gaps, in nats, over shapes, draws and every fourth L2 value."""
    print("| | path | optimum | says that it is not | path, s | optimum, s |\n|---|---:|---:|---:|---:|---:|")
    problems: tuple[Problem, ...] = (clouds, wrong_labels, apart, one_large_class)
    for problem in problems:
        for weighted in (False, True):
            found, unfinished = [], 0
            for shape in SHAPES:
                for seed in range(seeds):
                    random = np.random.default_rng(seed)
                    x, labels = problem(random, *shape)
                    weights = random.choice(WEIGHTS, len(x)) if weighted else None
                    with workers() as pool:
                        one, early = above(
                            training_coordinates(x.astype(np.float32), labels, pool, weights=weights), pool
                        )
                    found.append(one)
                    unfinished += early
            (path, optimum, *_), (*_, first, then) = np.max(found, axis=0), np.mean(found, axis=0)
            name = f"{problem.__name__.replace('_', ' ')}{', weights 0.01 to 50' if weighted else ''}"
            print(f"| {name} | {path:.0e} | {optimum:.0e} | {unfinished} | {first:.1f} | {then:.1f} |", flush=True)


if __name__ == "__main__":
    main()
