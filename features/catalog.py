"""The caches of a folder: finding the right one, listing them all, removing one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bottleneck_features.features.donors import DONORS
from bottleneck_features.features.errors import CacheError, CacheMismatch, CacheMissing
from bottleneck_features.features.identity import cache_path, differences, folder_name
from bottleneck_features.features.journal import JOURNAL
from bottleneck_features.features.lock import HOLDER, LOCK, MANIFEST_LOCK, writer_lock
from bottleneck_features.features.manifest import MANIFEST, load
from bottleneck_features.features.quarantine import QUARANTINE
from bottleneck_features.features.records import CacheInfo, Difference
from bottleneck_features.features.storage import write_error

FEW_DIFFERENCES = 3


@dataclass(frozen=True)
class Removal:
    """What `remove_cache` takes away.

    Attributes:
        path: the cache's folder.
        files: those that belong to the cache.
        bytes: of these files.
        freed: bytes that are free then; not those of files that other caches share.
    """

    path: Path
    files: tuple[Path, ...]
    bytes: int
    freed: int


def list_caches(root: Path | str) -> list[CacheInfo]:
    """List all caches in a folder, finished or not, from their manifests alone.

    Args:
        root: the folder that holds the caches; it may be missing.

    Returns:
        List of `CacheInfo`, sorted by path; a cache whose manifest cannot be read has its `problem` set.
    """
    return [describe_cache(manifest.parent) for manifest in sorted(Path(root).glob(f"*/{MANIFEST}"))]


def find_cache(root: Path | str, name: str, identity: Mapping[str, Any]) -> Path:
    """Find the folder of the cache that was made from this identity.

    Args:
        root: the folder that holds all caches.
        name: `<experiment>-<backbone>`, as for `cache_path`.
        identity: mapping as for `identity_key`.

    Returns:
        Its path; `open_features` says if it is not finished.

    Raises:
        CacheMissing: if there is none; names the nearest existing cache, each field that differs and both values.
        CacheMismatch: if the folder of this name and key holds a cache of another identity.
        CacheDamaged, CacheVersion: if the manifest there is not what was written, or has another format version.
        CacheError: if the manifest there cannot be read, or `name` or `identity` cannot name a cache (see `cache_path`).
    """
    wanted = cache_path(root, name, identity)
    if (wanted / MANIFEST).exists():
        found = differences(identity, load(wanted).identity)
        if found:
            raise CacheMismatch(f"{wanted} holds another cache: {'; '.join(map(str, found))}.", tuple(found))
        return wanted
    nearest = _nearest(Path(root), folder_name(name), identity)
    if nearest is None:
        raise CacheMissing(f"There are no features of this experiment in {root}: extract them first.")
    info, found = nearest
    lines = "\n".join(f"  {difference}" for difference in found)
    raise CacheMissing(
        f"There are no features made with these settings in {root}. The nearest cache, {info.path.name}, differs in\n"
        f"{lines}\nExtract the features with these settings, or ask for those of the cache.",
        info,
        tuple(found),
    )


def removal(path: Path | str) -> Removal:
    """Return what removing a cache would take away, without doing so.

    Args:
        path: the cache's folder.

    Returns:
        `Removal`; files that do not belong to a cache are not in it.

    Raises:
        CacheMissing: if the folder holds no manifest.
    """
    folder = Path(path)
    if not (folder / MANIFEST).is_file():
        raise CacheMissing(f"There is no feature cache at {folder} (no {MANIFEST}): nothing is removed.")
    files = tuple(sorted(file for file in folder.rglob("*") if file.is_file() and _belongs(file, folder)))
    return Removal(folder, files, sum(file.stat().st_size for file in files), freed_by(files))


def freed_by(files: Iterable[Path]) -> int:
    """Return how many bytes are free when some files are removed: those of files of which no other name is left."""
    removed: Counter[tuple[int, int]] = Counter()
    freed = 0
    for status in (file.stat() for file in files):
        file = status.st_dev, status.st_ino
        removed[file] += 1
        if removed[file] == status.st_nlink:
            freed += status.st_size
    return freed


def remove_cache(path: Path | str) -> Removal:
    """Remove a cache, but no file beside it that is not part of it.

    Args:
        path: the cache's folder.

    Returns:
        `Removal` of what is gone now.

    Raises:
        CacheMissing: if the folder holds no manifest.
        CacheBusy: if a process is writing to it.
        CacheError: if a file cannot be removed.
    """
    folder = removal(path).path
    with writer_lock(folder, 0.0):
        gone = removal(folder)
        try:
            (folder / MANIFEST).unlink()
            for file in gone.files:
                file.unlink(missing_ok=True)
            _remove_empty(folder)
        except OSError as error:
            raise write_error(error, folder) from error
    return gone


def describe_cache(path: Path | str) -> CacheInfo:
    """Describe one cache by what its manifest says.

    Args:
        path: the cache's folder.

    Returns:
        `CacheInfo`; its `problem` is set when there is no readable manifest.
    """
    folder = Path(path)
    try:
        manifest = load(folder)
    except CacheError as error:
        return CacheInfo(folder, problem=str(error))
    return CacheInfo(
        path=folder,
        experiment=str(manifest.provenance.get("experiment", "")),
        backbone=str(manifest.provenance.get("backbone", "")),
        layers=tuple(manifest.layers),
        shapes={layer: spec.shape for layer, spec in manifest.layers.items()},
        dtype=list(manifest.layers.values())[-1].dtype,
        images=manifest.images(),
        done_images=manifest.images_done(),
        bytes=manifest.bytes_finished(),
        created=manifest.created,
        complete=manifest.complete,
        identity=manifest.identity,
        recipe=manifest.recipe,
        provenance=manifest.provenance,
    )


def _nearest(root: Path, name: str, identity: Mapping[str, Any]) -> tuple[CacheInfo, list[Difference]] | None:
    """Find the cache with the fewest differences: of the same name, or else one that differs in a few fields only."""
    candidates = []
    for info in list_caches(root):
        if info.identity is None:
            continue
        found = differences(identity, info.identity)
        same_name = info.path.name.rpartition("-")[0] == name
        if same_name or len(found) <= FEW_DIFFERENCES:
            candidates.append((not same_name, len(found), info.path, info, found))
    if not candidates:
        return None
    *_, info, found = min(candidates, key=lambda candidate: candidate[:3])
    return info, found


def _belongs(file: Path, folder: Path) -> bool:
    inside = file.relative_to(folder)
    known = (MANIFEST, LOCK, HOLDER, MANIFEST_LOCK)
    return inside.name in known or file.suffix in (".h5", ".tmp") or inside.parts[0] in (QUARANTINE, JOURNAL, DONORS)


def _remove_empty(folder: Path) -> None:
    for place in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        if not any(place.iterdir()):
            place.rmdir()
    if not any(folder.iterdir()):
        folder.rmdir()
