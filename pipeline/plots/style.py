"""How all pictures look, and how they are shown and written."""

import textwrap
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

from bottleneck_features.pipeline.results import write_bytes
from bottleneck_features.plain import visible

# Okabe and Ito's colours, told apart by all kinds of colour vision; line styles tell them apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vPX*"
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
NAMED_CLASSES = 40
WIDE, NARROW = 7.2, 3.6  # inches of a picture on a page: beside another one, and on a phone
TOP = 1.018  # of an axis of shares: a mark at 1 is whole, and no tick above 100 % is named
SIDE_BY_SIDE = 5.0  # inches from which on panels and names stand beside what they belong to
LONGEST = 60  # characters of a title or of the name of a line
CHARACTERS = 11.5  # of 10 points in an inch of text, about
DPI = 130  # pixels per inch of a PNG
CSS_DPI = 96  # pixels per inch of a page


class Drawing(Figure):
    """A figure that no window and no other figure knows of: a notebook shows it once, where a cell returns it.

    Names that others chose are drawn as `visible` shows them.
    """

    def draw(self, renderer: Any) -> None:
        """Draw it, whoever asks: a file, a notebook, or matplotlib to measure it."""
        _make_visible(self)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of names in scripts the font lacks
            super().draw(renderer)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the PNG with the size to show it in, for notebooks in which pyplot, which shows figures, is not imported."""
        width, height = (round(inches * CSS_DPI) for inches in self.get_size_inches())
        return png_bytes(self), {"width": width, "height": height}


def new_figure(size: tuple[float, float], rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """Return an empty figure of `size` inches and its axes; `options` are those of `Figure.subplots`."""
    figure = Drawing(figsize=size, layout="constrained")
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        return figure, figure.subplots(rows, columns, **options)


def new_panels(width: float, height: float, count: int, **options: Any) -> tuple[Figure, np.ndarray]:
    """Return a figure of `count` panels: beside one another where there is room, else below one another.

    Args:
        width: of the figure, inches.
        height: of a panel, inches.
        count: of panels.
        options: those of `Figure.subplots`.

    Returns:
        The figure, and `(count,)` axes.
    """
    columns = count if width >= SIDE_BY_SIDE else 1
    rows = -(-count // columns)
    figure, axes = new_figure((width, height * rows), rows, columns, squeeze=False, **options)
    return figure, axes.ravel()


def spanned(low: float, high: float, least: float) -> tuple[float, float]:
    """Return the ends of an axis of shares: all that is shown with a little room, `least` wide at least, within 0..TOP.

    Equal values do not look far apart on it.
    """
    room = max(0.06 * (high - low), 0.015)
    low, high = low - room, high + room
    missing = max(0.0, least - (high - low)) / 2
    low, high = low - missing, high + missing
    above = max(0.0, high - TOP)
    return max(0.0, low - above), min(TOP, high - min(0.0, low - above))


def fill(text: str, width: float) -> str:
    """Break text into lines for a picture `width` inches wide."""
    return "\n".join(textwrap.wrap(text, max(24, round(CHARACTERS * width)), break_on_hyphens=False))


def shortened(name: str, most: int) -> str:
    """Return a name of at most `most` characters, the end of a longer one left out."""
    return name if len(name) <= most else name[: most - 1] + "…"


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure, whole or not at all, and return `path`: as SVG with text that stays text, or as PNG, by its suffix."""
    write_bytes(path, svg_bytes(figure, path.stem) if path.suffix == ".svg" else png_bytes(figure))
    return path


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as a PNG."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    return drawn.getvalue()


def svg_bytes(figure: Figure, salt: str) -> bytes:
    """Return a figure as SVG; `salt` makes its inner names differ from those of other pictures on a page."""
    drawn = BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    return drawn.getvalue()


class _VisibleNames(FuncFormatter):
    """The names of ticks as `visible` shows them."""

    def __init__(self, named: FuncFormatter) -> None:
        super().__init__(lambda value, place: visible(named(value, place)))


def _make_visible(figure: Figure) -> None:
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FuncFormatter) and not isinstance(formatter, _VisibleNames):
            axis.set_major_formatter(_VisibleNames(formatter))
    for text in figure.findobj(Text):
        text.set_text(visible(text.get_text()))
