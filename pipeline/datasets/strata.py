"""Samples drawn at random, every class in its proportion and none left out."""

import numpy as np


def stratified_draw(labels: np.ndarray, size: int, seed: int, left: int) -> np.ndarray:
    """Draw samples without replacement, of each class nearly its share.

    scikit-learn's stratified draw is taken where it keeps what is asked for here: it gives rare classes no sample now and then.

    Args:
        labels: `(n,)` integer array.
        size: how many are drawn.
        seed: the same seed gives the same samples.
        left: of every class at least so many are not drawn.

    Returns:
        Their sorted positions, at least one of every class.

    Raises:
        ValueError: there are too few samples for that.
    """
    from sklearn.model_selection import train_test_split

    _, own, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if (counts <= left).any() or not len(counts) <= size <= len(labels) - left * len(counts):
        raise ValueError(f"{size} of {len(labels)} samples of {len(counts)} classes, {left} of each left")
    if counts.min() > 1 and len(counts) <= len(labels) - size:
        drawn, _ = train_test_split(np.arange(len(labels)), train_size=size, stratify=labels, random_state=seed)
        found = np.bincount(own[drawn], minlength=len(counts))
        if ((found > 0) & (counts - found >= left)).all():
            return np.sort(drawn)
    rng = np.random.default_rng(seed)
    shares = _shares(counts, size, counts - left)
    drawn = [rng.choice(np.flatnonzero(own == label), share, replace=False) for label, share in enumerate(shares)]
    return np.sort(np.concatenate(drawn))


def _shares(counts: np.ndarray, size: int, most: np.ndarray) -> np.ndarray:
    """How many of each class: its share of `size`, at least one and at most `most`, those rounded furthest mended first."""
    exact = size * counts / counts.sum()
    shares = np.clip(np.floor(exact).astype(int), 1, most)
    while shares.sum() < size:
        shares[np.where(shares < most, exact - shares, -np.inf).argmax()] += 1
    while shares.sum() > size:
        shares[np.where(shares > 1, exact - shares, np.inf).argmin()] -= 1
    return shares
