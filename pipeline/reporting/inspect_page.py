"""The findings about a data set as one self-contained HTML page."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.evaluation.details import Place
from bottleneck_features.pipeline.reporting.figures import inlined
from bottleneck_features.pipeline.reporting.page import data_uri, write_page
from bottleneck_features.pipeline.reporting.repeated import repeated_pairs
from bottleneck_features.pipeline.tables import interval_text, percent_text
from bottleneck_features.plain import visible

ROOM = 2_500_000  # bytes of contact sheets on the page; the others are files beside it
SHORTCUT_COLUMNS = (
    "property of the image",
    "accuracy from it alone [95 %]",
    "warns",
    "most frequent class",
    "classes it identifies",
)


def shortcut_rows(shortcuts: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the shortcuts of a result object as text, one tuple each in the order of `SHORTCUT_COLUMNS`."""
    return [
        (
            f"{one['name']} (weak evidence)" if one["of_content"] else one["name"],
            interval_text(one["score"]["accuracy"], one["score"]["low"], one["score"]["high"]),
            "yes" if one["warns"] else "no",
            percent_text(one["baseline"]),
            ", ".join(one["given_away"]) or "–",
        )
        for one in shortcuts
    ]


def write_inspect_page(
    result: Mapping[str, Any],
    dataset: Dataset,
    drawn: Mapping[str, Callable[[float], Figure]],
    sheets: Sequence[Path],
    pairs: Sequence[tuple[Place, Place, str]],
    options: tuple[str, ...],
    path: Path,
) -> Path:
    """Write the page of `inspect`.

    Args:
        result: its result object.
        dataset: the open data set.
        drawn: the pictures by their titles, as functions of a width in inches.
        sheets: the contact sheets, in the order of the classes.
        pairs: of repeated images and their kind, those worth a look first.
        options: the words that repeat the command.
        path: of the page.

    Returns:
        `path`.
    """
    shown = visible(dict(result))
    content = {
        "result": shown,
        "names": visible(list(dataset.class_names)),
        "columns": SHORTCUT_COLUMNS,
        "rows": shortcut_rows(shown["shortcuts"]),
        "pictures": [(title, *_both(draw, title)) for title, draw in drawn.items()],
        "sheets": [data_uri("jpeg", file.read_bytes()) for file in _that_fit(sheets)],
        "repeats": repeated_pairs(dataset, pairs),
        "command": visible(f"bottleneck inspect {shlex.join(options)}".rstrip()),
    }
    return write_page("inspect.html", content, path)


def _that_fit(sheets: Sequence[Path]) -> Sequence[Path]:
    """Return the first contact sheets, as many as the page has room for."""
    sizes = accumulate(file.stat().st_size for file in sheets)
    return sheets[: sum(size <= ROOM for size in sizes)]


def _both(draw: Callable[[float], Figure], title: str) -> Iterator[Markup]:
    for width in (plots.WIDE, plots.NARROW):
        yield inlined(plots.svg_bytes(draw(width), f"{title}{width}").decode(), title)
