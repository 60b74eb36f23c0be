"""The columns of a table: those that settings name, and, where they name none, which could be meant."""

import posixpath
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from bottleneck_features.errors import nearest, quoted
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.labels.kinds import is_continuous
from bottleneck_features.pipeline.datasets.layout.split_cells import said_split
from bottleneck_features.pipeline.datasets.pixels.file_kinds import ENDINGS
from bottleneck_features.pipeline.datasets.table_reading import USUAL_LABELS, Table, usual_name
from bottleneck_features.pipeline.errors import RequestError

ON = ("1", "1.0", "1.", "true")
OFF = ("0", "0.0", "0.", "false", "")
LOOKED_AT = 50  # cells, to see whether a column names files
NamesAFile = Callable[[str], bool]


@dataclass(frozen=True)
class Columns:
    """The positions of columns.

    Attributes:
        image: names the files.
        label: None where the table has no labels, or `classes` are given.
        classes: a column of 0 and 1 for each class; none where `label` is given.
        split: None where no column says the split.
        group: None where no column says the group.
    """

    image: int
    label: int | None = None
    classes: tuple[int, ...] = ()
    split: int | None = None
    group: int | None = None

    @property
    def used(self) -> tuple[int, ...]:
        """All of them."""
        return (*(i for i in (self.image, self.label, self.split, self.group) if i is not None), *self.classes)

    @property
    def labelled(self) -> bool:
        """Whether the table says what images show."""
        return self.label is not None or bool(self.classes)


def find_columns(table: Table, settings: DatasetSettings, names_a_file: NamesAFile) -> Columns:
    """Find the columns that settings name.

    A table of test or validation images may lack the columns of labels, splits and groups: its images are unlabelled then.

    Args:
        table: its header and rows.
        settings: `image_column`, `label_column` or `label_columns`, and perhaps `split_column` and `group`.
        names_a_file: says whether a cell names a file that is there.

    Raises:
        RequestError: a column is missing; the message says which there are, and which could be meant.
    """
    classes = class_columns(settings, table.header)
    keys = [
        "image_column",
        *(() if classes else ("label_column",)),
        *(k for k in ("split_column", "group") if getattr(settings, k)),
    ]
    named = {key: getattr(settings, key) for key in keys} | {f"label_columns {name}": name for name in classes}
    of_labels = [key for key in named if key.startswith("label_column")]
    if (
        table.split not in ("", "train")
        and all(named[key] not in table.header for key in of_labels)
        and all(named.values())
    ):
        named = {"image_column": settings.image_column}  # such as a test.csv whose labels are kept secret
    wrong = {key: name for key, name in named.items() if table.header.count(name) != 1}
    if wrong:
        raise RequestError(_why(table, settings, wrong, names_a_file))
    at = {key: table.header.index(name) for key, name in named.items()}
    split, group = at.get("split_column"), at.get("group")
    columns = tuple(at[f"label_columns {name}"] for name in classes if f"label_columns {name}" in at)
    return Columns(at["image_column"], at.get("label_column"), columns, split, group)


def class_columns(settings: DatasetSettings, header: Sequence[str]) -> tuple[str, ...]:
    """Return the names of 0/1 columns: `label_columns`, or a `label_column` that is a list of columns.

    Raises:
        RequestError: there is only one.
    """
    if settings.label_columns:
        if len(settings.label_columns) < 2:
            raise RequestError(
                "dataset.label_columns takes two 0/1 columns at least. For one column, whatever is in it, give "
                f"dataset.label_column={settings.label_columns[0]}"
            )
        return settings.label_columns
    parts = tuple(part.strip() for part in settings.label_column.split(","))
    return parts if len(parts) > 1 and settings.label_column not in header and set(parts) & set(header) else ()


def image_column(table: Table, names_a_file: NamesAFile) -> int | None:
    """Return the column whose cells look most like names of images, or name files that are there; None where none does."""
    hits = [sum(_is_image(c) + names_a_file(c) for c in _first(table, i)) for i in range(len(table.header))]
    return hits.index(max(hits)) if max(hits, default=0) > 0 else None


