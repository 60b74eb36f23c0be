"""The usable images of a data set in columns: a million of them are a few arrays, not a million objects."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from bottleneck_features.pipeline.datasets.listing import Problem
from bottleneck_features.pipeline.datasets.scanning import ScanResult
from bottleneck_features.pipeline.datasets.texts import factorized

SPLIT_NAMES = ("", "train", "validation", "test")


@dataclass(frozen=True)
class ImageTable:
    """What is known of some images, in their fixed order; without `ids`, 62 bytes an image.

    Attributes:
        ids: `(n,)` text, unique.
        labels: `(n,)` int32, indices into `names`.
        names: the classes, sorted as text.
        splits: `(n,)` int8, indices into `SPLIT_NAMES`; 0 where the data do not say.
        groups: `(n,)` text; `(0,)` where there are no groups.
        rows: `(n,)` int32, of the table that names them, counting its header as 1; `(0,)` where there is none.
        containers: `(n,)` int32, the number of the file of many images each is in.
        offsets: `(n,)` int64, where in it.
        sizes: `(n,)` uint32, bytes.
        sha256: `(n, 32)` uint8, of their bytes.
        widths: `(n,)` uint32, in pixels, as stored.
        heights: likewise.
        kinds: `(n,)` uint8, indices into `kind_names`.
        kind_names: Pillow's formats and modes, such as `JPEG RGB`.
    """

    ids: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    splits: np.ndarray
    groups: np.ndarray
    rows: np.ndarray
    containers: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    sha256: np.ndarray
    widths: np.ndarray
    heights: np.ndarray
    kinds: np.ndarray
    kind_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, chosen: np.ndarray) -> "ImageTable":
        """Return the images at `chosen` (positions, or a mask), in that order."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: array[chosen] for name, array in arrays.items() if isinstance(array, np.ndarray) and len(array)}
        return replace(self, **kept)


def usable_images(
    scan: ScanResult,
    *,
    ids: np.ndarray,
    labels: np.ndarray,
    splits: np.ndarray,
    groups: np.ndarray,
    problems: Mapping[int, str],
    rows: np.ndarray | None = None,
) -> tuple[ImageTable, list[Problem]]:
    """Return the images that can be used, and the reasons for the rest.

    Args:
        scan: what the scan found in `n` images.
        ids: `(n,)` text, unique among those without a problem.
        labels: `(n,)` text.
        splits: `(n,)` text, names of splits; empty where the data do not say.
        groups: `(n,)` text, or `(0,)` where there are none.
        problems: all that cannot be used, by position.
        rows: `(n,)` int32, of the table that names them; None where there is none.
    """
    rows = np.empty(0, np.int32) if rows is None else rows
    mask = np.ones(len(ids), bool)
    mask[list(problems)] = False
    names, label_codes = factorized(labels[mask])
    split_names, split_codes = factorized(splits[mask])
    kind_names, kind_codes = np.unique(scan.kinds[mask], return_inverse=True)
    table = ImageTable(
        ids=ids[mask],
        labels=label_codes.astype(np.int32),
        names=names,
        splits=np.array([SPLIT_NAMES.index(name) for name in split_names], np.int8)[split_codes],
        groups=groups[mask] if len(groups) else groups,
        rows=rows[mask] if len(rows) else rows,
        containers=scan.images["container"][mask],
        offsets=scan.images["offset"][mask],
        sizes=scan.images["size"][mask],
        sha256=scan.images["sha256"][mask],
        widths=scan.images["width"][mask],
        heights=scan.images["height"][mask],
        kinds=kind_codes.astype(np.uint8),
        kind_names=tuple(kind.decode() for kind in kind_names),
    )
    unusable = [
        Problem(str(ids[place]), problems[place], int(rows[place]) if len(rows) else 0) for place in sorted(problems)
    ]
    return table, unusable
