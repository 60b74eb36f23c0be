"""The drawn test split: the content of an image decides whether it is a test image, not its place among the others."""

import hashlib

import numpy as np

from bottleneck_features.errors import enumerated
from bottleneck_features.pipeline.datasets.listing import natural_key
from bottleneck_features.pipeline.datasets.splitting import linked
from bottleneck_features.pipeline.datasets.texts import factorized
from bottleneck_features.pipeline.errors import RequestError

_SHA256 = 32  # bytes
_FEWEST = 2  # images, or units of a class that has three, to train on, so that one can be held out


def draw_test(
    labels: np.ndarray, names: tuple[str, ...], contents: np.ndarray, groups: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a test split by the content of the images, with every class in both parts.

    Images of one group and images of the same content are one unit, which stays together. A unit is for testing if the hash
    of the seed and of the smallest content hash among its images, as a number from 0 to 1, is less than `fraction`. So
    shares hold approximately, and an image that is added, removed or given another label moves no image of another unit.

    The exception is a class that this leaves without a test unit, which gets its unit of the smallest number, or with too
    few units to train on (two, or one of a class of two units), which keeps those of the largest numbers. Of a class of two
    units the one of a single image is tested. Where units have images of several classes, a class takes the next unit
    whose move spares the other classes.

    Args:
        labels: `(n,)` integers, indices into `names`.
        names: of the classes.
        contents: `(n, 32)` uint8, the SHA-256 of each image's file.
        groups: `(n,)` text, or `(0,)` where there are none.
        fraction: the share of the test split, between 0 and 1 (exclusive).
        seed: `dataset.split_seed`; another one draws another split.

    Returns:
        The sorted positions of the training and of the test images.

    Raises:
        RequestError: a class has one unit only, or units that several classes share leave no such split.
    """
    units, smallest = _units(contents, groups)
    draw = _Draw(labels, units, _numbers(smallest, seed), fraction)
    _require_two_units(draw, names, grouped=bool(len(groups)))
    draw.give_every_class_both_parts()
    if lacking := draw.lacking():
        raise RequestError(
            f"No test split has images of every class and leaves some to train on: those of {_named(names, lacking)} are in "
            "groups, or are copies of images, that are also in other classes. Change dataset.group, or give "
            "dataset.test_fraction=0."
        )
    chosen = draw.test[units]
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _units(contents: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit of each image, numbered from 0, and of each unit the smallest content hash."""
    flat = np.ascontiguousarray(contents).view(f"S{_SHA256}").ravel()
    distinct, own = np.unique(flat, return_inverse=True)
    units = own
    if len(groups):
        kinds = len(distinct) + factorized(groups)[1]
        units = linked(own, kinds, int(kinds.max()) + 1)[own]
    smallest = np.full(int(units.max()) + 1, len(distinct))
    np.minimum.at(smallest, units, own)
    return units, distinct[smallest]


def _numbers(contents: np.ndarray, seed: int) -> np.ndarray:
    """Return a number from 0 to 1 for each content hash, another one for another seed."""
    salt, joined = seed.to_bytes(8, "little"), contents.tobytes()
    pieces = (joined[start : start + _SHA256] for start in range(0, len(joined), _SHA256))
    hashed = b"".join(hashlib.sha256(salt + piece).digest()[:8] for piece in pieces)
    return np.frombuffer(hashed, "<u8") / 2.0**64


class _Draw:
    """Which units are drawn, and of each class how many units are in either part.

    Args:
        labels: `(n,)` integers.
        units: `(n,)` integers, the unit of each image.
        numbers: `(m,)`, of each unit.
        fraction: units of smaller numbers are drawn.

    Attributes:
        test: `(m,)` bool, the drawn units.
    """

    def __init__(self, labels: np.ndarray, units: np.ndarray, numbers: np.ndarray, fraction: float) -> None:
        self.test = numbers < fraction
        pairs, self._sizes = np.unique(labels.astype(np.int64) * len(numbers) + units, return_counts=True)
        self._labels, self._units = np.divmod(pairs, len(numbers))
        order = np.lexsort((numbers[self._units], self._labels))
        self._labels, self._units, self._sizes = self._labels[order], self._units[order], self._sizes[order]
        self._by_unit = np.argsort(self._units, kind="stable")
        self._totals = np.bincount(self._labels)
        self._tested = np.bincount(self._labels, self.test[self._units]).astype(int)

    def alone(self) -> list[int]:
        """Return the classes that have one unit only."""
        return [int(label) for label in np.flatnonzero(self._totals == 1)]

    def lacking(self) -> list[int]:
        """Return the classes that are not in both parts."""
        one_sided = (self._tested == 0) | (self._tested == self._totals)
        return [int(label) for label in np.flatnonzero((self._totals > 0) & one_sided)]

    def give_every_class_both_parts(self) -> None:
        """Move few units, those of the classes with the fewest units first; `lacking` says where it could not be done."""
        kept = self._totals - self._tested
        wanting = (self._totals > 1) & ((self._tested == 0) | (kept < np.minimum(_FEWEST, self._totals - 1)))
        for label in sorted(np.flatnonzero(wanting), key=lambda label: (self._totals[label], label)):
            self._mend(int(label))
        for label in np.flatnonzero((self._totals == 2) & (self._tested == 1)):
            self._train_on_more(int(label))

    def _mend(self, label: int) -> None:
        if not self._tested[label]:
            self._move(self._members(label)[0], test=True)
        while self._kept(label) < min(_FEWEST, self._totals[label] - 1):
            if not self._move(self._members(label)[0][::-1], test=False):
                return

    def _train_on_more(self, label: int) -> None:
        """Of two units train on the one of several images, where the other is one image."""
        units, sizes = self._members(label)
        tested = self.test[units]
        if sizes[~tested] < _FEWEST <= sizes[tested] and all(len(self._classes(unit)) == 1 for unit in units):
            self.test[units] = ~tested

    def _members(self, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the units of a class in the order of their numbers, and how many of its images each has."""
        start, end = np.searchsorted(self._labels, [label, label + 1])
        return self._units[start:end], self._sizes[start:end]

    def _classes(self, unit: int) -> np.ndarray:
        start, end = np.searchsorted(self._units, [unit, unit + 1], sorter=self._by_unit)
        return self._labels[self._by_unit[start:end]]

    def _kept(self, label: int) -> int:
        return int(self._totals[label] - self._tested[label])

    def _move(self, units: np.ndarray, *, test: bool) -> bool:
        """Move the first of some units that can be spared where it is; tell whether there was one."""
        for least in (_FEWEST, 1) if test else (1,):
            for unit in units:
                classes = self._classes(unit)
                if self.test[unit] != test and all(self._spares(label, least, test) for label in classes):
                    self.test[unit] = test
                    self._tested[classes] += 1 if test else -1
                    return True
        return False

    def _spares(self, label: int, least: int, test: bool) -> bool:
        if test:
            return self._kept(label) > min(least, self._totals[label] - 1)
        return bool(self._tested[label] > least)


def _require_two_units(draw: _Draw, names: tuple[str, ...], *, grouped: bool) -> None:
    if not (alone := draw.alone()):
        return
    what, advice = (
        ("in one group", "Change dataset.group") if grouped else ("copies of one image", "Take the class away")
    )
    raise RequestError(
        f"All images of {_named(names, alone)} are {what}, which cannot be in training and test at once. "
        f"{advice}, or give dataset.test_fraction=0."
    )


def _named(names: tuple[str, ...], labels: list[int]) -> str:
    return enumerated(sorted((names[label] for label in labels), key=natural_key))
