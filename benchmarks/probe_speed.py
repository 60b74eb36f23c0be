"""How fast the probes are on a cache, beside the walk-through's Keras loop and scikit-learn.

python benchmarks/probe_speed.py CACHE     (such as artifacts/features/cifar10-…; LAYER: its last one)

In one process, in this order: the walk-through's Keras loop, one logistic regression of the same accuracy, the ridge path,
the whole L-BFGS path, and scikit-learn's LogisticRegression at some of the same L2 values.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from arguments import FOLDER

from bottleneck_features.features import Split, open_features
from bottleneck_features.models.eigenbasis import eigenbasis
from bottleneck_features.models.logistic import L2_VALUES, logistic_path
from bottleneck_features.models.parallel import workers
from bottleneck_features.models.probes import Coordinates, search_logistic, search_ridge

FEW_STEPS = 3e-2  # tolerance of a head as good as the walk-through's
L2_OF_ONE = 0.03
EPOCHS, BATCH, RATE, DROPOUT = 10, 32, 1e-3, 0.3


@click.command(help=__doc__)
@click.argument("cache", type=FOLDER)
@click.argument("layer", required=False)
@click.option(
    "--sklearn-values", type=click.IntRange(min=0), default=3, show_default=True, help="L2 values for scikit-learn."
)
def main(cache: Path, layer: str | None, sklearn_values: int) -> None:
    """Print seconds and test accuracy of each."""
    opened = open_features(cache)
    layer = layer or opened.layers[-1]
    x, y = _rows(opened["train"], layer), opened["train"].y
    test, answers = _rows(opened["test"], layer), opened["test"].y
    classes = len(opened.class_names)
    print(f"{layer}: {x.shape[0]:,} × {x.shape[1]:,} training rows, {len(test):,} test rows")
    _timed("Keras: Dropout, softmax, Adam, 10 epochs of batches of 32", lambda: _keras(x, y, test, classes), answers)
    _timed("one logistic regression, few steps", lambda: _one(x, y, test, classes), answers)
    with workers() as pool:
        train, validation = _timed("eigenbasis and rotation", lambda: _coordinates(x, y, test, answers, pool))
        path, _ = _timed("ridge, 45 values", lambda: search_ridge(train, validation, classes, L2_VALUES, pool))
        print(f"    best {path.accuracy.max():.2%}")
        path, _ = _timed("logistic, 45 values", lambda: search_logistic(train, validation, classes, L2_VALUES, pool))
        print(f"    best {path.accuracy.max():.2%} at l2 = {path.chosen:.3g}")
    for l2 in L2_VALUES[:: -(len(L2_VALUES) // max(1, sklearn_values))][:sklearn_values]:
        _timed(f"scikit-learn, l2 = {l2:.3g}", lambda l2=l2: _sklearn(x, y, test, l2), answers)


def _rows(split: Split, layer: str) -> np.ndarray:
    return split.features[layer][:].astype(np.float32)


def _timed(title: str, work: Callable[[], Any], answers: np.ndarray | None = None) -> Any:
    start = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - start
    score = "" if answers is None else f", test {float((found == answers).mean()):.2%}"
    print(f"{title}: {seconds:.1f} s{score}", flush=True)
    return found


def _keras(x: np.ndarray, y: np.ndarray, test: np.ndarray, classes: int) -> np.ndarray:
    import keras

    from bottleneck_features.models import build_head

    keras.utils.set_random_seed(0)
    model = build_head(x.shape[1:], classes, DROPOUT)
    model.compile(keras.optimizers.Adam(RATE), loss="sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    return model.predict(test, batch_size=512, verbose=0).argmax(axis=1)


def _one(x: np.ndarray, y: np.ndarray, test: np.ndarray, classes: int) -> np.ndarray:
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    with workers() as pool:
        (fit,) = logistic_path((x - mean) / scale, y, classes, (L2_OF_ONE,), pool, tolerance=FEW_STEPS)
    return fit.probabilities((test - mean) / scale).argmax(axis=1)


def _coordinates(x: np.ndarray, y: np.ndarray, test: np.ndarray, answers: np.ndarray, pool: Any) -> Any:
    basis = eigenbasis(x, pool)
    return Coordinates(basis, basis.rotate(x, pool), y), Coordinates(basis, basis.rotate(test, pool), answers)


def _sklearn(x: np.ndarray, y: np.ndarray, test: np.ndarray, l2: float) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    return (
        LogisticRegression(C=1 / (l2 * len(x)), max_iter=1000).fit((x - mean) / scale, y).predict((test - mean) / scale)
    )


if __name__ == "__main__":
    main()
