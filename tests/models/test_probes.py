"""The probes find what scikit-learn finds, for every value of their path, and keep its estimator protocol."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from bottleneck_features import models
from bottleneck_features.models.criteria import log_loss
from bottleneck_features.models.eigenbasis import eigenbasis
from bottleneck_features.models.logistic import L2_VALUES, TOLERANCE, logistic_optimum, logistic_path
from bottleneck_features.models.neighbours import majority_path, nearest_labels, probability_path, smoothed, vote_shares
from bottleneck_features.models.parallel import thread_count, workers
from bottleneck_features.models.probes import (
    Coordinates,
    Linear,
    fit_logistic,
    ridge_path,
    search_logistic,
    search_neighbours,
    search_ridge,
    training_coordinates,
)
from bottleneck_features.models.rows import mean_over_views

SOME_L2 = (1e2, 1.0, 1e-2, 1e-4)


@pytest.fixture(scope="module")
def digits():
    """Real 8×8 digits: 700 to train, 300 to validate; three pixels are constant."""
    pixels, labels = load_digits(return_X_y=True)
    return pixels[:700].astype(np.float32), labels[:700], pixels[700:1000].astype(np.float32), labels[700:1000]


@pytest.fixture(scope="module", params=["more samples than features", "more features than samples"])
def problem(request, digits):
    x, y, x_held, y_held = digits
    if request.param == "more samples than features":
        return x, y, x_held, y_held
    random = np.random.default_rng(0).normal(size=(64, 300)).astype(np.float32) / 8
    return np.maximum(x[:200] @ random, -5), y[:200], np.maximum(x_held @ random, -5), y_held


def _coordinates(problem, pool):
    x, y, x_held, y_held = problem
    basis = eigenbasis(x, pool)
    return Coordinates(basis, basis.rotate(x, pool), y), Coordinates(basis, basis.rotate(x_held, pool), y_held)


def test_the_logistic_path_is_scikit_learns_in_loss_and_probability(problem):
    x, y, x_held, _ = problem
    scaler = StandardScaler().fit(x)
    with workers() as pool:
        train, validation = _coordinates(problem, pool)
        fits = list(logistic_path(train.rows, y, 10, SOME_L2, pool, tolerance=1e-8))
        usual = list(logistic_path(train.rows, y, 10, SOME_L2, pool))
    for fit, quick in zip(fits, usual, strict=True):
        theirs = LogisticRegression(C=1 / (fit.l2 * len(x)), tol=1e-8, max_iter=5000).fit(scaler.transform(x), y)
        expected = theirs.predict_proba(scaler.transform(x_held))
        assert np.abs(fit.probabilities(validation.rows) - expected).max() < (0.01 if fit.l2 > 1e-3 else 0.05), fit.l2
        ours = fit.probabilities(train.rows)[np.arange(len(y)), y].astype(np.float64)
        loss = -np.log(ours).mean() + 0.5 * fit.l2 * np.sum(fit.weights**2)
        best = -np.log(theirs.predict_proba(scaler.transform(x))[np.arange(len(y)), y]).mean()
        best += 0.5 * fit.l2 * np.sum(theirs.coef_**2)
        assert loss == pytest.approx(fit.loss, rel=1e-4)
        assert loss == pytest.approx(best, abs=1e-6)
        assert fit.loss <= quick.loss + 1e-7 < fit.loss + 2e-5


def test_the_fit_that_is_kept_is_the_optimum_at_weak_penalties_too(digits):
    (x, y, _, _), l2 = digits, 1e-4
    with workers() as pool:
        half, whole = (training_coordinates(x[:n], y[:n], pool) for n in (560, 700))
        *_, last = logistic_path(half.rows, half.labels, 10, [value for value in L2_VALUES if value > l2 / 1.5], pool)
        start = Linear(*whole.basis.from_features(*half.basis.to_features(last.weights, last.bias)))
        ours = fit_logistic(whole, 10, l2, start, pool)
    rows = whole.rows.astype(np.float64)
    theirs = LogisticRegression(C=1 / (l2 * len(x)), solver="newton-cg", tol=1e-8, warm_start=True, max_iter=1000)
    theirs.coef_, theirs.intercept_ = ours.weights, ours.bias
    theirs.fit(rows, y)

    def objective(weights, bias):
        return log_loss(softmax(rows @ weights.T + bias, axis=1), y) + 0.5 * l2 * np.sum(weights**2)

    best = objective(theirs.coef_, theirs.intercept_)
    assert objective(ours.weights, ours.bias) == pytest.approx(best, abs=2e-6)


def _rare_classes(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of one common and two rare classes, which L-BFGS alone leaves 2e-4 nats above the optimum where weights differ."""
    labels = random.choice(3, 700, p=(0.8, 0.1, 0.1))
    x = 0.5 * random.normal(size=(3, 10))[labels] + random.normal(size=(700, 10))
    mixed = x * np.logspace(0, -1.5, 10) @ np.linalg.qr(random.normal(size=(10, 10)))[0]
    return np.maximum(mixed, 0), labels


