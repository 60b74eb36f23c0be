"""Which images the rows of a table of corrections are about."""

import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterable

import numpy as np

from bottleneck_features.errors import quoted
from bottleneck_features.pipeline.datasets.corrections.reading import Corrections
from bottleneck_features.pipeline.datasets.labels.reading import plain_label
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.plain import csv_cell

LEFT_OUT = -1  # the position of an image that is left out of the data, whatever its label
SHOWN = 3


def find_images(
    corrections: Corrections, ids: np.ndarray, usable: np.ndarray, elsewhere: Collection[str]
) -> dict[str, int]:
    """Return the position of each image that rows name, by the id as it is written there; or `LEFT_OUT`.

    An id that is no image's may be one as tables write it (`csv_cell`), or in another of Unicode's normal forms.

    Args:
        corrections: the rows.
        ids: `(n,)` text.
        usable: `(n,)` bool; only the ids of usable images are unique.
        elsewhere: ids of images that are not among these, since they cannot be used.

    Raises:
        RequestError: an id is no image's.
    """
    wanted = {row.id for row in corrections.rows}
    found = dict.fromkeys(wanted.intersection(elsewhere), LEFT_OUT)
    for place, name in enumerate(ids):
        if name in wanted and found.get(name, LEFT_OUT) == LEFT_OUT:
            found[name] = place if usable[place] else LEFT_OUT
    if lacking := wanted - found.keys():
        found |= _alike(lacking, ids, usable)
    if unknown := [row for row in corrections.rows if row.id not in found]:
        raise RequestError(_why_unknown([row.id for row in unknown], unknown[0].row, corrections, ids))
    return found


def _alike(lacking: Collection[str], ids: np.ndarray, usable: np.ndarray) -> dict[str, int]:
    forms = {name: plain_label(name) for name in lacking}
    wanted, places = set(forms.values()), defaultdict(list)
    for place in np.flatnonzero(usable).tolist():
        if (form := plain_label(csv_cell(ids[place]))) in wanted:
            places[form].append(place)
    return {name: places[form][0] for name, form in forms.items() if len(places[form]) == 1}


def _why_unknown(unknown: list[str], row: int, corrections: Corrections, ids: np.ndarray) -> str:
    name = unknown[0]
    said = (
        f"{len(unknown):,} of {len(corrections.rows):,} ids in '{corrections.file}' are not in the data, such as {name!r} "
        f"(row {row})."
    )
    same = _of_same_name(name, ids)
    meant = f" Perhaps {quoted(same)} is meant." if same else ""
    shown = f" Ids are as `inspect` and predictions show them, such as {str(ids[0])!r}." if len(ids) else ""
    advice = "Write them so, or take these rows away."
    if row == 1 and not corrections.headed:
        advice += " If the first row names the columns, call them `id` and `label`."
    return f"{said}{meant}{shown} {advice}"


def _of_same_name(name: str, ids: Iterable[str]) -> list[str]:
    """Return the first ids with the file name of another, without its folders and ending."""
    own, found = _stem(name), list[str]()
    for one in ids:
        if _stem(str(one)) == own:
            found.append(str(one))
            if len(found) == SHOWN:
                break
    return found


def _stem(name: str) -> str:
    return posixpath.splitext(posixpath.basename(name.replace("\\", "/")))[0].lower()
