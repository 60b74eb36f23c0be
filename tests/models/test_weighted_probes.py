"""A fit on samples with whole weights is the fit on samples that are repeated as often."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bottleneck_features.models.eigenbasis import eigenbasis
from bottleneck_features.models.logistic import logistic_path
from bottleneck_features.models.parallel import workers
from bottleneck_features.models.probes import Linear, fit_logistic, fit_ridge, linear_scores, training_coordinates

CLASSES = 3
SOME = settings(deadline=None, max_examples=30)


@st.composite
def problems(draw):
    """Samples, weights, views; with 8 features more rows than features, with 90 fewer, once repeated perhaps not."""
    samples, views = draw(st.integers(20, 40)), draw(st.sampled_from([1, 2]))
    features = draw(st.sampled_from([8, 90]))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    labels = random.permutation(np.arange(samples) % CLASSES)
    rows = random.normal(size=(samples, views, features)) * random.uniform(0.5, 3, features) + random.normal(
        size=features
    )
    rows[..., :CLASSES] += 2 * np.eye(CLASSES)[labels][:, None]
    weights = random.integers(1, 5, samples)
    return rows.astype(np.float32), labels, weights, views


def _both(problem, pool):
    """The weighted samples and the repeated ones, each in a basis of its own, and new rows in both."""
    rows, labels, weights, views = problem
    often = np.repeat(np.arange(len(labels)), weights)
    flat = rows.shape[-1]
    weighted = training_coordinates(rows.reshape(-1, flat), labels, pool, views=views, weights=weights)
    repeated = training_coordinates(rows[often].reshape(-1, flat), labels[often], pool, views=views)
    new = np.random.default_rng(1).normal(size=(50, flat)).astype(np.float32)
    return [(one, one.basis.rotate(new, pool)) for one in (weighted, repeated)]


@SOME
@given(problem=problems())
def test_the_basis_is_that_of_repeated_rows(problem):
    with workers() as pool:
        (weighted, _), (repeated, _) = _both(problem, pool)
    np.testing.assert_allclose(weighted.basis.mean, repeated.basis.mean, rtol=1e-12)
    np.testing.assert_allclose(weighted.basis.scale, repeated.basis.scale, rtol=1e-12)
    ours, theirs = ((one.vectors * one.eigenvalues) @ one.vectors.T for one in (weighted.basis, repeated.basis))
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


@SOME
@given(problem=problems(), l2=st.sampled_from([10.0, 1.0, 0.1]))
def test_the_ridge_is_that_of_repeated_rows(problem, l2):
    with workers() as pool:
        ours, theirs = (linear_scores(new, fit_ridge(train, CLASSES, l2, pool)) for train, new in _both(problem, pool))
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


@SOME
@given(problem=problems(), l2=st.sampled_from([10.0, 1.0, 0.1]))
def test_the_logistic_regression_is_that_of_repeated_rows(problem, l2):
    with workers() as pool:
        both = _both(problem, pool)
        fits = [
            next(logistic_path(t.rows, t.row_labels, CLASSES, (l2,), pool, counts=t.row_weights, tolerance=1e-8))
            for t, _ in both
        ]
        ours, theirs = (
            linear_scores(new, fit_logistic(train, CLASSES, l2, Linear(fit.weights, fit.bias), pool))
            for fit, (train, new) in zip(fits, both, strict=True)
        )
    assert fits[0].loss == pytest.approx(fits[1].loss, abs=1e-7)
    # a loss within 1e-8 of the optimum leaves the weights within sqrt(2e-8 / l2) of its own: l2 is its least curvature
    reach = max(np.linalg.norm(new, axis=1).max() for _, new in both)
    np.testing.assert_allclose(ours, theirs, atol=2 * np.sqrt(2e-8 / l2) * reach)


@pytest.mark.parametrize("features", [8, 90])
def test_weights_of_one_and_of_any_scale_change_nothing(features):
    random = np.random.default_rng(0)
    rows, labels = random.normal(size=(40, features)).astype(np.float32), np.arange(40) % CLASSES
    with workers() as pool:
        plain = eigenbasis(rows, pool)
        for scale in (1.0, 1e-3, 1e4):
            weighted = training_coordinates(rows, labels, pool, weights=np.full(40, scale))
            np.testing.assert_allclose(weighted.basis.mean, plain.mean, atol=1e-12)
            np.testing.assert_allclose(weighted.basis.eigenvalues, plain.eigenvalues, rtol=1e-4)
            fits = logistic_path(weighted.rows, labels, CLASSES, (1.0,), pool, counts=weighted.row_weights)
            expected = logistic_path(weighted.rows, labels, CLASSES, (1.0,), pool)
            assert next(fits).loss == pytest.approx(next(expected).loss, abs=1e-6)
