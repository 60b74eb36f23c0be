"""The findings about a data set as one self-contained HTML page."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bottleneck_features.pipeline.reporting.page import data_uri, environment
from bottleneck_features.pipeline.results import write_text
from bottleneck_features.pipeline.tables import interval_text, percent_text
from bottleneck_features.plain import visible

SHORTCUT_COLUMNS = (
    "property of the image",
    "accuracy from it alone [95 %]",
    "warns",
    "most frequent class",
    "classes it identifies",
)
_TITLES = {"class-balance": "Class balance", "image-sizes": "Image sizes"}


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
    class_names: Sequence[str],
    drawn: tuple[Sequence[Path], Sequence[Path], Sequence[Path]],
    options: tuple[str, ...],
    path: Path,
) -> Path:
    """Write the page of `inspect`.

    Args:
        result: its result object.
        class_names: in the order of the contact sheets.
        drawn: the pictures, the contact sheets, and the sheet of repeated images if there is one.
        options: the words that repeat the command.
        path: of the page.

    Returns:
        `path`.
    """
    pictures, sheets, repeated = drawn
    shown = visible(dict(result))
    page = (
        environment()
        .get_template("inspect.html")
        .render(
            result=shown,
            columns=SHORTCUT_COLUMNS,
            rows=shortcut_rows(shown["shortcuts"]),
            pictures=[(_TITLES[file.stem], _embedded(file)) for file in pictures],
            sheets=[(visible(name), _embedded(file)) for name, file in zip(class_names, sheets, strict=True)],
            repeated=[_embedded(file) for file in repeated],
            command=visible(f"bottleneck inspect {shlex.join(options)}".rstrip()),
        )
    )
    write_text(path, page)
    return path


def _embedded(file: Path) -> str:
    return data_uri("png" if file.suffix == ".png" else "jpeg", file.read_bytes())
