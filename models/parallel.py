"""Blocks of rows shared among threads, each with one-threaded matrix products: no oversubscription, bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import joblib
import numpy as np
from threadpoolctl import threadpool_limits

T = TypeVar("T")


def thread_count() -> int:
    """Return how many threads to use: the cores this process may run on, or fewer where OMP_NUM_THREADS says so."""
    cores: int = joblib.cpu_count()
    return max(1, min(cores, core_limit() or cores))


def limit_cores(count: int) -> None:
    """Let this process compute with few threads, for one that shares its machine with others.

    Args:
        count: threads, ≥ 1. It is kept in OMP_NUM_THREADS, which extractors follow that are built from now on.

    Raises:
        RuntimeError: if TensorFlow has computed something already.
    """
    import tensorflow as tf

    os.environ["OMP_NUM_THREADS"] = str(count)
    tf.config.threading.set_intra_op_parallelism_threads(count)


def core_limit() -> int | None:
    """Return how many cores OMP_NUM_THREADS leaves this process; None where it says nothing."""
    setting = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(setting)) if setting.isdecimal() else None


class Workers:
    """Threads that work on slices of rows; made by `workers`."""

    def __init__(self, pool: ThreadPoolExecutor, threads: int) -> None:
        self._pool = pool
        self.threads = threads

    def each(self, work: Callable[[slice], T], rows: int, block: int) -> Iterator[T]:
        """Yield `work(slice)` for consecutive slices of at most `block` of `rows` rows, in their order."""
        return self._pool.map(work, [slice(start, min(start + block, rows)) for start in range(0, rows, block)])

    def totals(self, work: Callable[[list[slice]], T], rows: int, block: int) -> list[T]:
        """Return `work(slices)` once per thread, so that each can sum over its own share of the rows."""
        slices = [slice(start, min(start + block, rows)) for start in range(0, rows, block)]
        shares = [slices[thread :: self.threads] for thread in range(min(self.threads, len(slices)))]
        return list(self._pool.map(work, shares))

    def total(self, work: Callable[[slice], np.ndarray], rows: int, block: int) -> np.ndarray:
        """Return the sum of `work(slice)` over all rows, in float64; each thread sums over its own share of them."""

        def share(parts: list[slice]) -> np.ndarray:
            own = work(parts[0]).astype(np.float64)
            for part in parts[1:]:
                own += work(part)
            return own

        whole, *others = self.totals(share, rows, block)
        for other in others:
            whole += other
        return whole


@contextmanager
def workers() -> Iterator[Workers]:
    """Start the threads; while they live, the BLAS libraries use one thread for each product.

    Inside another `workers` it has as many threads, while the other's wait: do not call it from within their work.
    """
    threads = thread_count()
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        yield Workers(pool, threads)