def _why(table: Table, settings: DatasetSettings, wrong: dict[str, str], names_a_file: NamesAFile) -> str:
    """Return what is wrong with the names of columns, and what to type instead."""
    first = first_image(table, names_a_file)
    if settings.header and first:
        return (
            f"The first row of '{table.path}' is no header, for it names the image '{first}'. Say so, and give columns by "
            f"their numbers: --set dataset.header=false {_typed(guessed_columns(numbered(table), names_a_file))}"
        )
    said = [_not_there(key.partition(" ")[0], name, table) for key, name in wrong.items() if name]
    missing = [f"dataset.{key}" for key, name in wrong.items() if not name]
    if missing:
        said.append(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing for '{table.path}'.")
    said.append(f"{'Columns' if settings.header else 'Columns, by their numbers'}: {', '.join(table.header)}.")
    strangers = [name for name in wrong.values() if name and name not in table.header]
    near = nearest(strangers[0], table.header) if strangers and settings.header else []
    if near and len(near) < len(table.header):  # else none is
        said.append(f"Nearest: {', '.join(near)}.")
    keys = {key.partition("_column")[0] for key in wrong}
    if "dataset.label_column" in missing and (several := _not_one_hot(table)):
        said.append(several)
        keys.discard("label")
    guesses = {
        key: name for key, name in guessed_columns(table, names_a_file).items() if key.partition("_column")[0] in keys
    }
    if guesses:
        said.append(f"By what is in them, perhaps: {_typed(guesses)}")
    return " ".join(filter(None, said))


def _not_there(key: str, name: str, table: Table) -> str:
    count = table.header.count(name)
    wrong = f"{count} columns are called {name!r}" if count else f"there is no column {name!r}"
    return f"dataset.{key}: {wrong} in '{table.path}'."


def guessed_columns(table: Table, names_a_file: NamesAFile) -> dict[str, str]:
    """Return `image_column` and `label_column` (or `label_columns`) of columns that look as if they named files and classes."""
    image = image_column(table, names_a_file)
    others = [i for i in range(len(table.header)) if i != image]
    found = {} if image is None else {"image_column": table.header[image]}
    classes = [i for i in others if _all_in(table, i, (*ON, *OFF))]
    if len(classes) > 2 and all(_ones(row, classes) == 1 for _, row in table.rows):
        return {**found, "label_columns": ",".join(table.header[i] for i in classes)}
    label = min(
        (i for i in others if _looks_like_labels(table, i)), key=lambda i: (_rank(table.header[i]), i), default=None
    )
    return found if label is None else {**found, "label_column": table.header[label]}


def guessed_split(table: Table, but: Collection[str]) -> str:
    """Return the column, none of `but`, whose cells say which split a row is of; empty where there is none."""
    for i, name in enumerate(table.header):
        said = {said_split(name, cell) for cell in set(table.cells(i)) - {""}}
        if name not in but and "train" in said and "" not in said and len(said) > 1:
            return name
    return ""


def first_image(table: Table, names_a_file: NamesAFile) -> str:
    """Return the image that the row which was taken for a header names, as in a list without one; empty: it names none."""
    named = (
        cell
        for i, cell in enumerate(table.header)
        if _is_image(cell) or (names_a_file(cell) and all(map(names_a_file, _first(table, i))))
    )
    return next(named, "")


def numbered(table: Table) -> Table:
    """Return a table whose first row is no header: its columns are called by their numbers."""
    rows = ((1, list(table.header)), *table.rows)
    return Table(table.path, table.split, tuple(str(i + 1) for i in range(len(table.header))), rows)


def _not_one_hot(table: Table) -> str:
    """Return what there is to say of 0/1 columns with more or fewer than one 1 in a row; empty where there are none."""
    classes = [i for i in range(len(table.header)) if _all_in(table, i, (*ON, *OFF))]
    odd = [number for number, row in table.rows if _ones(row, classes) != 1]
    if len(classes) < 3 or not odd:
        return ""
    return (
        f"The columns {quoted(table.header[i] for i in classes[:5])} … hold 0 and 1, but not a single 1 in {len(odd):,} of "
        f"{len(table.rows):,} rows, the first of which is row {odd[0]}: several labels an image are not supported."
    )


def _typed(settings: Mapping[str, str]) -> str:
    return " ".join(f"--set {shlex.quote(f'dataset.{key}={name}')}" for key, name in settings.items())


def _looks_like_labels(table: Table, column: int) -> bool:
    counts: dict[str, int] = {}
    for cell in table.cells(column):
        counts[cell] = counts.get(cell, 0) + 1
    counts.pop("", None)
    few = 2 <= len(counts) <= max(2, sum(counts.values()) // 2)
    return few and not is_continuous(counts) and not all(said_split(table.header[column], cell) for cell in counts)


def _rank(name: str) -> int:
    """Return the place of a name among the usual ones for labels, which come first."""
    plain = usual_name(name)
    return USUAL_LABELS.index(plain) if plain in USUAL_LABELS else len(USUAL_LABELS)


def _first(table: Table, column: int) -> list[str]:
    return [row[column] for _, row in table.rows[:LOOKED_AT] if column < len(row)]


def _all_in(table: Table, column: int, words: Sequence[str]) -> bool:
    return any(table.cells(column)) and all(cell.lower() in words for cell in table.cells(column))


def _ones(row: Sequence[str], columns: Sequence[int]) -> int:
    return sum(row[i].lower() in ON for i in columns if i < len(row))


def _is_image(cell: str) -> bool:
    return posixpath.splitext(cell)[1].lower() in ENDINGS
