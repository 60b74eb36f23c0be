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
from bottleneck_features.pipeline.evaluation.groups import group_numbers
from bottleneck_features.pipeline.evaluation.scores import accuracy_of
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.target import ClassTarget
from bottleneck_features.pipeline.evaluation.thresholds import Spread, moved_threshold, spread_of
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
        validation_probabilities: `(n, classes)` of the validation samples, not calibrated, by the model fitted without them.
        spread: of that model's answers; None for neighbours, and unless there are two classes.
    """

    method: Method
    path: SettingPath
    start: tuple[np.ndarray, np.ndarray] | None
    validation_probabilities: np.ndarray
    spread: Spread | None


def search_layers(
    cache: Features,
    layers: tuple[str, ...],
    holdout: Holdout,
    target: ClassTarget,
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
        target: what decides between settings, and how much each class counts.
        extract: seconds the extraction took, or None.
        pool: the threads to use.
        progress: called `steps(families)` times.
        families: some of `FAMILIES`.

    Returns:
        One `Candidate` per family; its seconds include the shared preparation.
    """
    clock = Clock()
    with clock.phase("prepare"):
        rows, own = LayerRows(cache, layers, holdout.train), LayerRows(cache, layers, holdout.validation)
        train = _training(rows, target, pool)
        validation = Coordinates(train.basis, train.basis.rotate(own, pool), own.labels, own.views)
        names = cache[holdout.validation.split].groups
        groups = group_numbers(None if names is None else names[holdout.validation.indices])
        search = _Search(train, validation, groups, target, pool, progress)
        progress()
    candidates = []
    for family in families:
        with clock.phase(family):
            found = _SEARCHES[family](search)
        seconds = {"extract": extract, "train": clock.seconds["prepare"] + clock.seconds[family]}
        candidates.append(_candidate(family, layers, found, search, seconds))
    return candidates


def logistic_probe(
    cache: Features,
    layers: tuple[str, ...],
    holdout: Holdout,
    target: ClassTarget,
    pool: Workers,
    progress: ProgressCallback = lambda: None,
) -> Candidate:
    """Search the logistic regression alone; as `search_layers`, without the seconds of the extraction."""
    (found,) = search_layers(
        cache, layers, holdout, target, extract=None, pool=pool, progress=progress, families=LOGISTIC
    )
    return found


def steps(families: tuple[str, ...] = FAMILIES) -> int:
    """Return how often `search_layers` calls `progress`."""
    return 1 + sum(len(L2_VALUES) if family == "logistic" else 1 for family in families)


def _training(rows: LayerRows, target: ClassTarget, pool: Workers) -> Coordinates:
    weights = target.sample_weights(rows.labels)
    return training_coordinates(rows, rows.labels, pool, views=rows.views, weights=weights)


@dataclass(frozen=True)
class _Search:
    train: Coordinates
    validation: Coordinates
    groups: np.ndarray | None
    target: ClassTarget
    pool: Workers
    progress: ProgressCallback


@dataclass(frozen=True)
class _Found:
    path: SettingPath
    linear: Linear | None
    scores: np.ndarray


def _search_logistic(search: _Search) -> _Found:
    path, linear = search_logistic(
        search.train,
        search.validation,
        search.target.classes,
        L2_VALUES,
        search.pool,
        progress=search.progress,
        criterion=search.target.criterion,
    )
    return _Found(path, linear, _scores(search.validation, linear))


def _search_ridge(search: _Search) -> _Found:
    target = search.target
    path, linear = search_ridge(
        search.train, search.validation, target.classes, L2_VALUES, search.pool, criterion=target.criterion
    )
    search.progress()
    return _Found(path, linear, _scores(search.validation, linear))


def _search_neighbours(search: _Search) -> _Found:
    target = search.target
    path, shares = search_neighbours(
        search.train, search.validation, target.classes, LARGEST_K, search.pool, criterion=target.criterion
    )
    search.progress()
    return _Found(path, None, shares)


_SEARCHES = {"logistic": _search_logistic, "ridge": _search_ridge, "knn": _search_neighbours}


def _scores(validation: Coordinates, linear: Linear) -> np.ndarray:
    return mean_over_views(linear_scores(validation.rows, linear), validation.views)


