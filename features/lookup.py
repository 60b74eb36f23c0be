"""Rows by content: the features that caches of one recipe have of some images, whichever cache has them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from bottleneck_features.features.contents import NOWHERE, content_places
from bottleneck_features.features.donors import Donor, by_shard, find_donors, spans
from bottleneck_features.features.entries import HASH_BYTES
from bottleneck_features.features.errors import CacheBusy, CacheError, CacheMissing
from bottleneck_features.features.manifest import Shard
from bottleneck_features.features.shards import stored_dtype
from bottleneck_features.features.verify import repair

logger = logging.getLogger(__name__)


def find_rows(
    folders: Sequence[Path], recipe: str, machine: str, contents: np.ndarray
) -> Iterator[tuple[np.ndarray, Mapping[str, np.ndarray]]]:
    """Read the features that caches have of some contents, finished caches and begun ones.

    Args:
        folders: of caches; those of other recipes are passed over, and shards that are damaged, with a warning.
        recipe: as for `CacheWriter`.
        machine: as for `CacheWriter`; rows of other machines are passed over.
        contents: `(n, 32)` uint8, each one once.

    Yields:
        Positions in `contents`, int64 `(m,)`, and their features by layer, `(m, *shape)` of the stored dtype. What no cache has
        comes in no part.
    """
    left = np.arange(len(contents))
    for donor in find_donors(folders, recipe):
        if not len(left):
            return
        there, rows = held(donor, machine)
        places = content_places(contents[left], there)
        found = np.flatnonzero(places != NOWHERE)
        had = np.zeros(len(left), bool)
        for shard, part in by_shard(donor.manifest, rows[places[found]]):
            chosen = found[part]
            features = _copied(donor, shard, rows[places[chosen]])
            if features is not None:
                had[chosen] = True
                yield left[chosen], features
        left = left[~had]


def held(donor: Donor, machine: str) -> tuple[np.ndarray, np.ndarray]:
    """Return which contents a cache has the features of, by a machine: their hashes, and their rows through all splits."""
    heads = [head for head in donor.heads() if head.machine == machine]
    contents = [np.empty((0, HASH_BYTES), np.uint8), *(head.contents for head in heads)]
    starts = {split: span.start for split, span in spans(donor.manifest).items()}
    rows = [starts[head.shard.split] + np.arange(head.shard.start, head.shard.stop) for head in heads]
    return np.concatenate(contents), np.concatenate([np.empty(0, np.int64), *rows])


def _copied(donor: Donor, shard: Shard, rows: np.ndarray) -> dict[str, np.ndarray] | None:
    """Return rows of a shard by layer; None, and a warning, where it is damaged."""
    if problem := donor.problem(shard):
        logger.warning("%s Its rows are not used.", donor.complaint(shard, problem))
        return None
    layers = donor.manifest.layers
    found = {layer: np.empty((len(rows), *spec.shape), stored_dtype(spec)) for layer, spec in layers.items()}
    try:
        donor.copy(shard, rows, found, np.arange(len(rows)))
    except CacheError as error:
        logger.warning("%s Its rows are not used.", error)
        return None
    return found


def small_caches(folders: Sequence[Path], recipe: str, machine: str, split: str, rows: int) -> dict[Path, np.ndarray]:
    """Return the caches of one split that a new one is to take in, so that many small ones never pile up.

    Those are the caches of which the extraction was stopped, and of the others those no larger than the new one with what it
    has taken in before: there are as many caches as the number of all rows has binary digits, and a row is copied as often.

    Args:
        folders: of caches.
        recipe: as for `CacheWriter`.
        machine: as for `CacheWriter`; a cache with rows of another one stays.
        split: its name, which tells these caches from those of data sets.
        rows: of the new cache.

    Returns:
        The contents that each one has, `(n, 32)` uint8, by its folder.
    """
    found, own = {}, _of_split(folders, recipe, split)
    for donor in sorted(own, key=lambda donor: (donor.manifest.complete, donor.manifest.images_done())):
        if donor.manifest.complete and donor.manifest.images_done() > rows:
            break  # all others are larger
        contents, _ = held(donor, machine)
        sound = not any(donor.problem(shard) for shard, _ in donor.manifest.finished())
        if sound and len(contents) == donor.manifest.images_done():
            found[donor.folder] = contents
            rows += len(contents)
    return found


def repair_damaged(folders: Sequence[Path], recipe: str, split: str) -> None:
    """Put aside what is damaged in the caches of one split, with a warning; what they lose counts as never computed.

    Args:
        folders: of caches.
        recipe: as for `CacheWriter`.
        split: its name, which tells these caches from those of data sets.

    Raises:
        CacheError: if a file cannot be moved.
    """
    for donor in _of_split(folders, recipe, split):
        damaged = [shard.file for shard, _ in donor.manifest.finished() if donor.problem(shard)]
        if damaged:
            with suppress(CacheMissing, CacheBusy):  # it was removed meanwhile, or somebody repairs it
                repair(donor.folder)
                logger.warning("%s: %s put aside; its rows are computed again.", donor.folder, ", ".join(damaged))


def _of_split(folders: Sequence[Path], recipe: str, split: str) -> list[Donor]:
    """Return the caches of a recipe that have one split, of this name."""
    return [donor for donor in find_donors(folders, recipe) if list(donor.manifest.splits) == [split]]
