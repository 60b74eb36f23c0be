"""What is read out of a layer: the mean of a map, a class token, the mean of the patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from bottleneck_features.models.errors import InvalidSetting
from bottleneck_features.models.recipe import Tokens

MOST_PREFIX = 16  # tokens before the patches, in networks that were published


def read_out(x: Any, reading: str, tokens: Tokens | None = None) -> Any:
    """Read a layer's output.

    Args:
        x: a vector `(n, c)`, a map `(n, h, w, c)` or tokens `(n, t, c)`; of TensorFlow or of Keras.
        reading: one of `READINGS`.
        tokens: how the tokens lie; None for vectors and maps.

    Returns:
        `(n, c)`; for `"none"` the map `(n, h, w, c)`; for `"cls+patches"` `(n, 2 c)`.
    """
    positions = tuple(range(1, len(x.shape) - 1))
    if not positions:
        return x
    if tokens is not None:
        first, x = x[:, 0], x[:, tokens.prefix :]
        if reading == "cls":
            return first
        if reading == "cls+patches":
            return ops.concatenate([first, ops.mean(x, axis=1)], axis=-1)
        if reading == "none":
            return ops.reshape(x, (-1, *tokens.grid, x.shape[-1]))
    if reading == "none":
        return x
    return ops.max(x, axis=positions) if reading == "max" else ops.mean(x, axis=positions)


def reading_of(layer: str, shape: Sequence[int | None], pooling: str, tokens: Tokens | None) -> str:
    """Return which of `READINGS` a pooling means for a layer.

    Args:
        layer: its name, for messages.
        shape: of its output, with the first axis.
        pooling: one of `POOLINGS`.
        tokens: how its tokens lie; None for vectors and maps.

    Raises:
        InvalidSetting: if the layer has not what is to be read.
    """
    rank = len(shape)
    vector, has_class = rank == 2, tokens is not None and tokens.prefix > 0
    if pooling == "auto":
        return "cls" if has_class else reading_of(layer, shape, "avg", tokens)
    if pooling in ("cls", "cls+patches") and not has_class:
        what = "is a vector" if vector else "is a map" if tokens is None else "has patches only"
        other = "auto" if vector else "patches"
        raise InvalidSetting(
            f"features.pooling={pooling}: layer '{layer}' has no class token, it {what} {tuple(shape[1:])}. "
            f"Set features.pooling={other}, or name a layer that has one."
        )
    if pooling == "patches" and vector:
        raise InvalidSetting(
            f"features.pooling=patches: layer '{layer}' is a vector {tuple(shape[1:])}, without patches. Name an earlier layer."
        )
    if pooling == "pooler" and not vector:
        raise InvalidSetting(
            f"features.pooling=pooler: layer '{layer}' is no pooler's vector, its shape is {tuple(shape[1:])}. Set "
            "backbone.layers to the pooler, where the network has one, or features.pooling=auto."
        )
    if rank == 3 and tokens is None and pooling != "none":
        raise InvalidSetting(
            f"Layer '{layer}' gives {shape[1]} tokens, and nothing tells which of them are of patches: set "
            "features.pooling=none, or name a layer that is pooled."
        )
    return pooling


def tokens_in(shape: Sequence[int | None], size: tuple[int, int]) -> Tokens | None:
    """Return how the tokens of an unknown network lie, by their number: a grid that divides the image, after at most 16 others.

    Args:
        shape: of a layer's output, with the first axis.
        size: height and width of the images.

    Returns:
        None where the output is not of rank 3, or no grid fits.
    """
    if len(shape) != 3 or not shape[1]:
        return None
    count, (height, width) = int(shape[1]), size
    found = []
    for side in range(1, min(size) + 1):
        if height % side == 0 and width % side == 0:
            rows, columns = height // side, width // side
            if 0 <= count - rows * columns <= MOST_PREFIX and rows * columns > count // 2:
                found.append(Tokens(count - rows * columns, (rows, columns)))
    return min(found, key=lambda one: one.prefix) if found else None
