"""The coordinates in which every linear probe is cheap: standardised features in the eigenbasis of their correlations.

With Z the standardised (n, d) training features, Z'Z/n = V diag(s) V' is computed once. In the coordinates ZV the ridge
problem is diagonal for every L2 value, the multinomial logistic one nearly so, distances and cosines stay what they are,
and directions in which the training data do not vary at all can be left out: no optimum has a component there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.linalg import eigh

from bottleneck_features.models.parallel import Workers

BLOCK = 1024  # rows of one float32 product; sums over blocks are float64
RANK_TOLERANCE = 1e-7  # of the largest eigenvalue, about what float32 products resolve
CONSTANT = 1e-6  # standard deviation, relative to the mean, below which a feature carries nothing but rounding


class Rows(Protocol):
    """`(n, d)` features of any float type that are read by slices: a NumPy array or something that reads a cache."""

    @property
    def shape(self) -> tuple[int, ...]:
        """`(n, d)`."""
        ...

    def __getitem__(self, part: slice) -> np.ndarray: ...


@dataclass(frozen=True)
class Eigenbasis:
    """Standardisation and rotation of features.

    Attributes:
        mean: `(d,)` float64.
        scale: `(d,)` float64, the standard deviation; 1 for constant features.
        eigenvalues: `(r,)` float64, falling, of the correlation matrix; r ≤ min(n − 1, d).
        vectors: `(d, r)` float32, orthonormal columns.
    """

    mean: np.ndarray
    scale: np.ndarray
    eigenvalues: np.ndarray
    vectors: np.ndarray

    def rotate(self, rows: Rows, pool: Workers) -> np.ndarray:
        """Return the coordinates `(n, r)` float32 of `(n, d)` rows."""
        out = np.empty((rows.shape[0], len(self.eigenvalues)), np.float32)

        def fill(part: slice) -> None:
            np.matmul(_standardised(rows[part], self.mean, self.scale), self.vectors, out=out[part])

        for _ in pool.each(fill, len(out), BLOCK):
            pass
        return out

    def to_features(self, weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights `(classes, r)` and bias `(classes,)` of coordinates as those of raw features, float64."""
        coefficients = (weights @ self.vectors.T.astype(np.float64)) / self.scale
        return coefficients, bias - coefficients @ self.mean

    def from_features(self, coefficients: np.ndarray, intercept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights `(classes, d)` and intercept `(classes,)` of raw features as those of coordinates, float64."""
        weights = (coefficients * self.scale) @ self.vectors.astype(np.float64)
        return weights, intercept + coefficients @ self.mean


def eigenbasis(rows: Rows, pool: Workers, weights: np.ndarray | None = None) -> Eigenbasis:
    """Compute the eigenbasis of training features.

    Args:
        rows: `(n, d)`, n ≥ 1, finite.
        pool: the threads to use.
        weights: `(n,)` float64 > 0, how often each row counts; default: once.

    Returns:
        The `Eigenbasis`: from the d×d correlation matrix, or from the n×n matrix of inner products where n < d.
    """
    count, width = rows.shape
    total = count if weights is None else float(weights.sum())
    mean, scale = _moments(rows, weights, total, pool)
    if count < width:
        every = _scaled(_standardised(rows[0:count], mean, scale).astype(np.float64), weights)
        values, vectors = _from_inner_products(every, total)
    else:
        correlation = _correlation(rows, weights, mean, scale, pool)
        correlation /= total
        values, vectors = eigh(correlation, driver="evd", overwrite_a=True)
    kept = np.flatnonzero(values > RANK_TOLERANCE * max(values[-1], 1e-30))[::-1]
    return Eigenbasis(mean, scale, values[kept], np.ascontiguousarray(vectors[:, kept], np.float32))


def _from_inner_products(standardised: np.ndarray, total: float) -> tuple[np.ndarray, np.ndarray]:
    values, left = eigh(standardised @ standardised.T / total, driver="evd", overwrite_a=True)
    norms = np.sqrt(total * np.maximum(values, RANK_TOLERANCE * max(values[-1], 1e-30)))
    return values, standardised.T @ (left / norms)


def _moments(rows: Rows, weights: np.ndarray | None, total: float, pool: Workers) -> tuple[np.ndarray, np.ndarray]:
    count = rows.shape[0]

    def sums(part: slice) -> np.ndarray:
        if weights is None:
            return rows[part].sum(axis=0, dtype=np.float64)
        return weights[part] @ rows[part].astype(np.float64)

    mean = pool.total(sums, count, BLOCK) / total

    def squares(part: slice) -> np.ndarray:
        centred = _scaled(rows[part] - mean, None if weights is None else weights[part])
        return np.einsum("ij,ij->j", centred, centred)

    deviation = np.sqrt(pool.total(squares, count, BLOCK) / total)
    constant = deviation <= CONSTANT * np.abs(mean)
    return mean, np.where(constant | (deviation == 0), 1.0, deviation)


def _correlation(
    rows: Rows, weights: np.ndarray | None, mean: np.ndarray, scale: np.ndarray, pool: Workers
) -> np.ndarray:
    def products(part: slice) -> np.ndarray:
        block = _scaled(_standardised(rows[part], mean, scale), None if weights is None else weights[part])
        return block.T @ block

    return pool.total(products, rows.shape[0], BLOCK)


def _scaled(block: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Multiply rows, in place, by the root of their weights: sums of their products are weighted then."""
    if weights is not None:
        block *= np.sqrt(weights)[:, None].astype(block.dtype)
    return block


def _standardised(rows: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    block: Any = np.asarray(rows, np.float64 if rows.dtype == np.float64 else np.float32)
    return ((block - mean.astype(block.dtype)) / scale.astype(block.dtype)).astype(np.float32, copy=False)
