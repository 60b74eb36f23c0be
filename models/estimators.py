"""The probes as scikit-learn estimators: they choose their own setting, and run in a Pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from bottleneck_features.models import probes
from bottleneck_features.models.eigenbasis import eigenbasis
from bottleneck_features.models.logistic import L2_VALUES, TOLERANCE
from bottleneck_features.models.neighbours import majority_path, nearest_labels, vote_shares
from bottleneck_features.models.parallel import Workers, workers
from bottleneck_features.models.probes import Coordinates, Linear

FLOATS = [np.float32, np.float64]


class _PathClassifier(ClassifierMixin, BaseEstimator):
    """Search a path on held-out samples, then fit the chosen setting on all.

    Attributes:
        classes_: `(c,)` sorted labels.
        path_: the `Path` of settings with their validation scores.
        n_features_in_: d.
    """

    validation_fraction: float
    random_state: int | None

    def fit(self, X: Any, y: Any) -> Self:
        """Choose the setting on a stratified held-out part of the samples, then fit it on all of them.

        Args:
            X: `(n, d)` finite features.
            y: `(n,)` labels of at least two classes.

        Returns:
            The estimator.

        Raises:
            ValueError: one class only, too few samples to hold some out, or features that are not finite.
        """
        X, y = validate_data(self, X, y, dtype=FLOATS, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"A classifier needs two classes; y has one class: {self.classes_.tolist()}")
        train, held = self._hold_out(labels)
        with workers() as team:
            self._learn(X, labels, train, held, team)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the `(n,)` most likely labels.

        Raises:
            NotFittedError: before `fit`.
            ValueError: X has another number of features, or values that are not finite.
        """
        scores = self._scores(self._checked(X))
        return self.classes_[scores.argmax(axis=1)]

    def _hold_out(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rare = np.bincount(labels).min() < 2
        if rare and len(labels) < 3:
            raise ValueError(f"Nothing can be held out of n_samples={len(labels)} of {len(self.classes_)} classes.")
        least = len(self.classes_) / len(labels)  # a stratified part has room for every class
        train, held = train_test_split(
            np.arange(len(labels)),
            test_size=self.validation_fraction if rare else max(self.validation_fraction, least),
            stratify=None if rare else labels,
            random_state=self.random_state,
        )
        return np.sort(train), np.sort(held)

    def _checked(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, X, dtype=FLOATS, reset=False)

    def _learn(self, X: np.ndarray, labels: np.ndarray, train: np.ndarray, held: np.ndarray, team: Workers) -> None:
        raise NotImplementedError

    def _scores(self, X: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class _LinearPath(_PathClassifier):
    """A path of linear classifiers.

    Attributes:
        coef_: `(c, d)` float64, of the features as given.
        intercept_: `(c,)` float64.
        l2_: the chosen penalty.
    """

    l2: Sequence[float] | None

    def decision_function(self, X: Any) -> np.ndarray:
        """Return `(n, c)` scores; for two classes `(n,)`, the second's minus the first's.

        Raises:
            NotFittedError: before `fit`.
            ValueError: X has another number of features, or values that are not finite.
        """
        scores = self._scores(self._checked(X))
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def _scores(self, X: np.ndarray) -> np.ndarray:
        return X @ self.coef_.T + self.intercept_

    def _learn(self, X: np.ndarray, labels: np.ndarray, train: np.ndarray, held: np.ndarray, team: Workers) -> None:
        basis = eigenbasis(X[train], team)
        self.path_, best = self._search(
            Coordinates(basis, basis.rotate(X[train], team), labels[train]),
            Coordinates(basis, basis.rotate(X[held], team), labels[held]),
            tuple(self.l2) if self.l2 is not None else L2_VALUES,
            team,
        )
        self.l2_ = self.path_.chosen
        whole = eigenbasis(X, team)
        start = Linear(*whole.from_features(*basis.to_features(best.weights, best.bias)))
        fitted = self._refit(Coordinates(whole, whole.rotate(X, team), labels), start, team)
        self.coef_, self.intercept_ = whole.to_features(fitted.weights, fitted.bias)

    def _search(
        self, train: Coordinates, held: Coordinates, l2: tuple[float, ...], team: Workers
    ) -> tuple[probes.Path, Linear]:
        raise NotImplementedError

    def _refit(self, everything: Coordinates, start: Linear, team: Workers) -> Linear:
        raise NotImplementedError


class LogisticPath(_LinearPath):
    """Multinomial logistic regression, its L2 penalty chosen from a path on held-out samples.

    Standardises features itself, minimises  mean cross-entropy + l2/2 · Σ weights²  by L-BFGS from strong to weak
    penalties, takes the best by held-out accuracy (ties: log loss), and refits on all samples. The protocol is that of
    T. Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020, B.8.

    Args:
        l2: the penalties to try; default: 45, log-spaced from 1e-6 to 1e5.
        validation_fraction: the share of samples held out for the choice, 0 … 1.
        random_state: of that split.
        tolerance: a fit is finished when a Newton step with the Hessian's diagonal would gain less, in nats.

    Example:
        make_pipeline(LogisticPath()).fit(train.x[:], train.y).predict_proba(test.x[:])
    """

    def __init__(
        self,
        l2: Sequence[float] | None = None,
        validation_fraction: float = 0.2,
        random_state: int | None = 0,
        tolerance: float = TOLERANCE,
    ) -> None:
        self.l2 = l2
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.tolerance = tolerance

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return `(n, c)` probabilities.

        Raises:
            NotFittedError: before `fit`.
            ValueError: X has another number of features, or values that are not finite.
        """
        return softmax(self._scores(self._checked(X)), axis=1)

    def _search(
        self, train: Coordinates, held: Coordinates, l2: tuple[float, ...], team: Workers
    ) -> tuple[probes.Path, Linear]:
        return probes.search_logistic(train, held, len(self.classes_), l2, team, lambda: None, self.tolerance)

    def _refit(self, everything: Coordinates, start: Linear, team: Workers) -> Linear:
        return probes.fit_logistic(everything, len(self.classes_), self.l2_, start, team, self.tolerance)


class RidgePath(_LinearPath):
    """Ridge regression on one-hot targets, its L2 penalty chosen from a path on held-out samples.

    All penalties come from one eigendecomposition of the correlations of the standardised features (A. E. Hoerl and R. W.
    Kennard, Ridge regression, 1970). Scores are not probabilities, so there is no `predict_proba`.

    Args:
        l2: the penalties to try, of  mean squared error + l2 · Σ weights²; default: 45, log-spaced from 1e-6 to 1e5.
        validation_fraction: the share of samples held out for the choice, 0 … 1.
        random_state: of that split.
    """

    def __init__(
        self, l2: Sequence[float] | None = None, validation_fraction: float = 0.2, random_state: int | None = 0
    ) -> None:
        self.l2 = l2
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def _search(
        self, train: Coordinates, held: Coordinates, l2: tuple[float, ...], team: Workers
    ) -> tuple[probes.Path, Linear]:
        return probes.search_ridge(train, held, len(self.classes_), l2, team)

    def _refit(self, everything: Coordinates, start: Linear, team: Workers) -> Linear:
        return probes.fit_ridge(everything, len(self.classes_), self.l2_, team)


class CosineKNN(_PathClassifier):
    """The k nearest neighbours by cosine, k chosen on held-out samples; each neighbour has one vote, ties go to the lowest class.

    The features are used as given: standardise them before if they should count equally. Source of the rule: T. Cover
    and P. Hart, Nearest neighbor pattern classification, 1967.

    Args:
        k_max: every k from 1 to this one is tried.
        validation_fraction: the share of samples held out for the choice, 0 … 1.
        random_state: of that split.

    Attributes:
        k_: the chosen k.
    """

    def __init__(
        self, k_max: int = probes.NEIGHBOURS, validation_fraction: float = 0.2, random_state: int | None = 0
    ) -> None:
        self.k_max = k_max
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return `(n, c)`: each class' share of the k votes.

        Raises:
            NotFittedError: before `fit`.
            ValueError: X has another number of features, or values that are not finite.
        """
        return self._scores(self._checked(X))

    def _learn(self, X: np.ndarray, labels: np.ndarray, train: np.ndarray, held: np.ndarray, team: Workers) -> None:
        self._rows, self._labels = X.astype(np.float32), labels
        count = min(self.k_max, len(train))
        found = nearest_labels(X[held].astype(np.float32), self._rows[train], labels[train], count, team)
        accuracy = (majority_path(found, len(self.classes_)) == labels[held]).mean(axis=1)
        self.path_ = probes.Path("k", np.arange(1, count + 1), accuracy, np.zeros(count))
        self.k_ = int(self.path_.chosen)

    def _scores(self, X: np.ndarray) -> np.ndarray:
        with workers() as team:
            found = nearest_labels(X.astype(np.float32), self._rows, self._labels, self.k_, team)
        return vote_shares(found, len(self.classes_))
