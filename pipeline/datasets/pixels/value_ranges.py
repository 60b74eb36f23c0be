"""Which numbers become black and white, for all images of a data set: from its first scan, kept in the artifacts folder.

Unsigned integers count from 0 to the next 2^n - 1 that is not below the largest one, signed ones from the least to the
largest, floats from 0 to 1 where all lie in it, else from the least to the largest. A test split that comes with the data has
no say. Images that are added later change no range, so that nothing computed before becomes invalid: what they have outside
of it is clipped, and said.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from pydantic import FiniteFloat, TypeAdapter

from bottleneck_features.features.storage import remove_stale
from bottleneck_features.foreign import read_json
from bottleneck_features.pipeline.dataset_settings import DatasetSettings, MeasuredData
from bottleneck_features.pipeline.datasets.paths import local_path
from bottleneck_features.pipeline.datasets.pixels.deep_pixels import NUMBER_KINDS, shown, type_names
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.results import write_text

RANGES_FILE, RANGES_LOCK = "value-ranges.json", "value-ranges.lock"
RANGES_KEPT = 1000  # data sets
LEAST_MARK = -999  # what stands for missing values is this or less, such as -9999
NARROW = 0.125  # share of the range: with less a usual image has fewer than 32 of 256 grey levels
Range = tuple[float, float]
_RANGE_TABLE = TypeAdapter(dict[str, dict[str, tuple[FiniteFloat, FiniteFloat]]])


@dataclass(frozen=True)
class DataRanges:
    """What is known of the numbers in a data set's images.

    Attributes:
        ranges: by kind of number (`NUMBER_KINDS`), what becomes black and white.
        identity: what of it changes pixels, as `Dataset.identity`.
        notices: sentences a reader of any number from these data must know.
    """

    ranges: Mapping[str, Range]
    identity: Mapping[str, Any]
    notices: tuple[str, ...]


def data_ranges(images: np.ndarray, of_test: np.ndarray, settings: DatasetSettings, home: Path) -> DataRanges:
    """Return the ranges of a data set, those of its first scan or of `dataset.value_range`.

    Args:
        images: `(n,)` of the type `IMAGE`, the usable ones.
        of_test: `(n,)`, a mask of those in a test split that comes with the data.
        settings: the `dataset` section.
        home: the artifacts folder, where ranges are kept by the data's place.
    """
    kinds = {kind: found for kind in NUMBER_KINDS if (found := _of_kind(images, kind)).any()}
    asked = settings.value_range
    if asked or isinstance(settings, MeasuredData):
        ranges = _known_ranges(kinds, images, settings)
    else:
        new = {NUMBER_KINDS[kind]: _found(images, here, here & ~of_test) for kind, here in kinds.items()}
        ranges = _kept(home, _place(settings), new) if new else {}
    identity: dict[str, Any] = {"dataset.bands": list(settings.bands)} if settings.bands else {}
    if kinds:
        identity["dataset.value_range"] = {NUMBER_KINDS[kind]: list(ranges[NUMBER_KINDS[kind]]) for kind in kinds}
    notices = [_notice(images[here], ranges[NUMBER_KINDS[kind]], bool(asked)) for kind, here in kinds.items()]
    odd = int(images["odd_alpha"].sum())
    if odd:
        notices.append(
            f"Data: the transparency of {odd:,} images looks like a picture, not like a mask (a band of another kind?). They are "
            "laid over white by it; dataset.bands=1,2,3 (of grey images 1,1,1) leaves it out."
        )
    return DataRanges(ranges, identity, tuple(notices))


def ranges_asked(settings: DatasetSettings) -> dict[str, Range]:
    """Return `dataset.value_range` for every kind of number; empty where it is not set."""
    if not settings.value_range:
        return {}
    low, high = settings.value_range
    return dict.fromkeys(NUMBER_KINDS.values(), (low, high))


def kept_ranges(identity: Mapping[str, Any]) -> dict[str, Range]:
    """Return the ranges that a data set's identity names."""
    return {name: (float(low), float(high)) for name, (low, high) in identity.get("dataset.value_range", {}).items()}


