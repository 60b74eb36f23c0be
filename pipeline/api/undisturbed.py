"""Leaves what is the caller's as it was."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the random numbers of Python and NumPy as they were: training sets their seeds, and Keras draws some.

    They are the process': what other threads draw meanwhile is drawn again.
    """
    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
