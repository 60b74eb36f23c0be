"""The feature cache: identity, shards, manifest, reading, export; imports no deep-learning framework."""

from features.arrays import FeatureArray
from features.catalog import CacheInfo, Removal, describe_cache, find_cache, list_caches, removal, remove_cache
from features.errors import (
    CacheBusy,
    CacheDamaged,
    CacheError,
    CacheIncomplete,
    CacheMismatch,
    CacheMissing,
    CacheVersion,
    DiskFull,
    FeatureError,
    StoreError,
    StoreUnavailable,
)
from features.export import EXPORT_FORMATS, export_features
from features.identity import Difference, cache_path, differences, identity_key
from features.manifest import ArraySpec, Shard
from features.npz import import_npz
from features.parts import SHARED, WHOLE, Part
from features.plan import SplitPlan
from features.publish import PublishingWriter, fetch, share
from features.quarantine import Problem
from features.reader import Features, Split, open_features
from features.remote import filesystem, is_url, refused
from features.verify import VerifyReport, repair, require_unchanged, verify
from features.writer import CacheWriter

__all__ = [
    "EXPORT_FORMATS",
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
    "CacheVersion",
    "CacheWriter",
    "Difference",
    "DiskFull",
    "FeatureArray",
    "FeatureError",
    "Features",
    "Part",
    "Problem",
    "PublishingWriter",
    "Removal",
    "Shard",
    "Split",
    "SplitPlan",
    "StoreError",
    "StoreUnavailable",
    "VerifyReport",
    "cache_path",
    "describe_cache",
    "differences",
    "export_features",
    "fetch",
    "filesystem",
    "find_cache",
    "identity_key",
    "import_npz",
    "is_url",
    "list_caches",
    "open_features",
    "refused",
    "removal",
    "remove_cache",
    "repair",
    "require_unchanged",
    "share",
    "verify",
]