def _known_ranges(
    kinds: Mapping[str, np.ndarray], images: np.ndarray, settings: DatasetSettings
) -> Mapping[str, Range]:
    """Return the ranges that are not found in the data: of `dataset.value_range`, or of the model that is measured on them."""
    ranges = ranges_asked(settings) or (settings.ranges if isinstance(settings, MeasuredData) else {})
    if unknown := [kind for kind in kinds if NUMBER_KINDS[kind] not in ranges]:
        here = images[kinds[unknown[0]]]
        types = sorted({one.decode() for one in np.unique(here["numbers"])})
        raise RequestError(
            f"{len(here):,} images hold {type_names(types)} values, and the model was trained on none: which of them "
            "is black and which is white is unknown. Give their range by --set dataset.value_range=LOW,HIGH."
        )
    return ranges


def _of_kind(images: np.ndarray, kind: str) -> np.ndarray:
    return np.char.startswith(images["numbers"], kind.encode())


def _found(images: np.ndarray, here: np.ndarray, counted: np.ndarray) -> Range:
    chosen = images[counted if counted.any() else here]
    low, high = float(chosen["lowest"].min()), float(chosen["highest"].max())
    kind = chosen["numbers"][0][:1]
    if kind == b"u":
        return 0.0, float((1 << max(1, int(high).bit_length())) - 1)
    return (0.0, 1.0) if kind == b"f" and low >= 0 and high <= 1 else (low, high)


def _place(settings: DatasetSettings) -> str:
    """Return where the data are, with what chooses the bands of them."""
    path = settings.path if "://" in settings.path else str(local_path(settings.path).resolve())
    return " bands ".join((path, ",".join(map(str, settings.bands)))) if settings.bands else path


def _kept(home: Path, place: str, new: Mapping[str, Range]) -> dict[str, Range]:
    """Return the ranges kept for a place; kinds of numbers that have none there get the new ones."""
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / RANGES_LOCK):
        remove_stale(home, of=RANGES_FILE)
        places = _known(home)
        before = places.pop(place, {})
        ranges = {**new, **before}
        places[place] = ranges
        if ranges != before:
            kept = dict(list(places.items())[-RANGES_KEPT:])
            write_text(home / RANGES_FILE, json.dumps(kept, indent=1, ensure_ascii=True))
    return ranges


def _known(home: Path) -> dict[str, dict[str, Range]]:
    try:
        return _RANGE_TABLE.validate_python(read_json(home / RANGES_FILE))
    except (OSError, ValueError):  # none yet, or damaged: made anew
        return {}


def _notice(images: np.ndarray, found: Range, asked: bool) -> str:
    low, high = found
    types = sorted({one.decode() for one in np.unique(images["numbers"])})
    text = (
        f"Data: {len(images):,} images hold {type_names(types)} values; {shown(low)} to {shown(high)} becomes black to white "
        "(dataset.value_range)."
    )
    usual = tuple(float(np.median(images[name])) for name in ("lowest", "highest"))
    if not asked and usual[1] - usual[0] < NARROW * (high - low):
        text += (
            f" Half of the images have values from about {shown(usual[0])} to {shown(usual[1])} only, so they have hardly any "
            "contrast: do a few images make the range so wide? Then give "
            f"dataset.value_range={usual[0]:g},{usual[1]:g} or the like."
        )
    elif not asked and usual[0] <= LEAST_MARK and usual[0] < -0.9 * (usual[1] - usual[0]):
        text += (
            " The least value may be a mark for missing values: if so, give the range of the others as "
            "dataset.value_range=LOW,HIGH."
        )
    outside = int(((images["lowest"] < low) | (images["highest"] > high)).sum())
    if not outside:
        return text
    why = "" if asked else ", which was found in the first scan and is kept"
    return (
        f"{text} {outside:,} of them have values outside of this range{why}: they are clipped. Set "
        "dataset.value_range=LOW,HIGH for another one."
    )
