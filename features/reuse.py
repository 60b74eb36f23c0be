"""Rows that need not be computed: the features of the same content by the same recipe, in this cache or in another one."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from bottleneck_features.features.contents import NOWHERE, content_places
from bottleneck_features.features.donors import Donor, Head, by_shard, spans
from bottleneck_features.features.entries import HASH_BYTES
from bottleneck_features.features.manifest import Manifest, Shard, load
from bottleneck_features.features.plan import CachePlan
from bottleneck_features.features.quarantine import QUARANTINE, file_problem
from bottleneck_features.features.shards import stored_dtype

COMPUTE, OWN = -1, 0  # where a row comes from; numbers from 1 on are donors
logger = logging.getLogger(__name__)


@dataclass
class Reused:
    """What did not have to be computed.

    Attributes:
        rows: how many rows were taken from each cache, by its name; a cache's own name stands for equal images in it.
        other_machine: how many rows a cache has that another kind of machine computed, by its name: they are computed again.
    """

    rows: Counter[str] = field(default_factory=Counter)
    other_machine: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, eq=False)
class Draft:
    """A shard, and which of its rows are had already; they are read when it is filled.

    Attributes:
        shard: the shard.
        missing: int64, positions in it whose features are to be computed, in order.
    """

    shard: Shard
    missing: np.ndarray
    _fill: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]] = field(default=lambda computed: computed)

    def filled(self, computed: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """Return all rows of the shard, (len(shard), *shape) by layer.

        Args:
            computed: floats by layer, (len(missing), *shape), in the order of `missing`; {} where nothing is missing.

        Raises:
            CacheError: if rows that were there cannot be read any more.
        """
        return computed if len(self.missing) == len(self.shard) else self._fill(computed)


class RowSources:
    """Where the rows of the shards that are still to be written come from.

    Takes 10 bytes a row of the cache, and while it looks through a donor about 60 for each row of that.

    Args:
        folder: of the cache that is written.
        plan: its plan.
        manifest: as it is on disk.
        in_order: whether each shard is finished before the next one is written here; else rows are copied only within a
            shard, and from shards that were finished before.
    """

    def __init__(self, folder: Path, plan: CachePlan, manifest: Manifest, *, in_order: bool) -> None:
        self.reused = Reused()
        self._name, self._plan, self._manifest, self._in_order = folder.name, plan, manifest, in_order
        self._spans = spans(manifest)
        total = sum(map(len, self._spans.values()))
        self._cache, self._row = np.full(total, COMPUTE, np.int16), np.zeros(total, np.int64)
        self._donors: list[Donor] = []
        self._problems: dict[tuple[Path, Shard], str] = {}
        self._complained: set[Donor] = set()
        self._own = Donor(folder, manifest)

    def look(self, donors: Sequence[Donor], pending: Sequence[Shard], machine: str) -> Iterator[tuple[Donor, Head]]:
        """Look through donors for the rows of pending shards.

        Args:
            donors: the first one that has a row gives it.
            pending: the shards to be written, in the order in which they are.
            machine: that computes here; rows of another one are not taken.

        Yields:
            A donor, and the head of a shard of it that is to be written here with just these bytes; its rows count as had.
        """
        left = {(shard.split, shard.index) for shard in pending}
        wanted = self._rows_of(pending)
        foreign: list[tuple[str, np.ndarray]] = []
        for donor in donors:
            rows, contents, others = [], [], []
            for head in donor.heads():
                if head.machine != machine:
                    others.append(head.contents)
                    continue
                place = (head.shard.split, head.shard.index)
                if place in left and self._same(donor, head) and not self._problem(donor, head.shard):
                    left.remove(place)
                    yield donor, head
                rows.append(
                    spans(donor.manifest)[head.shard.split].start + np.arange(head.shard.start, head.shard.stop)
                )
                contents.append(head.contents)
            foreign += [(donor.name, np.concatenate(others))] if others else []
            wanted = self._rows_of(shard for shard in pending if (shard.split, shard.index) in left)
            if contents:
                self._take(wanted, donor, np.concatenate(contents), np.concatenate(rows))
        wanted = wanted[self._cache[wanted] == COMPUTE]
        for name, own in foreign:
            if there := int((content_places(self._contents(wanted), own) != NOWHERE).sum()):
                self.reused.other_machine[name] += there
        self._find_twins(wanted)

    def lacks(self, shard: Shard) -> bool:
        """Return whether a shard has rows that no donor has."""
        start = self._spans[shard.split].start + shard.start
        return bool((self._cache[start : start + len(shard)] <= OWN).any())

    def draft(self, shard: Shard) -> Draft:
        """Return a shard, and which of its rows are had already; those that are damaged where they are count as missing."""
        start = self._spans[shard.split].start + shard.start
        cache, sources = (column[start : start + len(shard)].copy() for column in (self._cache, self._row))
        for donor, source, places in self._from_donors(cache, sources):
            if self._problem(donor, source):
                cache[places] = COMPUTE
        if not self._in_order:
            cache[(cache == OWN) & ~self._finished(sources) & (sources < start)] = COMPUTE
        missing = np.flatnonzero(cache == COMPUTE)
        return Draft(shard, missing, partial(self._filled, shard, missing, cache, sources))

    def _filled(
        self,
        shard: Shard,
        missing: np.ndarray,
        cache: np.ndarray,
        sources: np.ndarray,
        computed: Mapping[str, np.ndarray],
    ) -> Mapping[str, np.ndarray]:
        rows = {
            layer: _with_computed((len(shard), *spec.shape), stored_dtype(spec), missing, computed.get(layer))
            for layer, spec in self._manifest.layers.items()
        }
        for donor, source, places in self._from_donors(cache, sources):
            donor.copy(source, sources[places], rows, places)
            self.reused.rows[donor.name] += len(places)
        twins, start = np.flatnonzero(cache == OWN), self._spans[shard.split].start + shard.start
        for source, places in by_shard(self._manifest, sources[twins]):
            if source == shard:
                for array in rows.values():
                    array[twins[places]] = array[sources[twins[places]] - start]
            else:
                self._with(source).copy(source, sources[twins[places]], rows, twins[places])
            self.reused.rows[self._name] += len(places)
        return rows

    def _from_donors(self, cache: np.ndarray, sources: np.ndarray) -> Iterator[tuple[Donor, Shard, np.ndarray]]:
        """Yield each donor's shard from which rows come, and the positions of these rows."""
        for number in np.unique(cache[cache > OWN]).tolist():
            donor, positions = self._donors[number - 1], np.flatnonzero(cache == number)
            for source, places in by_shard(donor.manifest, sources[positions]):
                yield donor, source, positions[places]

    def _with(self, shard: Shard) -> Donor:
        """Return this cache as a donor that has a shard which was finished meanwhile."""
        if shard.index not in self._own.manifest.splits[shard.split].shards:
            self._own = Donor(self._own.folder, load(self._own.folder))
        return self._own

    def _problem(self, donor: Donor, shard: Shard) -> str:
        """Look at a donor's shard once; a damaged one is no reason to stop."""
        key = (donor.folder, shard)
        if key not in self._problems:
            problem = donor.problem(shard) or self._rotten(donor, shard)
            self._problems[key] = problem
            if problem and donor not in self._complained:
                self._complained.add(donor)
                logger.warning("%s Its rows are computed again.", donor.complaint(shard, problem))
        return self._problems[key]

    def _rotten(self, donor: Donor, shard: Shard) -> str:
        """Hash a shard of a large cache too where this one was repaired: what damaged it may be the file they share."""
        if not (self._own.folder / QUARANTINE).exists():
            return ""
        return file_problem(donor.folder / shard.file, donor.manifest.splits[shard.split].shards[shard.index])

    def _take(self, wanted: np.ndarray, donor: Donor, contents: np.ndarray, rows: np.ndarray) -> None:
        self._donors.append(donor)
        wanted = wanted[self._cache[wanted] == COMPUTE]
        places = content_places(self._contents(wanted), contents)
        had = places != NOWHERE
        self._cache[wanted[had]], self._row[wanted[had]] = len(self._donors), rows[places[had]]

    def _find_twins(self, wanted: np.ndarray) -> None:
        """Have rows of equal content copied from this cache: from a finished shard, or else from the first of them."""
        before = np.concatenate([self._rows_of(shard for shard, _ in self._manifest.finished()), wanted])
        contents = self._contents(before)
        sources = before[content_places(contents[len(before) - len(wanted) :], contents)]
        twins = sources != wanted
        self._cache[wanted[twins]], self._row[wanted[twins]] = OWN, sources[twins]

    def _finished(self, rows: np.ndarray) -> np.ndarray:
        done = np.zeros(len(self._cache), bool)
        done[self._rows_of(shard for shard, _ in self._manifest.finished())] = True
        return done[rows]

    def _rows_of(self, shards: Iterable[Shard]) -> np.ndarray:
        """Return the rows of some shards whose content is known, numbered through all splits."""
        parts = [self._spans[shard.split].start + np.arange(shard.start, shard.stop) for shard in shards]
        rows = np.concatenate(parts) if parts else np.empty(0, np.int64)
        return rows[self._contents(rows).any(axis=1)]

    def _contents(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), HASH_BYTES), np.uint8)
        for split, span in self._spans.items():
            inside = (rows >= span.start) & (rows < span.stop)
            out[inside] = self._plan.contents[split][rows[inside] - span.start]
        return out

    def _same(self, donor: Donor, head: Head) -> bool:
        """Return whether a donor's shard holds the samples that the shard of this place is to hold, written in the same way."""
        part = slice(head.shard.start, head.shard.stop)
        ids, contents = self._plan.ids[head.shard.split][part], self._plan.contents[head.shard.split][part]
        return (
            self._manifest.shard(head.shard.split, head.shard.index) == head.shard
            and donor.manifest.compression == self._manifest.compression
            and np.array_equal(ids, head.ids)
            and ids.dtype == head.ids.dtype
            and np.array_equal(contents, head.contents)
            and bool(contents.any(axis=1).all())
        )


def _with_computed(
    shape: tuple[int, ...], dtype: np.dtype, positions: np.ndarray, computed: np.ndarray | None
) -> np.ndarray:
    """Return rows of which some were computed; as float32 where the dtype cannot hold these, which the writer refuses."""
    if computed is None:
        return np.empty(shape, dtype)
    limit = float(np.finfo(dtype).max)
    fits = float(computed.min()) >= -limit and float(computed.max()) <= limit
    rows = np.empty(shape, dtype if fits else np.float32)
    rows[positions] = computed
    return rows
