"""The threshold at which two classes are told apart best."""

import numpy as np


def best_threshold(labels: np.ndarray, scores: np.ndarray, select: str) -> float:
    """Return the score from which the second class is answered, so that the figure is largest on these images.

    Where several thresholds reach it, the middle of the widest range of scores that do is taken.

    Args:
        labels: `(n,)` 0 or 1, both occur.
        scores: `(n,)` of the second class, 0..1.
        select: `balanced-accuracy` or `macro-f1`.
    """
    thresholds, values = _path(labels, scores, select)
    best = np.flatnonzero(values >= values.max() - 1e-12)
    below = np.append(thresholds[1:], 0.0)  # the next lower score: anything above it answers the same
    widest = best[np.argmax(np.minimum(thresholds[best], 1.0) - below[best])]
    return float((min(thresholds[widest], 1.0) + below[widest]) / 2)


def reached_at_best(labels: np.ndarray, scores: np.ndarray, select: str) -> float:
    """Return the figure at the best threshold; arguments as in `best_threshold`."""
    return float(_path(labels, scores, select)[1].max())


def _path(labels: np.ndarray, scores: np.ndarray, select: str) -> tuple[np.ndarray, np.ndarray]:
    """Return every threshold that answers otherwise, falling, from one that answers no second class, and its figure."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order].astype(np.float64), labels[order] == 1
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    found = np.concatenate([[0], np.cumsum(hits)[last]])
    wrong = np.concatenate([[0], np.cumsum(~hits)[last]])
    positives, negatives = max(1, int(hits.sum())), max(1, int((~hits).sum()))
    thresholds = np.concatenate([[np.inf], ranked[last]])
    if select == "balanced-accuracy":
        return thresholds, (found / positives + (negatives - wrong) / negatives) / 2
    first = 2 * (negatives - wrong) / np.maximum(2 * (negatives - wrong) + wrong + (positives - found), 1)
    second = 2 * found / np.maximum(2 * found + wrong + (positives - found), 1)
    return thresholds, (first + second) / 2
