"""The search for the best probe: every family on every set of layers, scored on validation samples only."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax

from bottleneck_features.features import Features
from bottleneck_features.models.eigenbasis import eigenbasis
from bottleneck_features.models.logistic import L2_VALUES
from bottleneck_features.models.neighbours import smoothed
from bottleneck_features.models.parallel import Workers
from bottleneck_features.models.probes import (
    LARGEST_K,
    Coordinates,
    Linear,
    ProgressCallback,
    SettingPath,
    fit_logistic,
    fit_ridge,
    linear_scores,
    search_logistic,
    search_neighbours,
    search_ridge,
    training_coordinates,
)
from bottleneck_features.models.rows import mean_over_views
from bottleneck_features.pipeline.evaluation.scores import score_counts
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.methods.classifier import Classifier
from bottleneck_features.pipeline.methods.layer_rows import LayerRows
from bottleneck_features.pipeline.results import Clock

FAMILIES = ("logistic", "ridge", "knn")
LOGISTIC = ("logistic",)


@dataclass(frozen=True)
class Candidate:
    """A family on a set of layers.

    Attributes:
        method: its row; its `name` is the family, the test split is not scored.
        path: its settings with their validation scores.
        start: `(classes, d)` coefficients and `(classes,)` intercept of raw features; None for neighbours.
        scores: `(n, classes)` of the validation samples, by the model fitted without them; for k-NN the shares of votes.
    """

    method: Method
    path: SettingPath
    start: tuple[np.ndarray, np.ndarray] | None
    scores: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """`(n,)` classes of the validation samples."""
        return self.scores.argmax(axis=1)

    @property
    def validation_probabilities(self) -> np.ndarray:
        """`(n, classes)` of the validation samples, not calibrated."""
        return softmax(self.scores, axis=1) if self.start else smoothed(self.scores, int(self.path.chosen))


def search_layers(
    cache: Features,
    layers: tuple[str, ...],
    holdout: Holdout,
    *,
    extract: float | None,
    pool: Workers,
    progress: ProgressCallback,
    families: tuple[str, ...] = FAMILIES,
) -> list[Candidate]:
    """Search families of probes on one set of layers, sharing one eigenbasis.

    Args:
        cache: the open cache.
        layers: put side by side, every feature standardised.
        holdout: which samples train and which choose.
        extract: seconds the extraction took, or None.
        pool: the threads to use.
        progress: called `steps(families)` times.
        families: some of `FAMILIES`.

    Returns:
        One `Candidate` per family; its seconds include the shared preparation.
    """
    classes, clock = len(cache.class_names), Clock()
    with clock.phase("prepare"):
        rows, own = LayerRows(cache, layers, holdout.train), LayerRows(cache, layers, holdout.validation)
        train = training_coordinates(rows, rows.labels, pool, views=rows.views)
        validation = Coordinates(train.basis, train.basis.rotate(own, pool), own.labels, own.views)
        progress()
    candidates = []
    for family in families:
        with clock.phase(family):
            found = _SEARCHES[family](train, validation, classes, pool, progress)
        seconds = {"extract": extract, "train": clock.seconds["prepare"] + clock.seconds[family]}
        candidates.append(
            _candidate(family, layers, found, train=train, validation=validation, classes=classes, seconds=seconds)
        )
    return candidates


def logistic_probe(
    cache: Features, layers: tuple[str, ...], holdout: Holdout, pool: Workers, progress: ProgressCallback = lambda: None
) -> Candidate:
    """Search the logistic regression alone; as `search_layers`, without the seconds of the extraction."""
    (found,) = search_layers(cache, layers, holdout, extract=None, pool=pool, progress=progress, families=LOGISTIC)
    return found


def steps(families: tuple[str, ...] = FAMILIES) -> int:
    """Return how often `search_layers` calls `progress`."""
    return 1 + sum(len(L2_VALUES) if family == "logistic" else 1 for family in families)


@dataclass(frozen=True)
class _Found:
    path: SettingPath
    linear: Linear | None
    scores: np.ndarray


def _search_logistic(
    train: Coordinates, validation: Coordinates, classes: int, pool: Workers, progress: ProgressCallback
) -> _Found:
    path, linear = search_logistic(train, validation, classes, L2_VALUES, pool, progress=progress)
    return _Found(path, linear, _scores(validation, linear))


def _search_ridge(
    train: Coordinates, validation: Coordinates, classes: int, pool: Workers, progress: ProgressCallback
) -> _Found:
    path, linear = search_ridge(train, validation, classes, L2_VALUES, pool)
    progress()
    return _Found(path, linear, _scores(validation, linear))


def _search_neighbours(
    train: Coordinates, validation: Coordinates, classes: int, pool: Workers, progress: ProgressCallback
) -> _Found:
    path, shares = search_neighbours(train, validation, classes, LARGEST_K, pool)
    progress()
    return _Found(path, None, shares)


_SEARCHES = {"logistic": _search_logistic, "ridge": _search_ridge, "knn": _search_neighbours}


def _scores(validation: Coordinates, linear: Linear) -> np.ndarray:
    return mean_over_views(linear_scores(validation.rows, linear), validation.views)


def refitted(candidate: Candidate, cache: Features, holdout: Holdout, scored: Subset, pool: Workers) -> TrainedMethod:
    """Fit a chosen candidate's setting on training and validation samples together, to be scored on test images.

    Without test images, the candidate is scored as it was in the search: a new fit would include the images it is scored on.
    """
    fitted = _refit(candidate, cache, holdout, pool)
    if scored.split == "test":
        return fitted
    return replace(fitted, method=candidate.method, probabilities=lambda part: candidate.validation_probabilities)


def _refit(candidate: Candidate, cache: Features, holdout: Holdout, pool: Workers) -> TrainedMethod:
    layers, clock = candidate.method.layers, Clock()
    with clock.phase("refit"):
        rows = LayerRows(cache, layers, holdout.train, holdout.validation)
        fit = _linear_arrays if candidate.start else _neighbours
        arrays = fit(candidate, rows, len(cache.class_names), pool)
    seconds = {**candidate.method.seconds, "refit": clock.seconds["refit"]}
    classifier = Classifier(arrays, len(cache.class_names))

    def probabilities(part: Subset) -> np.ndarray:
        return classifier.probabilities_of(LayerRows(cache, layers, part))

    method = replace(candidate.method, seconds=seconds, refitted_on=len(holdout.train) + len(holdout.validation))
    return TrainedMethod(method, classifier, probabilities, candidate.validation_probabilities, {})


def _linear_arrays(candidate: Candidate, rows: LayerRows, classes: int, pool: Workers) -> Mapping[str, np.ndarray]:
    both, chosen = training_coordinates(rows, rows.labels, pool, views=rows.views), candidate.path.chosen
    basis = both.basis
    if candidate.method.name == "ridge":
        linear = fit_ridge(both, classes, chosen, pool)
    else:
        assert candidate.start is not None
        linear = fit_logistic(both, classes, chosen, Linear(*basis.from_features(*candidate.start)), pool)
    coefficients, intercept = basis.to_features(linear.weights, linear.bias)
    return {"coefficients": coefficients, "intercept": intercept}


def _neighbours(candidate: Candidate, rows: LayerRows, classes: int, pool: Workers) -> Mapping[str, np.ndarray]:
    basis = eigenbasis(rows, pool)
    standardised = [((part - basis.mean) / basis.scale).astype(np.float16) for part in rows.slices()]
    return {
        "mean": basis.mean,
        "scale": basis.scale,
        "rows": np.concatenate(standardised),
        "labels": np.repeat(rows.labels, rows.views),
        "k": np.array(int(candidate.path.chosen)),
    }


def _candidate(
    family: str,
    layers: tuple[str, ...],
    found: _Found,
    *,
    train: Coordinates,
    validation: Coordinates,
    classes: int,
    seconds: Mapping[str, float | None],
) -> Candidate:
    path, linear, n = found.path, found.linear, len(validation.labels)
    scores = {"validation": score_counts(round(path.accuracy[path.best] * n), n)}
    parameters = classes * (len(train.basis.mean) + 1) if linear else 0
    method = Method(family, layers, parameters, scores, seconds, {path.setting: path.chosen})
    start = train.basis.to_features(linear.weights, linear.bias) if linear else None
    return Candidate(method, path, start, found.scores)
