"""Weights drawn by their names: the same on every machine, and none of them near a value that would hide a fault.

Uniform numbers only: they are made of bits and products, so that no machine's logarithm or exponential takes part.
"""

import hashlib
import re
import zlib
from collections.abc import Mapping

import numpy as np

SEED = 23
Shapes = Mapping[str, tuple[int, ...]]
TOKENS = r"(_token|register_tokens|class_embedding|position_embeddings|position_embedding\.weight)$"
RULES: tuple[tuple[str, float, float], ...] = (  # pattern of the name, mean, standard deviation
    (r"running_var$", 1.0, 0.3),
    (r"running_mean$", 0.0, 0.3),
    (r"lambda1$", 0.6, 0.2),
    (r"bias$", 0.0, 0.3),
    (TOKENS, 0.0, 0.6),
    (r"(relative_position_bias_table|probe)$", 0.0, 1.0),
)
GAINS: tuple[tuple[str, float], ...] = (  # of matrices, over 1/√fan-in
    (r"\.(query|key|q_proj|k_proj)\.weight$", 1.6),  # attention far from uniform
    (r"in_proj_weight$", 1.3),
    (r"^(conv1|layer\d.*(conv\d|downsample\.0))\.weight$", 2**0.5),  # ReLU halves the second moment
    (r"", 1.0),
)


def draw_weights(shapes: Shapes) -> dict[str, np.ndarray]:
    """Draw every weight of a network, float32 (counts: int64), by its name alone."""
    return {name: draw(name, shape) for name, shape in shapes.items()}


def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.array(1000)
    mean, deviation = mean_and_deviation(name, shape)
    centred = np.random.default_rng([SEED, zlib.crc32(name.encode())]).random(shape) - 0.5
    return (mean + deviation * 12**0.5 * centred).astype(np.float32)


def mean_and_deviation(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    for pattern, mean, deviation in RULES:
        if re.search(pattern, name):
            return mean, deviation
    if len(shape) == 1:  # a norm's gamma
        return 1.0, 0.3
    gain = next(gain for pattern, gain in GAINS if re.search(pattern, name))
    return 0.0, gain / float(np.prod(shape[1:])) ** 0.5


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Hash names, dtypes, shapes and bytes of arrays, whatever their order."""
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
