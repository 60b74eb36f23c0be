"""Rows of features: positions and views averaged, and scaled to unit length."""

from __future__ import annotations

import numpy as np


def mean_over_positions(maps: np.ndarray, views: int) -> np.ndarray:
    """Return `(n · views, channels)` rows of features `(n, …, channels)`, with several views `(n, views, …, channels)`.

    Means are float32; features without positions keep their dtype.
    """
    flat = maps.reshape(len(maps) * views, -1, maps.shape[-1])
    return flat[:, 0] if flat.shape[1] == 1 else flat.mean(axis=1, dtype=np.float32)


def mean_over_views(rows: np.ndarray, views: int) -> np.ndarray:
    """Return `(n, d)` means of `(n · views, d)` rows of features or scores; a sample's views lie one after the other."""
    return rows if views == 1 else rows.reshape(-1, views, rows.shape[1]).mean(axis=1)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Return `(n, d)` rows in float32, each scaled to unit length; a row of zeros stays as it is."""
    rows = rows.astype(np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
