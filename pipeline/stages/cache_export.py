"""Writes a cache as plain files for other programs, with what the home knows of its images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bottleneck_features import features
from bottleneck_features.pipeline.reporting.joined import joined


@dataclass(frozen=True)
class ExportedCache:
    """What was written.

    Attributes:
        files: their paths, one per split and kind of array.
        about: of Parquet files, what their metadata say was joined.
        remarks: what was left out, and why.
    """

    files: tuple[Path, ...]
    about: Mapping[str, object]
    remarks: tuple[str, ...]


def export_cache(folder: Path, home: Path, to: Path, format: str = "npz", layer: str | None = None) -> ExportedCache:
    """Write a cache as plain files; memory stays flat whatever its size.

    Args:
        folder: the cache's.
        home: the artifacts folder, whose results are joined to Parquet files.
        to: the folder to write to.
        format: one of `features.EXPORT_FORMATS`.
        layer: which layer; None: the last one.

    Raises:
        features.CacheError: there is no such layer, or the cache cannot be used; see `features.export_features`.
        features.CacheDamaged: a shard is not what was written.
    """
    features.require_unchanged(folder)
    if format != "parquet":
        return ExportedCache(tuple(features.export_features(folder, to, folder.name, format, layer)), {}, ())
    made_by = features.describe_cache(folder).provenance.get("settings")
    found = joined(features.open_features(folder), made_by if isinstance(made_by, dict) else None, home)
    files = features.export_features(folder, to, folder.name, format, layer, found.beside)
    return ExportedCache(tuple(files), found.beside.about, found.remarks)
