"""The mean cross-entropy of a linear classifier over weighted rows, with its derivatives, in blocks shared among threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import softmax

from bottleneck_features.models.parallel import Workers

_BLOCK = 512  # rows of one product: with 2,048 features 4 MiB, which stay in the processor's cache
_KEPT = 1 << 24  # probabilities that are kept for the next product with the same Hessian, 128 MiB


class CrossEntropy:
    """Mean cross-entropy of softmax(rows · weights' + bias); parameters and sums over blocks are float64.

    Attributes:
        shape: of the weights, `(classes, r)`.
    """

    def __init__(
        self,
        rows: np.ndarray,
        labels: np.ndarray,
        classes: int,
        counts: np.ndarray | None,
        pool: Workers,
        dtype: type[np.floating] = np.float32,
    ) -> None:
        """Keep what it is the mean over.

        Args:
            rows: `(n, r)` float32.
            labels: `(n,)` integers in 0 … classes − 1.
            classes: how many.
            counts: `(n,)` float64 > 0, how often each row counts; None: once.
            pool: the threads to use.
            dtype: of the products within a block.
        """
        self.shape = (classes, rows.shape[1])
        self._rows, self._labels, self._pool, self._counts, self._dtype = rows, labels, pool, counts, dtype
        self._total = len(rows) if counts is None else counts.sum()

    def log_frequencies(self) -> np.ndarray:
        """Return the logarithms of the classes' frequencies, `(classes,)`: the best bias where weights are 0."""
        counts = np.bincount(self._labels, self._counts, minlength=self.shape[0])
        least = 0.5 if self._counts is None else 0.5 * min(1.0, self._counts.min())
        return np.log(np.maximum(counts, least) / self._total)

    def split(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights `(classes, r)` and bias `(classes,)` of one vector of both."""
        return values[: -self.shape[0]].reshape(self.shape), values[-self.shape[0] :]

    def gradient(self, values: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the mean cross-entropy, and its gradient, at one vector of weights and bias."""
        matrix, offset = self._narrowed(values)

        def share(parts: list[slice]) -> tuple[float, np.ndarray, np.ndarray]:
            loss, slopes, offsets = 0.0, np.zeros(self.shape), np.zeros(self.shape[0])
            for part in parts:
                block, own = self._block(part), self._labels[part]
                residual, normaliser, right = _residual(block @ matrix + offset, own)
                loss += self._summed(normaliser, part) - self._summed(right, part)
                residual = self._weighted(residual, part)
                slopes += residual.T @ block
                offsets += residual.sum(axis=0, dtype=np.float64)
            return loss, slopes, offsets

        loss, slopes, offsets = self._means(share)
        return float(loss), np.concatenate([slopes.ravel(), offsets])

    def curvature(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the diagonal of the Hessian, as weights `(classes, r)` and bias `(classes,)`."""
        matrix, offset = self._narrowed(values)

        def share(parts: list[slice]) -> tuple[np.ndarray, np.ndarray]:
            slopes, offsets = np.zeros(self.shape), np.zeros(self.shape[0])
            for part in parts:
                block = self._block(part)
                probabilities = softmax(block @ matrix + offset, axis=1)
                spread = self._weighted(probabilities * (1 - probabilities), part)
                slopes += spread.T @ np.square(block)
                offsets += spread.sum(axis=0, dtype=np.float64)
            return slopes, offsets

        slopes, offsets = self._means(share)
        return slopes, offsets

    def hessian(self, values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Return what multiplies the Hessian at one vector of weights and bias by another one."""
        matrix, offset = self._narrowed(values)
        kept: dict[int, np.ndarray] = {}

        def probabilities(part: slice, block: np.ndarray) -> np.ndarray:
            if part.start in kept:
                return kept[part.start]
            found = softmax(block @ matrix + offset, axis=1)
            if len(self._rows) * self.shape[0] <= _KEPT:
                kept[part.start] = found
            return found

        def product(direction: np.ndarray) -> np.ndarray:
            along, beside = self._narrowed(direction)

            def share(parts: list[slice]) -> tuple[np.ndarray, np.ndarray]:
                slopes, offsets = np.zeros(self.shape), np.zeros(self.shape[0])
                for part in parts:
                    block = self._block(part)
                    own, change = probabilities(part, block), block @ along + beside
                    change -= np.einsum("nc,nc->n", own, change)[:, None]
                    change = self._weighted(own * change, part)
                    slopes += change.T @ block
                    offsets += change.sum(axis=0, dtype=np.float64)
                return slopes, offsets

            slopes, offsets = self._means(share)
            return np.concatenate([slopes.ravel(), offsets])

        return product

    def _narrowed(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        weights, bias = self.split(values)
        return np.ascontiguousarray(weights.T, self._dtype), bias.astype(self._dtype)

    def _block(self, part: slice) -> np.ndarray:
        return self._rows[part].astype(self._dtype, copy=False)

    def _weighted(self, values: np.ndarray, part: slice) -> np.ndarray:
        """Multiply rows, in place, by how often they count."""
        if self._counts is not None:
            values *= self._counts[part, None].astype(self._dtype)
        return values

    def _summed(self, values: np.ndarray, part: slice) -> float:
        return float(values.sum(dtype=np.float64) if self._counts is None else self._counts[part] @ values)

    def _means(self, share: Callable[[list[slice]], tuple[float | np.ndarray, ...]]) -> list[np.ndarray]:
        totals = self._pool.totals(share, len(self._rows), _BLOCK)
        return [np.sum(parts, axis=0) / self._total for parts in zip(*totals, strict=True)]


def _residual(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn `(n, classes)` scores into probabilities minus one-hot labels, in place.

    Also returned are the two parts, each `(n,)`, whose difference is the cross-entropy.
    """
    each = np.arange(len(labels))
    scores -= scores.max(axis=1, keepdims=True)
    right = scores[each, labels]
    np.exp(scores, out=scores)
    total = scores.sum(axis=1, keepdims=True)
    scores /= total
    scores[each, labels] -= 1
    return scores, np.log(total[:, 0]), right
