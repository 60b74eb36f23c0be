"""Which caches of a folder are superseded: all they hold is in a later one, so that removing them loses no computation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from bottleneck_features.features.donors import Donor
from bottleneck_features.features.entries import HASH_BYTES
from bottleneck_features.features.errors import CacheError
from bottleneck_features.features.manifest import MANIFEST, load
from bottleneck_features.features.shards import MACHINE_BYTES

_WIDTH = HASH_BYTES + MACHINE_BYTES


def superseded(root: Path | str) -> dict[Path, Path]:
    """Find the caches of a folder that a later one supersedes.

    Args:
        root: the folder that holds all caches.

    Returns:
        By folder of a superseded cache the folder of the latest that supersedes it: a complete cache of the same experiment
        and recipe, made later, that has the features of all its contents by the same kind of machine.
    """
    found: dict[Path, Path] = {}
    for own in _by_recipe(Path(root)).values():
        if len(own) < 2:
            continue
        held = [_held(donor) for donor in own]
        for i, older in enumerate(own):
            for later, theirs in zip(own[i + 1 :], held[i + 1 :], strict=True):
                if later.manifest.complete and _within(held[i], theirs):
                    found[older.folder] = later.folder
    return found


def _by_recipe(root: Path) -> dict[tuple[str, str], list[Donor]]:
    """Return the caches by experiment and recipe, in the order in which they were made."""
    caches = defaultdict(list)
    for path in root.glob(f"*/{MANIFEST}"):
        with suppress(CacheError):
            manifest = load(path.parent)
            if manifest.recipe:
                caches[str(manifest.provenance.get("experiment", "")), manifest.recipe].append(
                    Donor(path.parent, manifest)
                )
    return {key: sorted(own, key=_made) for key, own in caches.items()}


def _made(donor: Donor) -> tuple[str, int]:
    return donor.manifest.created, (donor.folder / MANIFEST).stat().st_mtime_ns


def _held(donor: Donor) -> np.ndarray | None:
    """Return what a cache holds as sorted bytes of content hash and machine, (n,); None where not all of it is known."""
    rows = list(_rows(donor))
    known = all(row[:, :HASH_BYTES].any(axis=1).all() for row in rows)
    if not known or sum(map(len, rows)) < donor.manifest.images_done():
        return None
    return np.unique(np.concatenate(rows).view(f"S{_WIDTH}").ravel()) if rows else None


def _rows(donor: Donor) -> Iterator[np.ndarray]:
    for head in donor.heads():
        machine = np.frombuffer(head.machine.encode().ljust(MACHINE_BYTES)[:MACHINE_BYTES], np.uint8)
        yield np.hstack([head.contents, np.broadcast_to(machine, (len(head.contents), MACHINE_BYTES))])


def _within(some: np.ndarray | None, others: np.ndarray | None) -> bool:
    return some is not None and others is not None and bool(np.isin(some, others, assume_unique=True).all())
