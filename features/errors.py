"""The errors a user of the cache can meet; every message says what to do."""

from __future__ import annotations

from bottleneck_features.errors import BottleneckError
from bottleneck_features.features.records import CacheInfo, Difference


class CacheError(BottleneckError):
    """Anything that went wrong with a feature cache and that its user can act on."""


class CacheMissing(CacheError):
    """There is no cache of this identity.

    Attributes:
        nearest: `CacheInfo` of the existing cache that differs least, or None when there is none.
        differences: tuple of `Difference` between the requested identity and the nearest cache's.
    """

    exit_code = 2

    def __init__(
        self, message: str, nearest: CacheInfo | None = None, differences: tuple[Difference, ...] = ()
    ) -> None:
        super().__init__(message)
        self.nearest = nearest
        self.differences = differences


class CacheMismatch(CacheError):
    """The cache at this path was made from something else.

    Attributes:
        differences: tuple of `Difference`, one for each field that differs.
    """

    exit_code = 2

    def __init__(self, message: str, differences: tuple[Difference, ...] = ()) -> None:
        super().__init__(message)
        self.differences = differences


class CacheIncomplete(CacheError):
    """The cache lacks shards that its extraction has still to write.

    Attributes:
        done: number of finished shards.
        total: number of shards of the whole cache.
    """

    def __init__(self, message: str, done: int, total: int) -> None:
        super().__init__(message)
        self.done = done
        self.total = total


class CacheDamaged(CacheError):
    """A file of the cache is missing, truncated or not what the manifest says."""


class CacheRemoved(CacheDamaged):
    """The cache was removed while it was read."""

    remedy = "Type: bottleneck features"


class CacheVersion(CacheError):
    """The cache has a format version that this release does not read."""


class CacheBusy(CacheError):
    """Another process is writing to the cache; the message says which and since when, where it could write that down."""


class DiskFull(CacheError):
    """The disk cannot hold what has still to be written."""


class FeatureError(CacheError):
    """Features, labels or ids that must not be stored: wrong shape, not finite, too large for the dtype."""


class ImportRefused(CacheError):
    """Files that someone saved and that cannot become a cache; the message says what they have and what to do."""

    exit_code = 2


class StoreError(CacheError):
    """An object store did not answer, or refused; what was published before is kept."""


class StoreUnavailable(StoreError):
    """A URL of a kind that this installation cannot open."""

    exit_code = 2
