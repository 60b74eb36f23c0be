from .arraynames import splits_in
from .arrays import FeatureArray
from .catalog import Removal, describe_cache, find_cache, freed_by, list_caches, removal, remove_cache
from .contents import NOWHERE, content_places
from .errors import (
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
from .export import Beside, Column, export_features
from .identity import cache_path, differences, identity_key
from .imported import Imported, import_features
from .lock import recipe_lock
from .lookup import find_rows, repair_damaged, small_caches
from .manifest import ArraySpec, Shard
from .partition import SHARED, WHOLE, Partition
from .plan import SplitPlan
from .publish import PublishingWriter, fetch, share
from .quarantine import DamagedFile
from .reader import Features, open_as, open_features
from .rearranged import Places, RearrangedArray, RearrangedFeatures, rows_at
from .records import EXPORT_FORMATS, CacheInfo, Difference
from .remote import filesystem, is_url, store_error
from .removed import noticing_removal
from .reuse import Draft, Reused
from .split import Split
from .superseded import superseded
from .targets import Targets
from .verify import repair, require_unchanged, verify
from .writer import CacheWriter

__all__ = [
    "EXPORT_FORMATS",
    "NOWHERE",
    "SHARED",
    "WHOLE",
    "ArraySpec",
    "Beside",
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
    "Column",
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
    "find_rows",
    "freed_by",
    "identity_key",
    "import_features",
    "is_url",
    "list_caches",
    "noticing_removal",
    "open_as",
    "open_features",
    "recipe_lock",
    "removal",
    "remove_cache",
    "repair",
    "repair_damaged",
    "require_unchanged",
    "rows_at",
    "share",
    "small_caches",
    "splits_in",
    "store_error",
    "superseded",
    "verify",
]