def final_fit(candidate: Candidate, study: Study, pool: Workers) -> TrainedMethod:
    """Fit a chosen candidate's setting on training and validation samples together, to be scored on other images.

    Where the validation images themselves are scored, the candidate is scored as it was in the search: a new fit would
    include them.
    """
    fitted = _refit(candidate, study, pool)
    if not study.chooses_on_scored_images:
        return fitted
    return replace(
        fitted,
        method=candidate.method,
        probabilities=lambda part: candidate.validation_probabilities,
        threshold=fitted.method.threshold,
    )


def _refit(candidate: Candidate, study: Study, pool: Workers) -> TrainedMethod:
    cache, holdout, target = study.cache, study.holdout, study.target
    layers, clock = candidate.method.layers, Clock()
    with clock.phase("refit"):
        rows = LayerRows(cache, layers, holdout.train, holdout.validation)
        arrays, spread = (_linear_arrays if candidate.start else _neighbours)(candidate, rows, target, pool)
    seconds = {**candidate.method.seconds, "refit": clock.seconds["refit"]}
    classifier = Classifier(arrays, target.classes)

    def probabilities(part: Subset) -> np.ndarray:
        return classifier.probabilities_of(LayerRows(cache, layers, part))

    method = replace(
        candidate.method,
        seconds=seconds,
        refitted_on=len(holdout.train) + len(holdout.validation),
        threshold=moved_threshold(candidate.method.threshold, candidate.spread, spread),
    )
    return TrainedMethod(method, classifier, probabilities, candidate.validation_probabilities, {}, spread)


def _linear_arrays(
    candidate: Candidate, rows: LayerRows, target: ClassTarget, pool: Workers
) -> tuple[Mapping[str, np.ndarray], Spread | None]:
    both, chosen, classes = _training(rows, target, pool), candidate.path.chosen, target.classes
    basis = both.basis
    if candidate.method.name == "ridge":
        linear = fit_ridge(both, classes, chosen, pool)
    else:
        assert candidate.start is not None
        linear = fit_logistic(both, classes, chosen, Linear(*basis.from_features(*candidate.start)), pool)
    coefficients, intercept = basis.to_features(linear.weights, linear.bias)
    return {"coefficients": coefficients, "intercept": intercept}, _spread(both, linear)


def _neighbours(
    candidate: Candidate, rows: LayerRows, target: ClassTarget, pool: Workers
) -> tuple[Mapping[str, np.ndarray], None]:
    weights = target.sample_weights(rows.labels)
    basis = eigenbasis(rows, pool, None if weights is None else np.repeat(weights, rows.views))
    standardised = [((part - basis.mean) / basis.scale).astype(np.float16) for part in rows.slices()]
    arrays = {
        "mean": basis.mean,
        "scale": basis.scale,
        "rows": np.concatenate(standardised),
        "labels": np.repeat(rows.labels, rows.views),
        "k": np.array(int(candidate.path.chosen)),
    }
    return arrays, None


def _spread(fitted: Coordinates, linear: Linear) -> Spread | None:
    if len(linear.bias) != 2:
        return None
    scores = mean_over_views(linear_scores(fitted.rows, linear), fitted.views)
    return spread_of(scores[:, 1] - scores[:, 0])


def _candidate(
    family: str, layers: tuple[str, ...], found: _Found, search: _Search, seconds: Mapping[str, float | None]
) -> Candidate:
    path, linear, basis = found.path, found.linear, search.train.basis
    parameters = search.target.classes * (len(basis.mean) + 1) if linear else 0
    start = basis.to_features(linear.weights, linear.bias) if linear else None
    probabilities = probabilities_of_scores(found.scores, None if linear else int(path.chosen))
    threshold = search.target.threshold(search.validation.labels, probabilities)
    figures = search.target.figures(search.validation.labels, probabilities, threshold, search.groups)
    row = Method(
        family, layers, parameters, {"validation": accuracy_of(figures)}, seconds, {path.setting: path.chosen},
        figures={"validation": figures}, threshold=threshold,
    )  # fmt: skip
    spread = _spread(search.train, linear) if linear else None
    return Candidate(row, path, start, probabilities, spread)


def probabilities_of_scores(scores: np.ndarray, k: int | None) -> np.ndarray:
    """Return `(n, classes)` probabilities, not calibrated, of scores, or of the shares of `k` votes."""
    return softmax(scores, axis=1) if k is None else smoothed(scores, k)
