"""The table of corrections: which image each row is about, and what it says of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bottleneck_features import features
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.labels.reading import plain_label
from bottleneck_features.pipeline.datasets.paths import in_full, local_path
from bottleneck_features.pipeline.datasets.table_reading import USUAL_LABELS, read_table, usual_name
from bottleneck_features.pipeline.errors import RequestError

DROP = "drop"
IDS = ("id", "ids", "image_id", "path", "file", "filename", "file_name", "image")  # usual names of the column
LABELS = ("new_label", *USUAL_LABELS)
FORM = f"It takes a column `id` and a column `label`, which holds a class or `{DROP}`."


@dataclass(frozen=True)
class Correction:
    """What one row says: the id of an image, its right label or `drop`, and the row's number, the first row being 1."""

    id: str
    label: str
    row: int


@dataclass(frozen=True)
class Corrections:
    """A table of corrections.

    Attributes:
        file: its name, as notices and messages show it.
        rows: in their order.
        headed: whether its first row names the columns.
    """

    file: str
    rows: tuple[Correction, ...]
    headed: bool


def read_corrections(settings: DatasetSettings) -> Corrections:
    """Read the table of corrections; it is separated and encoded as any table of images may be.

    Args:
        settings: `corrections`, and the columns of the data's own tables, which may be called the same here.

    Raises:
        RequestError: there is no such table, or a row has no id or the wrong number of cells.
    """
    if features.is_url(settings.corrections):
        raise RequestError(f"dataset.corrections must lie on a disk. Copy it there. Received: '{settings.corrections}'")
    path = local_path(settings.corrections)
    if not path.is_file():
        raise RequestError(f"dataset.corrections: there is no file {in_full(path)}. {FORM}")
    table = read_table(path, header=False)
    columns = _columns(table.rows[0][1], settings, path)
    rows = table.rows[1:] if columns else table.rows
    width = len(table.rows[0][1])
    return Corrections(path.name, tuple(_corrections(rows, columns or (0, 1), width, path.name)), bool(columns))


def _columns(first: Sequence[str], settings: DatasetSettings, path: Path) -> tuple[int, int] | None:
    """Return the positions of the columns of ids and labels; None where the first row is no header."""
    own = {"id": (settings.id_column, settings.image_column), "label": (settings.label_column,)}
    named = own if settings.header else {"id": (), "label": ()}
    identifier = _position(first, (*IDS, *filter(None, named["id"])))
    label = _position(first, (*LABELS, *filter(None, named["label"])))
    if identifier is None and label is None:
        if len(first) < 2:
            raise RequestError(f"'{path}' has one column only: {first[0]!r} stands in its first row. {FORM}")
        return None
    if identifier is None or label is None:
        missing = "id" if identifier is None else "label"
        raise RequestError(f"'{path}' has no column `{missing}`. {FORM} Columns: {', '.join(first)}.")
    return identifier, label


def _position(header: Sequence[str], names: Sequence[str]) -> int | None:
    """Return the position of the first of some names that a header has."""
    plain = [usual_name(name) for name in header]
    return next((plain.index(usual_name(name)) for name in names if usual_name(name) in plain), None)


def _corrections(
    rows: Sequence[tuple[int, list[str]]], columns: tuple[int, int], width: int, file: str
) -> Iterator[Correction]:
    for number, cells in rows:
        if len(cells) != width:
            raise RequestError(
                f"Row {number} of '{file}' has {len(cells)} cells, the first row {width}. Put quotation marks about a cell that "
                "holds the separator."
            )
        identifier, label = cells[columns[0]], plain_label(cells[columns[1]])
        if not identifier:
            raise RequestError(f"Row {number} of '{file}' has no id. {FORM}")
        yield Correction(identifier, label, number)
