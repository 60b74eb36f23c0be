"""Content hashes, by which rows and images are found again: the SHA-256 of what each is made from."""

from __future__ import annotations

import numpy as np

NOWHERE = -1
_COMPARED = 1 << 16  # at a time


def content_places(wanted: np.ndarray, contents: np.ndarray) -> np.ndarray:
    """Return where content hashes are among others.

    Args:
        wanted: `(n, 32)` uint8.
        contents: `(m, 32)` uint8.

    Returns:
        `(n,)` int64, the first place of each; `NOWHERE` where the others do not have it.
    """
    if not len(contents):
        return np.full(len(wanted), NOWHERE)
    keys, sought = (np.ascontiguousarray(hashes[:, :8]).view("<u8").ravel() for hashes in (contents, wanted))
    order = np.argsort(keys, kind="stable")
    places = order[np.minimum(np.searchsorted(keys, sought, sorter=order), len(order) - 1)]
    for start in range(0, len(places), _COMPARED):
        part = slice(start, start + _COMPARED)
        equal = (contents[places[part]] == wanted[part]).all(axis=1)
        places[part] = np.where(equal, places[part], NOWHERE)
    return places
