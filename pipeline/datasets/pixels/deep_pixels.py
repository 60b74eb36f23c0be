"""Numbers that are not 0 to 255, as pixels: what they are, and how they become 8 bits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from bottleneck_features.pipeline.datasets.pixels.unusable import RefusedBySetting, UnusableImage

NUMBER_KINDS = {"u": "unsigned", "i": "signed", "f": "float"}  # by NumPy's kind; each has a range of its own
EIGHT_BITS = "u1"  # needs no range
_AT_A_TIME = 1 << 18  # numbers
MOSTLY = 0.5  # so much of a mask is neither black nor white: it is rather a picture


@dataclass(frozen=True)
class Numbers:
    """The numbers of one picture.

    Attributes:
        colours: `(height, width, 1 or 3)`, as the file has them.
        alpha: `(height, width)`, what the file says is transparency; None where it says nothing.
        premultiplied: whether the colours are multiplied by the alpha.
        white_is_zero: whether the lowest number is white.
        no_data: the number that means that there is none; None where the file names none.
        stated: the range the file states; None where it is that of the data set.
    """

    colours: np.ndarray
    alpha: np.ndarray | None = None
    premultiplied: bool = False
    white_is_zero: bool = False
    no_data: float | None = None
    stated: tuple[float, float] | None = None

    @property
    def type(self) -> str:
        """NumPy's name of what needs the data set's range, such as `u2`; empty where nothing does."""
        name = f"{self.colours.dtype.kind}{self.colours.dtype.itemsize}"
        return "" if self.stated or name == EIGHT_BITS else name

    def limits(self) -> tuple[float, float]:
        """Return the lowest and the highest number; those that are missing do not count.

        Raises:
            UnusableImage: all are missing.
        """
        found = [(float(part[there].min()), float(part[there].max())) for part, there in self._blocks() if there.any()]
        if not found:
            raise UnusableImage("all its values are missing (NaN, infinite, or what the file calls no data)")
        lowest, highest = zip(*found, strict=True)
        return min(lowest), max(highest)

    def is_there(self, values: np.ndarray) -> np.ndarray:
        """Return which values are not missing: neither NaN, nor infinite, nor the file's number for no data."""
        there = np.isfinite(values)
        return there if self.no_data is None else there & (values != self.no_data)

    def _blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for rows in _blocks(self.colours):
            yield rows, self.is_there(rows)


def require_bands(there: int, wanted: Sequence[int]) -> None:
    """Refuse a picture that has fewer bands than are wanted."""
    if max(wanted) > there:
        has = "1 band" if there == 1 else f"{there:,} bands"
        raise UnusableImage(
            f"it has {has}, and dataset.bands={','.join(map(str, wanted))} asks for number {max(wanted)}"
        )


def of_bands(numbers: Numbers, bands: Sequence[int]) -> Numbers:
    """Return the bands that are asked for as the colours; all numbers where none are."""
    if not bands:
        return numbers
    alpha = [] if numbers.alpha is None or numbers.alpha.dtype.kind == "b" else [numbers.alpha[..., None]]
    together = np.concatenate([numbers.colours, *alpha], -1)
    require_bands(together.shape[-1], bands)
    return replace(numbers, colours=together[..., [band - 1 for band in bands]], alpha=None)


def range_of(numbers: Numbers, ranges: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """Return which numbers become black and white.

    Args:
        numbers: of one picture.
        ranges: by kind of number, see `NUMBER_KINDS`.

    Raises:
        UnusableImage: there is no range for this kind of number.
    """
    if numbers.stated or not numbers.type:
        return numbers.stated or (0, 255)
    found = ranges.get(NUMBER_KINDS[numbers.type[0]])
    if found is None:
        low, high = numbers.limits()
        reason = (
            f"it holds {type_names([numbers.type])} values, {shown(low)} to {shown(high)}, and which of them are black and "
            "white is unknown"
        )
        raise RefusedBySetting(
            f"{reason}, since their range was neither given nor seen in training images: give it by "
            "--set dataset.value_range=LOW,HIGH",
            reason,
            "dataset.value_range",
        )
    return found


def as_rgb(numbers: Numbers, low: float, high: float) -> Image.Image:
    """Return numbers as an 8-bit RGB picture, transparent pixels laid over white.

    Args:
        numbers: of one picture. What is missing becomes `low`, what is outside is clipped.
        low: what becomes black.
        high: what becomes white.
    """
    levels = _levels(numbers.colours, low, high, numbers)
    if numbers.white_is_zero:
        np.subtract(255, levels, out=levels)
    colours = Image.fromarray(np.ascontiguousarray(levels if levels.shape[-1] == 3 else np.repeat(levels, 3, -1)))
    if numbers.alpha is None:
        return colours
    picture = Image.merge("RGBA", (*colours.split(), Image.fromarray(_opacity(numbers.alpha, high))))
    if numbers.premultiplied:
        picture = Image.frombuffer("RGBa", picture.size, picture.tobytes(), "raw", "RGBa", 0, 1).convert("RGBA")
    return over_white(picture)


def over_white(picture: Image.Image) -> Image.Image:
    """Return an RGBA picture laid over white."""
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def alpha_is_a_picture(alpha: np.ndarray | None) -> bool:
    """Return whether most of a transparency lies between its ends, which is rather a picture than a mask."""
    if alpha is None or not alpha.size:
        return False
    return bool(np.mean((alpha != 0) & (alpha != alpha.max())) > MOSTLY)


def type_names(types: Sequence[str]) -> str:
    """Return types of one kind of number in words, such as `16-bit`, `signed 8- and 16-bit` or `32-bit floating-point`."""
    bits = "- and ".join(str(8 * int(one[1:])) for one in sorted(types, key=lambda one: int(one[1:]))) + "-bit"
    return {"u": bits, "i": f"signed {bits}", "f": f"{bits} floating-point"}[types[0][0]]


def shown(number: float) -> str:
    """Return a number as a message shows it."""
    return f"{number:,.0f}" if number == round(number) and abs(number) < 1e15 else f"{number:g}"


def _blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    rows = max(1, _AT_A_TIME // max(1, values[0].size))
    return (values[start : start + rows] for start in range(0, len(values), rows))


def _levels(values: np.ndarray, low: float, high: float, numbers: Numbers) -> np.ndarray:
    """Return 0 for the lowest and 255 for the highest; halves keep the differences of the largest floats finite."""
    out, span = np.zeros(values.shape, np.uint8), high / 2 - low / 2
    if not span > 0:
        return out
    for part, target in zip(_blocks(values), _blocks(out), strict=True):
        with np.errstate(invalid="ignore"):  # what is missing
            scaled = (np.clip(part.astype(np.float64), low, high) / 2 - low / 2) / span * 255
        scaled[~numbers.is_there(part)] = 0
        target[:] = np.rint(scaled)
    return out


def _opacity(alpha: np.ndarray, high: float) -> np.ndarray:
    """Return a transparency as 8 bits, by the colours' own range, so that 12 bits in 16 are opaque at 4,095; floats by 0..1."""
    if alpha.dtype.kind == "b":
        return np.where(alpha, 255, 0).astype(np.uint8)
    opaque = 1.0 if alpha.dtype.kind == "f" else max(high, 1.0)
    return _levels(alpha[..., None], 0, opaque, Numbers(alpha[..., None]))[..., 0]
