"""Turn batches of uint8 images into features: the public face of the engines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from bottleneck_features.models.engines import Engine
from bottleneck_features.models.errors import InvalidSetting
from bottleneck_features.models.recipe import Recipe

T = TypeVar("T")


@dataclass(frozen=True)
class Extractor:
    """A compiled function from images to features; build it with `build_extractor`.

    Attributes:
        recipe: layers, pooling, sizes, kernel and views.
        engine: `"tensorflow"` or `"openvino"`.
        precision: what it computes in.
        batch_size: the most images a call takes; fewer are padded, so that a batch's bits do not depend on its length.
        output_shapes: shape of one image's features by layer, `(views, …)` for several views.
        check: by layer, mean `cosine`, `lowest_cosine` and `relative_error` (L2) against the float32 reference, and as
            `input_check` has them, the share of `constant_channels` and the `largest` number; of what reaches the first
            weights the `input_lowest`, the `input_highest` and the standard deviation `input_deviation`.
        gflop_per_image: work for one image, a multiply-add counted as two.
        in_flight: batches worth having under way at a time.
    """

    recipe: Recipe
    engine: str
    precision: str
    batch_size: int
    output_shapes: dict[str, tuple[int, ...]]
    check: dict[str, dict[str, float]]
    gflop_per_image: float
    in_flight: int
    _engine: Engine

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the features of one batch.

        Args:
            images: uint8 `(n, height, width, 3)` with `1 <= n <= batch_size`.

        Returns:
            float32 arrays `(n, *output_shapes[layer])` by layer.

        Raises:
            InvalidSetting: if the images are not uint8, or of another shape.
        """
        return self._start(images)()

    def map(self, batches: Iterable[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        """Yield the features of batch after batch, in order, with as many under way as keep the devices busy.

        Args:
            batches: each as in a call.

        Yields:
            What a call returns.

        Raises:
            InvalidSetting: if a batch is not uint8, or of another shape.
        """
        yield from self._overlapped(self._start(images) for images in batches)

    def repeat(self, images: np.ndarray, times: int) -> None:
        """Run one batch again and again from where it lies on the device: the bare forward pass, for benchmarks.

        Args:
            images: uint8 `(n, height, width, 3)` with `1 <= n <= batch_size`.
            times: how often.

        Raises:
            InvalidSetting: if the images are not uint8, or of another shape.
        """
        placed = self._engine.place(self._padded(images))
        for _ in self._overlapped(self._engine.submit(placed) for _ in range(times)):
            pass

    def _overlapped(self, started: Iterator[Callable[[], T]]) -> Iterator[T]:
        """Yield the results of what was started, in order, with `in_flight` of them under way."""
        pending: deque[Callable[[], T]] = deque()
        for wait in started:
            pending.append(wait)
            if len(pending) >= self.in_flight:
                yield pending.popleft()()
        while pending:
            yield pending.popleft()()

    def _start(self, images: np.ndarray) -> Callable[[], dict[str, np.ndarray]]:
        wait, n = self._engine.submit(self._padded(images)), len(images)
        return lambda: {
            layer: output[:n].copy() if n < len(output) else output
            for layer, output in zip(self.recipe.layers, wait(), strict=True)
        }

    def _padded(self, images: np.ndarray) -> np.ndarray:
        expected = (*self.recipe.input_shape, 3)
        if images.dtype != np.uint8 or images.shape[1:] != expected or not 1 <= len(images) <= self.batch_size:
            raise InvalidSetting(
                f"A batch must be uint8 of shape (1 to {self.batch_size}, {', '.join(map(str, expected))}). "
                f"Received: {images.dtype} of shape {images.shape}."
            )
        if len(images) == self.batch_size:
            return np.ascontiguousarray(images)
        padded = np.zeros((self.batch_size, *expected), np.uint8)
        padded[: len(images)] = images
        return padded
