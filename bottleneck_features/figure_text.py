"""Figures as they stand in sentences and in tables."""

import re
from collections.abc import Iterable, Sequence

INTERVAL = re.compile(r"[\d.,]+ % \[[\d.]+, [\d.]+\]")  # a figure in per cent with the ends of its interval
_FIGURE = re.compile(
    r"[<>]?[+-]?\d[\d.,]*(e[+-]?\d+)?(–[\d.,]+)?"  # a number, or from where to where
    r"( ?%| [a-z]+)?( \[.+\])?(, [\d.]+ points)?"  # its unit, its interval, its standard deviation
    r"|fitted on [\d,]+|–|unknown|"
)


def right_aligned(cells: Sequence[str]) -> bool:
    """Return whether the cells of a column are figures, which stand to the right."""
    return any(cells) and all(map(_FIGURE.fullmatch, cells))


def aligned(cells: Iterable[str], space: str = " ") -> list[str]:
    """Return the cells of a column with figures above one another where intervals follow them.

    Args:
        cells: of text.
        space: as wide as a digit.
    """
    parted = [cell.partition(" [") for cell in cells]
    before, after = (max((len(part[side]) for part in parted if part[1]), default=0) for side in (0, 2))
    return [
        f"{figure.rjust(before, space)}{bracket}{ends.ljust(after, space)}" if bracket else figure
        for figure, bracket, ends in parted
    ]
