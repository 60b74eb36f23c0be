"""A cache that is removed while somebody reads it: whatever goes wrong then is no damage, and nothing is left to repair."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bottleneck_features.features.errors import CacheError, CacheRemoved
from bottleneck_features.features.manifest import MANIFEST


@contextmanager
def noticing_removal(folder: Path) -> Iterator[None]:
    """Say of whatever goes wrong in the block that the cache was removed, if its manifest is gone by then.

    `remove_cache` takes the manifest away first.

    Args:
        folder: the cache's folder, whose manifest has been read before.

    Raises:
        CacheRemoved: in the place of what was raised.
    """
    try:
        yield
    except (CacheError, OSError) as error:
        if isinstance(error, CacheRemoved) or (folder / MANIFEST).exists():
            raise
        raise CacheRemoved(
            f"The cache {folder} was removed while it was read. Make it again by the `bottleneck features …` that made it."
        ) from error