def _separable(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(200) % 4
    return 3 * random.normal(size=(4, 30))[labels] + random.normal(size=(200, 30)), labels


def _more_features_than_rows(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = random.integers(0, 3, 80)  # no feature tells them apart
    return random.normal(size=(80, 120)), labels


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("problem", [_rare_classes, _separable, _more_features_than_rows])
def test_every_fit_of_a_small_path_is_scikit_learns_optimum(problem, weighted, seed):
    random = np.random.default_rng(seed)
    x, labels = problem(random)
    weights, classes = random.choice([0.01, 1, 50], len(x)) if weighted else np.ones(len(x)), labels.max() + 1
    with workers() as pool:
        train = training_coordinates(x.astype(np.float32), labels, pool, weights=weights if weighted else None)
        rows, counts = train.rows, train.row_weights
        near = list(logistic_path(rows, labels, classes, L2_VALUES, pool, counts=counts))
        fits = [logistic_optimum(fit, rows, labels, pool, counts=counts) for fit in near]
    assert all(fit.left <= TOLERANCE for fit in fits)
    for fit in fits[::-6]:
        l2, share = fit.l2, weights / weights.sum()
        best = LogisticRegression(C=1 / (l2 * weights.sum()), solver="newton-cholesky", tol=1e-9, max_iter=1000)
        best.fit(rows.astype(np.float64), labels, sample_weight=weights)

        def objective(coefficients, bias, l2=l2, share=share):
            logs = log_softmax(rows.astype(np.float64) @ coefficients.T + bias, axis=1)
            return -share @ logs[np.arange(len(rows)), labels] + 0.5 * l2 * np.sum(coefficients**2)

        assert fit.loss <= objective(best.coef_, best.intercept_) + TOLERANCE
        assert fit.loss == pytest.approx(objective(fit.weights, fit.bias), abs=1e-10)


def test_the_ridge_path_is_scikit_learns_to_a_thousandth(problem):
    x, y, x_held, _ = problem
    scaler = StandardScaler().fit(x)
    with workers() as pool:
        train, validation = _coordinates(problem, pool)
        weights, bias = ridge_path(train.rows, y, 10, SOME_L2, pool, eigenvalues=train.basis.eigenvalues)
    for value, matrix in zip(SOME_L2, weights, strict=True):
        theirs = Ridge(alpha=value * len(x)).fit(scaler.transform(x).astype(float), np.eye(10)[y])
        expected = theirs.predict(scaler.transform(x_held).astype(float))
        np.testing.assert_allclose(validation.rows @ matrix.T + bias, expected, atol=1e-3)


def test_the_votes_of_every_k_are_scikit_learns(digits):
    x, y, x_held, _ = digits
    with workers() as pool:
        found = nearest_labels(x_held, x, y, 200, pool)
    ours = majority_path(found, 10)
    for k in (1, 2, 5, 20, 200):
        theirs = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(x, y)
        assert (ours[k - 1] == theirs.predict(x_held)).mean() > 0.995, k
        assert np.abs(vote_shares(found[:, :k], 10) - theirs.predict_proba(x_held)).max() <= 1 / k
    assert (ours == [vote_shares(found[:, : k + 1], 10).argmax(axis=1) for k in range(200)]).all()
    for views in (1, 2):
        for k, probabilities in enumerate(probability_path(found, 10, views), start=1):
            shares = mean_over_views(vote_shares(found[:, :k], 10), views)
            np.testing.assert_allclose(probabilities, smoothed(shares, k), rtol=1e-12)


def test_the_eigenbasis_keeps_inner_products_and_drops_what_does_not_vary(digits):
    x, _, x_held, _ = digits
    with workers() as pool:
        basis = eigenbasis(x, pool)
        known, new = basis.rotate(x, pool), basis.rotate(x_held, pool)
    scaler = StandardScaler().fit(x)
    assert basis.vectors.shape == (64, np.linalg.matrix_rank(x - x.mean(axis=0)))
    np.testing.assert_allclose(new @ known.T, scaler.transform(x_held) @ scaler.transform(x).T, atol=0.02)


def test_weights_move_to_raw_features_and_back_unchanged(digits):
    x, _, _, _ = digits
    with workers() as pool:
        basis = eigenbasis(x, pool)
        rotated = basis.rotate(x, pool)
    random = np.random.default_rng(0)
    weights, bias = random.normal(size=(10, rotated.shape[1])), random.normal(size=10)
    coefficients, intercept = basis.to_features(weights, bias)
    np.testing.assert_allclose(x @ coefficients.T + intercept, rotated @ weights.T + bias, atol=1e-3)
    again, offset = basis.from_features(coefficients, intercept)
    np.testing.assert_allclose(again, weights, atol=1e-5)
    np.testing.assert_allclose(offset, bias, atol=1e-9)


def test_views_are_averaged_over_a_sample_and_never_counted_as_samples(digits):
    x, y, x_held, y_held = digits
    doubled = [np.repeat(rows, 2, axis=0) for rows in (x, x_held)]
    with workers() as pool:
        train, validation = _coordinates((x, y, x_held, y_held), pool)
        basis = eigenbasis(doubled[0], pool)
        twice = [
            Coordinates(basis, basis.rotate(rows, pool), labels, views=2)
            for rows, labels in zip(doubled, (y, y_held), strict=True)
        ]
        one, _ = search_ridge(train, validation, 10, SOME_L2, pool)
        two, _ = search_ridge(*twice, 10, SOME_L2, pool)
        np.testing.assert_allclose(one.accuracy, two.accuracy, atol=0.004)
        one, _ = search_logistic(train, validation, 10, SOME_L2, pool)
        two, _ = search_logistic(*twice, 10, SOME_L2, pool)
        np.testing.assert_allclose(one.accuracy, two.accuracy, atol=0.01)
        assert len(search_neighbours(*twice, 10, 5, pool)[0].accuracy) == 5


def test_the_logistic_probe_runs_in_a_pipeline_and_can_be_cloned(digits):
    x, y, x_held, y_held = digits
    probe = models.LogisticPath()
    names = np.array([f"digit {label}" for label in range(10)])
    fitted = make_pipeline(StandardScaler(), clone(probe)).fit(x, names[y])
    assert set(fitted.classes_) == set(names)
    assert fitted.score(x_held, names[y_held]) > 0.88
    assert clone(probe).get_params() == probe.get_params()
    np.testing.assert_allclose(fitted.predict_proba(x_held).sum(axis=1), 1, atol=1e-6)


def test_the_chosen_value_is_the_best_on_held_out_samples(digits):
    x, y, _, _ = digits
    fitted = models.LogisticPath(l2=SOME_L2).fit(x, y)
    assert len(fitted.path_.values) == len(SOME_L2)
    assert fitted.path_.accuracy[list(fitted.path_.values).index(fitted.l2_)] == fitted.path_.accuracy.max()


@pytest.mark.parametrize("rare", [False, True])
def test_the_validation_fraction_holds_with_a_class_of_one_sample_too(digits, rare):
    x, y, _, _ = digits
    y = np.where(np.arange(700) == 5, 10, y) if rare else y
    fitted = models.LogisticPath(l2=(1.0,), validation_fraction=0.4).fit(x, y)
    right = float(fitted.path_.accuracy[0]) * 280
    assert right == pytest.approx(round(right)), "280 of 700 samples are held out"
    assert fitted.coef_.shape == (11 if rare else 10, 64)


@pytest.mark.slow
def test_the_logistic_probe_keeps_scikit_learns_protocol():
    drawn = {"check_sample_weight_equivalence_on_dense_data": "repeated rows are held out otherwise than weighted ones"}
    problems = check_estimator(models.LogisticPath(), expected_failed_checks=drawn, on_fail=None, on_skip=None)
    failed = {check["check_name"]: str(check["exception"]) for check in problems if check["status"] == "failed"}
    assert not failed


def test_a_fit_that_is_not_finished_is_no_secret(digits, monkeypatch):
    monkeypatch.setattr("bottleneck_features.models.logistic.STEPS", 1)
    monkeypatch.setattr("bottleneck_features.models.logistic.ITERATIONS", 1)
    with pytest.warns(
        ConvergenceWarning, match=r"l2 = 0\.0001 stopped before its optimum: \S+ nats may be left to gain"
    ):
        models.LogisticPath(l2=(1e-4,)).fit(*digits[:2])


def test_one_class_is_refused_by_name(digits):
    with pytest.raises(ValueError, match=r"one class: \[7\]"):
        models.LogisticPath().fit(digits[0], np.full(700, 7))


def test_workers_within_workers_are_as_many(monkeypatch):
    monkeypatch.setattr("bottleneck_features.models.parallel.joblib.cpu_count", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with workers() as outer, workers() as inner:
        assert (outer.threads, inner.threads) == (4, 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert thread_count() == 3


def test_the_probes_do_not_load_tensorflow():
    code = (
        "import sys; from bottleneck_features import models; models.LogisticPath; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
