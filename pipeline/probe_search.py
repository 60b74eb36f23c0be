"""The search of a probe: every family on every set of layers, scored on validation samples only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax

from features import Features
from models.eigenbasis import Eigenbasis, eigenbasis
from models.logistic import L2_VALUES
from models.neighbours import nearest_labels, vote_shares
from models.parallel import Workers
from models.probes import (
    NEIGHBOURS,
    Coordinates,
    Linear,
    fit_logistic,
    fit_ridge,
    linear_scores,
    mean_over_views,
    search_logistic,
    search_neighbours,
    search_ridge,
)
from models.selection import Path
from pipeline.evaluation import score_counts
from pipeline.layer_rows import LayerRows
from pipeline.results import Clock, Method
from pipeline.splits import Holdout, Part

Advance = Callable[[], None]
FAMILIES = ("logistic", "ridge", "knn")


@dataclass(frozen=True)
class Candidate:
    """A family on a set of layers.

    Attributes:
        method: its row; its `name` is the family, the test split is not scored.
        path: its settings with their validation scores.
        start: `(classes, d)` coefficients and `(classes,)` intercept of raw features; None for neighbours.
        predicted: `(n,)` classes of the validation samples, by the model that had not seen them.
        probabilities: `(n, classes)` of the same; None for a family without probabilities.
    """

    method: Method
    path: Path
    start: tuple[np.ndarray, np.ndarray] | None
    predicted: np.ndarray
    probabilities: np.ndarray | None


def search_layers(
    cache: Features,
    layers: tuple[str, ...],
    held: Holdout,
    extract: float | None,
    team: Workers,
    advance: Advance,
    families: tuple[str, ...] = FAMILIES,
) -> list[Candidate]:
    """Search families of probes on one set of layers, sharing one eigenbasis.

    Args:
        cache: the open cache.
        layers: put side by side, every feature standardised.
        held: which samples train and which choose.
        extract: seconds the extraction took, or None.
        team: the threads to use.
        advance: called `steps(families)` times.
        families: some of `FAMILIES`.

    Returns:
        One `Candidate` a family; its seconds include the shared preparation.
    """
    classes, clock = len(cache.class_names), Clock()
    with clock.phase("prepare"):
        rows, own = LayerRows(cache, layers, held.train), LayerRows(cache, layers, held.validation)
        train = _coordinates(rows, eigenbasis(rows, team), team)
        checked = _coordinates(own, train.basis, team)
        advance()
    candidates = []
    for family in families:
        with clock.phase(family):
            found = _SEARCHES[family](train, checked, classes, team, advance)
        seconds = {"extract": extract, "train": clock.seconds["prepare"] + clock.seconds[family]}
        candidates.append(_candidate(family, layers, found, train, checked, classes, seconds))
    return candidates


def steps(families: tuple[str, ...] = FAMILIES) -> int:
    """Return how often `search_layers` calls `advance`."""
    return 1 + sum(len(L2_VALUES) if family == "logistic" else 1 for family in families)


@dataclass(frozen=True)
class _Found:
    path: Path
    linear: Linear | None
    predicted: np.ndarray
    probabilities: np.ndarray | None = None


def _search_logistic(train: Coordinates, held: Coordinates, classes: int, team: Workers, advance: Advance) -> _Found:
    path, linear = search_logistic(train, held, classes, L2_VALUES, team, advance)
    chances = softmax(_scores(held, linear), axis=1)
    return _Found(path, linear, chances.argmax(axis=1), chances)


def _search_ridge(train: Coordinates, held: Coordinates, classes: int, team: Workers, advance: Advance) -> _Found:
    path, linear = search_ridge(train, held, classes, L2_VALUES, team)
    advance()
    return _Found(path, linear, _scores(held, linear).argmax(axis=1))


def _search_neighbours(train: Coordinates, held: Coordinates, classes: int, team: Workers, advance: Advance) -> _Found:
    path, predicted = search_neighbours(train, held, classes, NEIGHBOURS, team)
    advance()
    return _Found(path, None, predicted)


_SEARCHES = {"logistic": _search_logistic, "ridge": _search_ridge, "knn": _search_neighbours}


def _scores(held: Coordinates, linear: Linear) -> np.ndarray:
    return mean_over_views(linear_scores(held.rows, linear), held.views)


@dataclass(frozen=True)
class Final:
    """A chosen candidate fitted on training and validation samples.

    Attributes:
        method: as before, with the seconds of the fit.
        predict: returns the `(n,)` predicted classes of a `Part`.
        arrays: what `SavedHead` keeps.
        probabilities: returns the `(n, classes)` probabilities of a `Part`; None for a family without probabilities.
    """

    method: Method
    predict: Callable[[Part], np.ndarray]
    arrays: Callable[[], Mapping[str, np.ndarray]]
    probabilities: Callable[[Part], np.ndarray] | None


def finished(candidate: Candidate, cache: Features, held: Holdout, scored: Part, team: Workers) -> Final:
    """Fit a chosen candidate's setting on training and validation samples together, to be scored on test images.

    Where there are no test images, the candidate is scored as it was searched: fitted again, it would have seen what it is
    scored on.
    """
    fitted = _refit(candidate, cache, held, team)
    if scored.split == "test":
        return fitted
    known = candidate.probabilities
    return replace(
        fitted,
        method=candidate.method,
        predict=lambda part: candidate.predicted,
        probabilities=None if known is None else lambda part: known,
    )


def _refit(candidate: Candidate, cache: Features, held: Holdout, team: Workers) -> Final:
    layers, classes, clock = candidate.method.layers, len(cache.class_names), Clock()
    with clock.phase("refit"):
        rows = LayerRows(cache, layers, held.train, held.validation)
        both = _coordinates(rows, eigenbasis(rows, team), team)
        score = _scorer(candidate, both, classes, team)
    seconds = {**candidate.method.seconds, "refit": clock.seconds["refit"]}

    def scores(part: Part) -> np.ndarray:
        wanted = _coordinates(LayerRows(cache, layers, part), both.basis, team)
        return mean_over_views(score.scores(wanted.rows), wanted.views)

    return Final(
        replace(candidate.method, seconds=seconds),
        lambda part: scores(part).argmax(axis=1),
        lambda: score.arrays(rows),
        (lambda part: softmax(scores(part), axis=1)) if candidate.method.name == "logistic" else None,
    )


@dataclass(frozen=True)
class _LinearScorer:
    linear: Linear
    basis: Eigenbasis

    def scores(self, rows: np.ndarray) -> np.ndarray:
        return linear_scores(rows, self.linear)

    def arrays(self, rows: LayerRows) -> Mapping[str, np.ndarray]:
        coefficients, intercept = self.basis.to_features(self.linear.weights, self.linear.bias)
        return {"coefficients": coefficients, "intercept": intercept}


@dataclass(frozen=True)
class _NeighbourScorer:
    known: Coordinates
    k: int
    classes: int
    team: Workers

    def scores(self, rows: np.ndarray) -> np.ndarray:
        found = nearest_labels(rows, self.known.rows, self.known.row_labels, self.k, self.team)
        return vote_shares(found, self.classes)

    def arrays(self, rows: LayerRows) -> Mapping[str, np.ndarray]:
        basis = self.known.basis
        standardised = ((rows[0 : rows.shape[0]] - basis.mean) / basis.scale).astype(np.float16)
        return {
            "mean": basis.mean,
            "scale": basis.scale,
            "rows": standardised,
            "labels": self.known.row_labels,
            "k": np.array(self.k),
        }


def _scorer(candidate: Candidate, both: Coordinates, classes: int, team: Workers) -> _LinearScorer | _NeighbourScorer:
    chosen = candidate.path.chosen
    if candidate.start is None:
        return _NeighbourScorer(both, int(chosen), classes, team)
    if candidate.method.name == "ridge":
        return _LinearScorer(fit_ridge(both, classes, chosen, team), both.basis)
    start = Linear(*both.basis.from_features(*candidate.start))
    return _LinearScorer(fit_logistic(both, classes, chosen, start, team), both.basis)


def _coordinates(rows: LayerRows, basis: Eigenbasis, team: Workers) -> Coordinates:
    return Coordinates(basis, basis.rotate(rows, team), rows.labels, rows.views)


def _candidate(
    family: str,
    layers: tuple[str, ...],
    found: _Found,
    train: Coordinates,
    held: Coordinates,
    classes: int,
    seconds: Mapping[str, float | None],
) -> Candidate:
    path, linear, n = found.path, found.linear, len(held.labels)
    scores = {"validation": score_counts(round(path.accuracy[path.best] * n), n)}
    parameters = classes * (len(train.basis.mean) + 1) if linear else 0
    method = Method(family, layers, parameters, scores, seconds, {path.setting: path.chosen})
    start = train.basis.to_features(linear.weights, linear.bias) if linear else None
    return Candidate(method, path, start, found.predicted, found.probabilities)
