"""Batches that are read while others are computed."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

READ_AHEAD = 2  # batches


def read_ahead(read: Callable[..., np.ndarray], parts: Iterable[tuple[Any, ...]]) -> Generator[np.ndarray, None, None]:
    """Yield `read(*part)` for part after part, in order, while the next ones are read in a thread."""
    reader = ThreadPoolExecutor(1, "image-reader")
    waiting: deque[Future[np.ndarray]] = deque()
    try:
        for part in parts:
            waiting.append(reader.submit(read, *part))
            if len(waiting) > READ_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        reader.shutdown(cancel_futures=True)
