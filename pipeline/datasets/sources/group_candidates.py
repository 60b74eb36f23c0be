"""Columns of a table that look like groups: a sender, a patient, a scene of which there are many images."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from bottleneck_features.pipeline.datasets.layout.split_cells import NO, YES, said_split

SHOWN = 3
LONGEST = 100  # characters of the name of a group
TOGETHER = 0.9  # share of the images that must not be alone in their group
WORDS = frozenset(  # in the names of columns of groups
    {
        "patient", "subject", "sender", "person", "user", "owner", "donor", "author", "photographer", "uploader", "family",
        "scene", "site", "location", "plot", "field", "farm", "hospital", "video", "clip", "sequence", "track", "film",
        "camera", "device", "session", "batch", "burst", "series", "study", "case", "specimen", "lesion", "slide", "object",
        "individual", "animal", "source", "group", "id",
    }
)  # fmt: skip
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def group_candidates(columns: Iterable[tuple[str, Sequence[str]]], labels: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns that look like groups, those first whose names say so.

    Args:
        columns: the name of each, and `n` cells.
        labels: `n` labels.
    """
    found = [name for name, cells in columns if _is_group(name, cells, labels)]
    return tuple(sorted(found, key=lambda name: not _sounds_like_one(name))[:SHOWN])


def _is_group(name: str, cells: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether a column has few values with many images each, in several classes or by its name, so that they can be parted."""
    counts: Counter[str] = Counter()
    for cell in cells:
        counts[cell] += 1
        if not cell or len(cell) > LONGEST or 2 * len(counts) >= len(cells):
            return False
    together = sum(count for count in counts.values() if count > 1)
    if len(counts) < 2 or together < TOGETHER * len(cells) or _says_something_else(name, counts):
        return False
    groups, classes = defaultdict(set), defaultdict(set)
    for cell, label in set(zip(cells, labels, strict=True)):
        groups[label].add(cell)
        classes[cell].add(label)
    within = all(
        len(own) == 1 for own in classes.values()
    )  # as a patient with one diagnosis, but a breed of one species too
    return min(map(len, groups.values())) > 1 and (not within or _sounds_like_one(name))


def _says_something_else(name: str, values: Iterable[str]) -> bool:
    """Whether values are flags, splits, or numbers in a column whose name does not speak of groups."""
    if all(value.lower() in (*YES, *NO) for value in values) or all(said_split(name, value) for value in values):
        return True
    numbers = [value for value in values if _NUMBER.fullmatch(value)]
    whole = all(value.lstrip("+-").isdecimal() for value in numbers)
    return len(numbers) == len(list(values)) and not (whole and _sounds_like_one(name))


def _sounds_like_one(name: str) -> bool:
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    return any(word in WORDS or word.removesuffix("s") in WORDS for word in words)
