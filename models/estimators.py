"""The logistic probe as a scikit-learn estimator: it chooses its own L2 penalty, and runs in a Pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from bottleneck_features.models.criteria import criterion_named
from bottleneck_features.models.logistic import L2_VALUES, TOLERANCE
from bottleneck_features.models.parallel import workers
from bottleneck_features.models.probes import Coordinates, Linear, fit_logistic, search_logistic, training_coordinates

FLOATS = [np.float32, np.float64]


class LogisticPath(ClassifierMixin, BaseEstimator):
    """Multinomial logistic regression, its L2 penalty chosen from a path on held-out samples.

    Standardises features itself, minimises  mean cross-entropy + l2/2 · Σ weights²  by L-BFGS from strong to weak
    penalties, takes the best on held-out samples by `criterion` (ties: log loss), and refits on all samples. The
    protocol is that of T. Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, 2020, B.8.

    Args:
        l2: the penalties to try; default: 45, log-spaced from 1e-6 to 1e5.
        validation_fraction: the share of samples held out for the choice, 0 … 1.
        random_state: of that split.
        tolerance: a fit is finished when a Newton step with the Hessian's diagonal would gain less, in nats; the last, on
            all samples, and all of small problems, go on until less is left to gain.
        criterion: `accuracy`, `balanced-accuracy`, `macro-f1`, `log-loss`; for two classes also `auroc` and
            `average-precision` of the rarer one.
        class_weight: None, `"balanced"`, or weights > 0 by label, as scikit-learn's.

    Attributes:
        classes_: `(c,)` sorted labels.
        coef_: `(c, d)` float64, of the features as given.
        intercept_: `(c,)` float64.
        l2_: the chosen penalty.
        path_: the `SettingPath` of penalties with their validation scores.
        n_features_in_: d.

    Example:
        make_pipeline(LogisticPath()).fit(train.x[:], train.y).predict_proba(test.x[:])
    """

    def __init__(
        self,
        l2: Sequence[float] | None = None,
        validation_fraction: float = 0.2,
        random_state: int | None = 0,
        tolerance: float = TOLERANCE,
        criterion: str = "accuracy",
        class_weight: Mapping[Any, float] | str | None = None,
    ) -> None:
        self.l2 = l2
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.tolerance = tolerance
        self.criterion = criterion
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose the penalty on a stratified held-out part of the samples, then fit it on all of them.

        Args:
            X: `(n, d)` finite features.
            y: `(n,)` labels of at least two classes.
            sample_weight: `(n,)` ≥ 0, how often each sample counts in a fit; samples of weight 0 are left out, held-out
                ones count once.

        Returns:
            The estimator.

        Raises:
            ValueError: one class only, too few samples to hold some out, or features that are not finite.
            InvalidSetting: an unknown criterion.
        """
        X, y = validate_data(self, X, y, dtype=FLOATS, ensure_min_samples=2)
        check_classification_targets(y)
        decide = criterion_named(self.criterion)
        X, y, weights = _weighed(X, y, sample_weight, self.class_weight)
        self.classes_, labels = np.unique(y, return_inverse=True)
        classes = len(self.classes_)
        if classes < 2:
            raise ValueError(f"A classifier needs two classes; y has one class: {self.classes_.tolist()}")
        parts = self._hold_out(labels)
        l2 = tuple(self.l2) if self.l2 is not None else L2_VALUES
        with workers() as pool:
            (x, own), (x_held, held) = ((X[part], labels[part]) for part in parts)
            train = training_coordinates(x, own, pool, weights=None if weights is None else weights[parts[0]])
            validation = Coordinates(train.basis, train.basis.rotate(x_held, pool), held)
            self.path_, best = search_logistic(
                train, validation, classes, l2, pool, criterion=decide, tolerance=self.tolerance
            )
            self.l2_ = self.path_.chosen
            everything = training_coordinates(X, labels, pool, weights=weights)
            basis, searched = everything.basis, train.basis
            start = Linear(*basis.from_features(*searched.to_features(best.weights, best.bias)))
            fitted = fit_logistic(everything, classes, self.l2_, start, pool, tolerance=self.tolerance)
        self.coef_, self.intercept_ = basis.to_features(fitted.weights, fitted.bias)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return `(n, c)` scores; for two classes `(n,)`, the second's minus the first's.

        Raises:
            NotFittedError: before `fit`.
            ValueError: x has another number of features, or values that are not finite.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """Return the `(n,)` most likely labels; raises as `decision_function`."""
        best = self._scores(X).argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return `(n, c)` probabilities; raises as `decision_function`."""
        return softmax(self._scores(X), axis=1)

    def _scores(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, X, dtype=FLOATS, reset=False) @ self.coef_.T + self.intercept_

    def _hold_out(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rare = np.bincount(labels).min() < 2
        if rare and len(labels) < 3:
            raise ValueError(f"Nothing can be held out of n_samples={len(labels)} of {len(self.classes_)} classes.")
        least = len(self.classes_) / len(labels)  # a stratified part has room for every class
        train, validation = train_test_split(
            np.arange(len(labels)),
            test_size=self.validation_fraction if rare else max(self.validation_fraction, least),
            stratify=None if rare else labels,
            random_state=self.random_state,
        )
        return np.sort(train), np.sort(validation)


def _weighed(
    X: np.ndarray, y: np.ndarray, sample_weight: Any, class_weight: Mapping[Any, float] | str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the samples that count, and how often: their own weight times their class'; None where all count once."""
    weights = None
    if sample_weight is not None:
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        counted = weights > 0
        X, y, weights = X[counted], y[counted], weights[counted]
    if class_weight is not None:
        of_class = compute_sample_weight(class_weight, y)
        if not (np.isfinite(of_class) & (of_class > 0)).all():
            raise ValueError(f"class_weight must be finite and above 0. Received: {class_weight}.")
        weights = of_class if weights is None else weights * of_class
    return X, y, weights
