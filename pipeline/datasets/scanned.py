"""What was found in images: arrays in memory, and the same arrays as they are remembered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bottleneck_features.pipeline.datasets.pixels.decoding import MAX_SIDE
from bottleneck_features.pipeline.datasets.pixels.deep_pixels import NUMBER_KINDS
from bottleneck_features.pipeline.datasets.pixels.file_bytes import MAX_BYTES
from bottleneck_features.pipeline.datasets.texts import from_utf8, text_array, utf8, without_blanks

IMAGE = np.dtype(
    [
        ("container", "<i4"), ("offset", "<i8"), ("sample", "<i8"), ("size", "<u4"), ("modified_ns", "<i8"),
        ("changed_ns", "<i8"), ("inode", "<u8"), ("sha256", "u1", 32),
        ("width", "<u4"), ("height", "<u4"), ("numbers", "S2"), ("lowest", "<f8"), ("highest", "<f8"),
        ("odd_alpha", "?"),
    ]
)  # fmt: skip
_NUMBERS = ("", *(f"{kind}{size}" for kind in NUMBER_KINDS for size in (1, 2, 4, 8)))


@dataclass(frozen=True)
class ScanResult:
    """What was found in images, in their fixed order.

    Attributes:
        ids: `(n,)` text.
        images: `(n,)` of the type `IMAGE`: the number of the container, where in it, the number of the sample; bytes, time
            of change in ns (0 in containers), SHA-256 (zeros where it cannot be read); pixels, upright (0 where it is no
            image); and what `Checked` says of its numbers and its transparency.
        kinds: `(n,)` bytes, Pillow's format and mode, such as `JPEG RGB`.
        annotations: `(n,)` text by name, what the containers say of each.
        problems: why images cannot be used, by position.
    """

    ids: np.ndarray
    images: np.ndarray
    kinds: np.ndarray
    annotations: Mapping[str, np.ndarray] = field(default_factory=dict)
    problems: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def usable(self) -> np.ndarray:
        """A mask of the images without a problem."""
        return ~np.isin(np.arange(len(self)), list(self.problems))

    def take(self, places: Sequence[int] | np.ndarray) -> "ScanResult":
        """Return the images of files at some positions, in that order."""
        chosen = np.asarray(places, int)
        problems = {new: self.problems[old] for new, old in enumerate(chosen.tolist()) if old in self.problems}
        return ScanResult(self.ids[chosen], self.images[chosen], self.kinds[chosen], problems=problems)


def as_arrays(scan: ScanResult, state: str = "") -> dict[str, np.ndarray]:
    """Return a scan as arrays that NumPy's files can hold, with the state of what was scanned."""
    return {
        "state": np.array(state.encode()),
        "ids": utf8(scan.ids),
        "images": scan.images,
        "kinds": scan.kinds,
        "unusable": np.array(list(scan.problems), np.int64),
        "reasons": utf8(text_array(scan.problems.values())),
        **{f"annotation {name}": utf8(texts) for name, texts in scan.annotations.items()},
    }


def parsed(arrays: Mapping[str, np.ndarray], annotations: Sequence[str] = (), state: str = "") -> ScanResult:
    """Return the scan that `as_arrays` made arrays of.

    Args:
        arrays: by name.
        annotations: the names of what is said of each image.
        state: of what was scanned, as it is now.

    Raises:
        Exception: of many kinds, if they are of another state, or cannot be what `as_arrays` made.
    """
    if arrays["state"].item().decode() != state:
        raise ValueError("of another state of the file")
    if arrays["images"].dtype != IMAGE or arrays["kinds"].dtype.kind != "S" or arrays["unusable"].dtype != np.int64:
        raise TypeError("arrays of another type")
    reasons = from_utf8(arrays["reasons"]).tolist()
    scan = ScanResult(
        from_utf8(arrays["ids"]),
        arrays["images"],
        arrays["kinds"],
        {name: without_blanks(from_utf8(arrays[f"annotation {name}"])) for name in annotations},
        dict(zip(arrays["unusable"].tolist(), reasons, strict=True)),
    )
    _require_agreement(scan)
    if len(reasons) != len(scan.problems) or not all(reasons):
        raise ValueError("a problem without a reason, or with two")
    _require_possible(scan)
    return scan


def _require_agreement(scan: ScanResult) -> None:
    shapes = {one.shape for one in (scan.ids, scan.images, scan.kinds, *scan.annotations.values())}
    if len(shapes) != 1 or len(shapes.pop()) != 1:
        raise ValueError("arrays of different lengths")
    if not all(0 <= place < len(scan) for place in scan.problems):
        raise ValueError("a problem of an image that there is not")


def _require_possible(scan: ScanResult) -> None:
    images, usable = scan.images, scan.usable
    kinds = np.strings.decode(scan.kinds, "ascii")  # as they are shown
    numbers = np.strings.decode(images["numbers"], "ascii")
    sides = np.stack([images["width"], images["height"]])
    possible = {
        "bytes": (images["size"] <= MAX_BYTES) & (images["offset"] >= 0),
        "pixels": (sides <= MAX_SIDE).all(0) & ((sides > 0).all(0) | ~usable),
        "a hash": images["sha256"].any(axis=1) | ~usable,
        "a kind": (np.strings.find(kinds, " ") > 0) | ~usable,
        "numbers": np.isin(numbers, _NUMBERS),
        "a range": np.isfinite(images["lowest"])
        & (images["lowest"] <= images["highest"])
        & np.isfinite(images["highest"]),
    }
    wrong = [what for what, holds in possible.items() if not holds.all()]
    if wrong:
        raise ValueError(f"images without possible {wrong[0]}")
