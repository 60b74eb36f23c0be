"""What was found in files of many images, put together: one row an image, and reasons for those that cannot be used."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bottleneck_features.pipeline.datasets.columns import SPLIT_NAMES, TEXT, Columns, codes, one_after_another, text
from bottleneck_features.pipeline.datasets.containers import Container
from bottleneck_features.pipeline.datasets.listing import Problem
from bottleneck_features.pipeline.datasets.packed import Table

TAKEN = "its id is that of an earlier image"


@dataclass(frozen=True)
class Found:
    """The images of all containers, one container after the other.

    Attributes:
        ids: `(n,)` text.
        containers: `(n,)` int32.
        numbers: `(n,)`, as in `Table`.
        kinds: `(n,)` uint8, indices into `kind_names`.
        kind_names: Pillow's formats and modes.
        said: `(n,)` text by name, what the containers say.
        problems: why images cannot be used, by position.
    """

    ids: np.ndarray
    containers: np.ndarray
    numbers: np.ndarray
    kinds: np.ndarray
    kind_names: tuple[str, ...]
    said: Mapping[str, np.ndarray]
    problems: Mapping[int, str]

    @property
    def usable(self) -> np.ndarray:
        """A mask of the images without a problem."""
        mask = np.ones(len(self.ids), bool)
        mask[list(self.problems)] = False
        return mask


def stacked(tables: Iterable[Table]) -> Found:
    """Put the tables of all containers together."""
    parts = list(tables)
    starts = np.cumsum([0, *map(len, parts)])
    kind_names, kinds = np.unique(np.concatenate([part.kinds for part in parts]), return_inverse=True)
    return Found(
        ids=np.concatenate([part.ids for part in parts]),
        containers=np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts]),
        numbers=np.concatenate([part.numbers for part in parts]),
        kinds=kinds.astype(np.uint8),
        kind_names=tuple(kind.decode() for kind in kind_names),
        said={name: one_after_another([part.said[name] for part in parts]) for name in parts[0].said},
        problems={
            int(start) + i: why for start, part in zip(starts, parts, strict=False) for i, why in part.problems.items()
        },
    )


def unique_ids(found: Found, containers: Sequence[Container]) -> tuple[np.ndarray, dict[int, str]]:
    """Return ids of which none occurs twice, and what cannot have one.

    Where two containers repeat a name, every id is preceded by its container's.
    """
    ids = found.ids
    if len(containers) > 1 and len(np.unique(ids)) < len(ids):
        ids = text(f"{containers[c].name}/{name}" for c, name in zip(found.containers, ids, strict=True))
    names, first = np.unique(ids, return_index=True)
    if len(names) == len(ids):
        return ids, {}
    taken = np.ones(len(ids), bool)
    taken[first] = False
    return ids, dict.fromkeys(np.flatnonzero(taken).tolist(), TAKEN)


def put_together(
    found: Found,
    ids: np.ndarray,
    labels: np.ndarray,
    splits: np.ndarray,
    groups: np.ndarray,
    problems: Mapping[int, str],
) -> tuple[Columns, list[Problem]]:
    """Return the columns of what can be used, and the reasons for the rest.

    Args:
        found: what the scan found.
        ids: `(n,)` text, unique among those without a problem.
        labels: `(n,)` text.
        splits: `(n,)` text, names of splits; empty where the data do not say.
        groups: `(n,)` text, or `(0,)`.
        problems: all that cannot be used, by position.
    """
    mask = np.ones(len(ids), bool)
    mask[list(problems)] = False
    numbers = {field: found.numbers[field][mask] for field in ("offset", "size", "sha256", "width", "height")}
    names, numbered = codes(labels[mask])
    split_names, split_codes = codes(splits[mask])
    order = np.array([SPLIT_NAMES.index(name) for name in split_names], np.int8)
    columns = Columns(
        ids=ids[mask],
        labels=numbered.astype(np.int32),
        names=names,
        splits=order[split_codes] if len(order) else np.empty(0, np.int8),
        groups=groups[mask] if len(groups) else np.empty(0, TEXT),
        rows=np.empty(0, np.int32),
        containers=found.containers[mask],
        offsets=numbers["offset"],
        sizes=numbers["size"],
        sha256=numbers["sha256"],
        widths=numbers["width"],
        heights=numbers["height"],
        kinds=found.kinds[mask],
        kind_names=found.kind_names,
    )
    return columns, [Problem(str(ids[place]), problems[place]) for place in sorted(problems)]
