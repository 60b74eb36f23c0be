"""The feature cache: identity, shards, manifest, reading, export; imports no deep-learning framework."""

from bottleneck_features.features.arraynames import splits_in
from bottleneck_features.features.arrays import FeatureArray
from bottleneck_features.features.catalog import (
    Removal,
    describe_cache,
    find_cache,
    freed_by,
    list_caches,
    removal,
    remove_cache,
)
from bottleneck_features.features.contents import NOWHERE, content_places
from bottleneck_features.features.errors import (
    CacheBusy,
    CacheDamaged,
    CacheError,
    CacheIncomplete,
    CacheMismatch,
    CacheMissing,
    CacheRemoved,
    CacheVersion,
    DiskFull,
    FeatureError,
    ImportRefused,
    StoreError,
    StoreUnavailable,
)
from bottleneck_features.features.export import EXPORT_FORMATS, export_features
from bottleneck_features.features.identity import cache_path, differences, identity_key
from bottleneck_features.features.imported import Imported, import_features
from bottleneck_features.features.manifest import ArraySpec, Shard
from bottleneck_features.features.partition import SHARED, WHOLE, Partition
from bottleneck_features.features.plan import SplitPlan
from bottleneck_features.features.publish import PublishingWriter, fetch, share
from bottleneck_features.features.quarantine import DamagedFile
from bottleneck_features.features.reader import Features, Split, open_features
from bottleneck_features.features.rearranged import Places, RearrangedArray, RearrangedFeatures, rows_at
from bottleneck_features.features.records import CacheInfo, Difference
from bottleneck_features.features.remote import filesystem, is_url, store_error
from bottleneck_features.features.removed import noticing_removal
from bottleneck_features.features.reuse import Draft, Reused
from bottleneck_features.features.superseded import superseded
from bottleneck_features.features.targets import Targets
from bottleneck_features.features.verify import repair, require_unchanged, verify
from bottleneck_features.features.writer import CacheWriter

__all__ = [
    "EXPORT_FORMATS",
    "NOWHERE",
    "SHARED",
    "WHOLE",
    "ArraySpec",
    "CacheBusy",
    "CacheDamaged",
    "CacheError",
    "CacheIncomplete",
    "CacheInfo",
    "CacheMismatch",
    "CacheMissing",
    "CacheRemoved",
    "CacheVersion",
    "CacheWriter",
    "DamagedFile",
    "Difference",
    "DiskFull",
    "Draft",
    "FeatureArray",
    "FeatureError",
    "Features",
    "ImportRefused",
    "Imported",
    "Partition",
    "Places",
    "PublishingWriter",
    "RearrangedArray",
    "RearrangedFeatures",
    "Removal",
    "Reused",
    "Shard",
    "Split",
    "SplitPlan",
    "StoreError",
    "StoreUnavailable",
    "Targets",
    "cache_path",
    "content_places",
    "describe_cache",
    "differences",
    "export_features",
    "fetch",
    "filesystem",
    "find_cache",
    "freed_by",
    "identity_key",
    "import_features",
    "is_url",
    "list_caches",
    "noticing_removal",
    "open_features",
    "removal",
    "remove_cache",
    "repair",
    "require_unchanged",
    "rows_at",
    "share",
    "splits_in",
    "store_error",
    "superseded",
    "verify",
]

if __name__ != "bottleneck_features.features":
    raise ImportError("`features` is a part of bottleneck-features: import bottleneck_features.features instead.")
