"""Votes of the k nearest training rows by cosine, for every k at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bottleneck_features.models.parallel import Workers

QUERIES = 256  # rows compared at a time by each thread
BLOCK = 4096  # rows measured at a time


def _inverse_lengths(rows: np.ndarray, pool: Workers) -> np.ndarray:
    """Return `(n,)` float32: 1 over the length of each row; 0 for rows of zeros."""

    def invert(part: slice) -> np.ndarray:
        length = np.linalg.norm(rows[part], axis=1).astype(np.float32)
        return np.divide(1, length, out=np.zeros_like(length), where=length > 0)

    return np.concatenate(list(pool.each(invert, len(rows), BLOCK)))


def nearest_labels(queries: np.ndarray, known: np.ndarray, labels: np.ndarray, k: int, pool: Workers) -> np.ndarray:
    """Find the labels of each query's nearest known rows by cosine.

    Args:
        queries: `(m, d)` float32; their length does not matter.
        known: `(n, d)` float32 rows.
        labels: `(n,)` integers.
        k: how many, 1 … n.
        pool: the threads to use; each holds QUERIES × n similarities.

    Returns:
        `(m, k)` labels, the most similar row's first.
    """
    weights = -_inverse_lengths(known, pool)

    def search(part: slice) -> np.ndarray:
        similar = queries[part] @ known.T
        similar *= weights
        found = np.argpartition(similar, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(similar, found, axis=1), axis=1, kind="stable")
        return labels[np.take_along_axis(found, order, axis=1)]

    return np.concatenate(list(pool.each(search, len(queries), QUERIES)))


def kth_distances(queries: np.ndarray, known: np.ndarray, k: int) -> np.ndarray:
    """Return how far each query is from the k-th nearest known row.

    The nearest are found in float32 and measured in float64: small differences of large products would be noise.

    Args:
        queries: `(m, d)` float32; QUERIES × n distances are held.
        known: `(n, d)` float32 rows.
        k: which nearest, from 1; of fewer rows the farthest counts.

    Returns:
        `(m,)` float64.
    """
    nobody = np.zeros((1, len(known)), bool)
    parts = (slice(start, start + QUERIES) for start in range(0, len(queries), QUERIES))
    return np.concatenate([_kth(queries[part], known, k, nobody) for part in parts])


def kth_distances_to_other_groups(queries: np.ndarray, known: np.ndarray, groups: np.ndarray, k: int) -> np.ndarray:
    """Return how far each row is from the k-th nearest row of another group.

    Args:
        queries: `(n, d)` float32; QUERIES × n distances are held.
        known: `(n, d)` float32, the same rows, which may be rounded.
        groups: `(n,)` integers.
        k: which nearest, from 1; of fewer rows in other groups the farthest counts.

    Returns:
        `(n,)` float64; infinite where there is no other group.
    """
    parts = (slice(start, start + QUERIES) for start in range(0, len(queries), QUERIES))
    return np.concatenate([_kth(queries[part], known, k, groups[part, None] == groups) for part in parts])


def _kth(queries: np.ndarray, known: np.ndarray, k: int, left_out: np.ndarray) -> np.ndarray:
    """Return `(m,)` distances to the k-th nearest row; `left_out`, `(m or 1, n)` bool, are infinitely far."""
    squares = (known**2).sum(axis=1) - 2 * queries @ known.T
    squares[np.broadcast_to(left_out, squares.shape)] = np.inf
    nearest = np.argpartition(squares, min(k, len(known)) - 1, axis=1)[:, :k]
    lengths = np.linalg.norm(known[nearest].astype(np.float64) - queries[:, None], axis=2)
    counted = np.isfinite(np.take_along_axis(squares, nearest, axis=1))
    return np.where(counted.any(axis=1), np.where(counted, lengths, 0).max(axis=1), np.inf)


def majority_path(neighbours: np.ndarray, classes: int, views: int = 1) -> np.ndarray:
    """Return the majority's class for every k, each neighbour one vote; a tie goes to the lowest class.

    Args:
        neighbours: `(m · views, k)` labels, nearest first; a sample's views lie one after the other and vote together.
        classes: how many.
        views: of each sample.

    Returns:
        `(k, m)` classes: row i is the answer of the nearest i + 1.
    """
    votes = neighbours.reshape(-1, views, neighbours.shape[1])
    each = np.arange(len(votes))
    counts = np.zeros((len(votes), classes), np.int32)
    leader = np.full(len(votes), classes - 1)
    leaders = np.empty((votes.shape[2], len(votes)), np.intp)
    for rank in range(votes.shape[2]):
        for view in range(views):
            voted = votes[:, view, rank]
            counts[each, voted] += 1
            gained, most = counts[each, voted], counts[each, leader]
            leader = np.where((gained > most) | ((gained == most) & (voted < leader)), voted, leader)
        leaders[rank] = leader
    return leaders


def vote_shares(neighbours: np.ndarray, classes: int) -> np.ndarray:
    """Return `(m, classes)` float64: each class' share of the votes of `(m, k)` neighbours."""
    counts = np.zeros((len(neighbours), classes))
    np.add.at(counts, (np.arange(len(neighbours))[:, None], neighbours), 1.0)
    return counts / neighbours.shape[1]


def smoothed(shares: np.ndarray, k: int) -> np.ndarray:
    """Return `(n, classes)` shares of k votes with one vote more for every class, so that none is impossible (Laplace)."""
    return (k * shares + 1) / (k + shares.shape[1])


def probability_path(neighbours: np.ndarray, classes: int, views: int = 1) -> Iterator[np.ndarray]:
    """Give the `smoothed` shares of the nearest 1, 2, … votes, one k at a time.

    Args:
        neighbours: `(m · views, k)` labels, nearest first; a sample's views lie one after the other and vote together.
        classes: how many.
        views: of each sample.

    Yields:
        `(m, classes)` float64 probabilities.
    """
    votes = neighbours.reshape(-1, views, neighbours.shape[1])
    each, counts = np.arange(len(votes)), np.zeros((len(votes), classes))
    for rank in range(votes.shape[2]):
        for view in range(views):
            counts[each, votes[:, view, rank]] += 1
        yield smoothed(counts / (views * (rank + 1)), rank + 1)
