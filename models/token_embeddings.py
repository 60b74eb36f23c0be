"""The tokens of a transformer: special ones before those of the patches, with position embeddings for any number of patches."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

BICUBIC, ANTIALIASED = -0.75, -0.5  # the cubic's parameter in PyTorch, without and with antialiasing


@keras.saving.register_keras_serializable("bottleneck")
class TokenEmbedding(keras.layers.Layer):
    """Put special tokens before the patches of a map, and add the position embeddings; registers have none.

    Source: A. Dosovitskiy et al., An Image is Worth 16x16 Words, 2021; of registers T. Darcet et al., Vision Transformers Need
    Registers, 2024.

    Args:
        special: tokens with a position before the patches, the class token first.
        registers: tokens without a position, between these and the patches.
    """

    def __init__(self, special: int, registers: int = 0, **settings: Any) -> None:
        super().__init__(**settings)
        self.special, self.registers = special, registers

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights for maps `(n, h, w, c)`."""
        _, height, width, channels = input_shape
        self.tokens = self.add_weight(shape=(1, self.special + self.registers, channels), name="tokens")
        positions = (1, self.special + height * width, channels)  # type: ignore[operator]
        self.positions = self.add_weight(shape=positions, name="positions")

    def call(self, patches: Any) -> Any:
        """Return the tokens `(n, special + registers + h · w, c)`."""
        x = ops.reshape(patches, (-1, self.positions.shape[1] - self.special, patches.shape[-1]))
        x = x + self.positions[:, self.special :]
        if not self.special + self.registers:
            return x
        first = self.tokens[:, : self.special] + self.positions[:, : self.special]
        ahead = ops.concatenate([first, self.tokens[:, self.special :]], axis=1)
        return ops.concatenate([ops.tile(ahead, (ops.shape(x)[0], 1, 1)), x], axis=1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the tokens."""
        batch, height, width, channels = input_shape
        return batch, self.special + self.registers + height * width, channels  # type: ignore[operator]

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made again from when a model is loaded."""
        return {**super().get_config(), "special": self.special, "registers": self.registers}


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
