"""How all pictures look, and how they are shown and written."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

from bottleneck_features.pipeline.results import write_bytes
from bottleneck_features.plain import visible

# Okabe and Ito's colours, told apart by all kinds of colour vision; line styles tell them apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vPX*"
NAMED_CLASSES = 40
PAGE_WIDTH = 6.4  # inches of an SVG: its text is still to be read on a phone
LONGEST = 60  # characters of a title or of the name of a line
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
    return figure, figure.subplots(rows, columns, **options)


def shortened(name: str, most: int) -> str:
    """Return a name of at most `most` characters, the end of a longer one left out."""
    return name if len(name) <= most else name[: most - 1] + "…"


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure, whole or not at all, and return `path`: as SVG with text that stays text, or as PNG, by its suffix."""
    write_bytes(path, _svg_bytes(figure, path.stem) if path.suffix == ".svg" else png_bytes(figure))
    return path


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as a PNG."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    return drawn.getvalue()


def _svg_bytes(figure: Figure, salt: str) -> bytes:
    drawn, (width, height) = BytesIO(), figure.get_size_inches()
    smaller = min(1, PAGE_WIDTH / width)
    figure.set_size_inches(width * smaller, height * smaller)
    try:
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
            figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    finally:
        figure.set_size_inches(width, height)
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
