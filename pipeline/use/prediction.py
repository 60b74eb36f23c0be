"""The prediction for one image file, as a row of the table and as JSON."""

from dataclasses import dataclass
from typing import Any

DECIMALS = 6
FALSE_ALARMS = 0.05  # share of images like the training images that may be called unlike them


@dataclass(frozen=True)
class Prediction:
    """The prediction for one file.

    Attributes:
        file: as it was named, or found in a folder that was.
        classes: the answered one first, then the most likely others, with probabilities; empty where it cannot be used.
        distance: from the training images, divided by the threshold; None if there is no threshold.
        problem: why the file cannot be used; empty where it can.
    """

    file: str
    classes: tuple[tuple[str, float], ...] = ()
    distance: float | None = None
    problem: str = ""

    @property
    def unlike(self) -> bool | None:
        """Whether the image is out-of-distribution; None if there is no threshold."""
        return None if self.distance is None else self.distance > 1

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        classes = [{"label": label, "probability": round(value, DECIMALS)} for label, value in self.classes]
        return {
            "file": self.file,
            "label": self.classes[0][0] if self.classes else None,
            "classes": classes,
            "unlike": self.unlike,
            "distance": None if self.distance is None else rounded(self.distance),
            "error": self.problem or None,
        }

    def row(self, top: int) -> list[str]:
        """Return the row of the table, with the `top` most likely classes."""
        cells = [cell for label, value in self.classes for cell in (label, f"{value:.{DECIMALS}f}")]
        cells += [""] * (2 * top - len(cells))
        unlike = {None: "", True: "yes", False: "no"}[self.unlike]
        distance = "" if self.distance is None else f"{rounded(self.distance):.4f}"
        return [self.file, *cells, unlike, distance, self.problem]


def rounded(distance: float) -> float:
    """Return a distance with 4 decimals; what is above 1 stays above 1."""
    return max(round(distance, 4), 1.0001) if distance > 1 else round(distance, 4)


def header(top: int) -> list[str]:
    """Return the names of the table's columns, with the `top` most likely classes."""
    further = [f"{name}_{place}" for place in range(2, top + 1) for name in ("label", "probability")]
    return ["file", "label", "probability", *further, "unlike", "distance", "error"]
