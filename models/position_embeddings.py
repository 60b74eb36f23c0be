"""Position embeddings for another number of patches than they were trained for."""

from __future__ import annotations

import math

import numpy as np

BICUBIC, ANTIALIASED = -0.75, -0.5  # the cubic's parameter in PyTorch, without and with antialiasing


def at_grid(embeddings: np.ndarray, grid: tuple[int, int], antialias: bool = False) -> np.ndarray:
    """Resize position embeddings as `torch.nn.functional.interpolate(mode="bicubic", align_corners=False)` does.

    Args:
        embeddings: `(…, tokens, channels)` with a square grid of patches at the end, after a class token and the like.
        grid: rows and columns of the patches to come.
        antialias: whether the kernel widens when the grid shrinks.

    Returns:
        float32 `(prefix + rows · columns, channels)`.
    """
    table = embeddings.reshape(-1, embeddings.shape[-1])
    side = math.isqrt(len(table))
    prefix, patches = table[: len(table) - side * side], table[len(table) - side * side :]
    rows, columns = (resize_matrix(side, length, antialias) for length in grid)
    resized = np.einsum("ah,bw,hwc->abc", rows, columns, patches.reshape(side, side, -1).astype(np.float64))
    return np.concatenate([prefix, resized.reshape(-1, table.shape[-1])]).astype(np.float32)


def resize_matrix(length: int, target: int, antialias: bool = False) -> np.ndarray:
    """Return the `(target, length)` matrix of bicubic resizing along one axis; pixels beyond the edge are those at it."""
    step = length / target
    width = max(step, 1.0) if antialias else 1.0
    a = ANTIALIASED if antialias else BICUBIC
    matrix = np.zeros((target, length))
    for row in range(target):
        centre = (row + 0.5) * step - 0.5
        for place in range(math.floor(centre - 2 * width) + 1, math.floor(centre + 2 * width) + 1):
            if antialias and not 0 <= place < length:
                continue
            matrix[row, min(max(place, 0), length - 1)] += _cubic((place - centre) / width, a)
    return matrix / matrix.sum(axis=1, keepdims=True)


def _cubic(x: float, a: float) -> float:
    x = abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0
