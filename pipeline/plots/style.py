"""How all pictures look, and how they are written."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter

from bottleneck_features.pipeline.results import write_bytes
from bottleneck_features.plain import visible

# Okabe and Ito's colours, told apart by all kinds of colour vision; line styles tell them apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vPX*"
NAMED_CLASSES = 40
PAGE_WIDTH = 6.4  # inches of an SVG: its text is still to be read on a phone
LONGEST = 60  # characters of a title or of the name of a line


def new_figure(size: tuple[float, float], rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """Return an empty figure of `size` inches and its axes; `options` are those of `Figure.subplots`."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def shortened(name: str, most: int) -> str:
    """Return a name of at most `most` characters, the end of a longer one left out."""
    return name if len(name) <= most else name[: most - 1] + "…"


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure, whole or not at all: as SVG with text that stays text, or as PNG, by the path's suffix."""
    drawn = BytesIO()
    _make_visible(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of names in scripts the font lacks
        _draw(figure, path, drawn)
    write_bytes(path, drawn.getvalue())
    return path


def _draw(figure: Figure, path: Path, drawn: BytesIO) -> None:
    if path.suffix == ".svg":
        figure.set_size_inches(figure.get_size_inches() * min(1, PAGE_WIDTH / figure.get_size_inches()[0]))
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.stem}):
            figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    else:
        figure.savefig(drawn, format="png", dpi=130)


def _make_visible(figure: Figure) -> None:
    """Show names that others chose as `visible` does."""
    for axes in figure.axes:
        for formatter in (axes.xaxis.get_major_formatter(), axes.yaxis.get_major_formatter()):
            if isinstance(formatter, FixedFormatter):
                formatter.seq = [visible(text) for text in formatter.seq]
    for text in figure.findobj(Text):
        text.set_text(visible(text.get_text()))
