"""The rows of a table: what each says, and the file of its image."""

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bottleneck_features.errors import quoted
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.layout.split_cells import require_splits, said_split, splits_in, why_no_split
from bottleneck_features.pipeline.datasets.listing import Entry, Problem
from bottleneck_features.pipeline.datasets.sources.table_columns import Columns, image_column
from bottleneck_features.pipeline.datasets.sources.table_labels import one_hot_labels
from bottleneck_features.pipeline.datasets.sources.table_paths import (
    LEAVES,
    URL,
    Files,
    Placement,
    names_a_file,
    place,
    plain_path,
    relative,
    where_else,
    wrong_path,
)
from bottleneck_features.pipeline.datasets.table_reading import Table
from bottleneck_features.pipeline.errors import RequestError

NO_FILE = "there is no such file"


@dataclass(frozen=True)
class Rows:
    """The rows of a table.

    Attributes:
        table: with all its cells.
        columns: of the table.
        entries: the rows that can be used, with the paths of the table, or, once they are found, of the files.
        problems: those that cannot, and why.
        placement: where the images are; None before it is known.
        lost: the rows of an unlabelled table whose file is not there.
    """

    table: Table
    columns: Columns
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    placement: Placement | None = None
    lost: tuple[Problem, ...] = ()


def read_rows(table: Table, columns: Columns, settings: DatasetSettings) -> Rows:
    """Return what the rows of a table say.

    Raises:
        RequestError: no row can be used, no cell of the column of splits is one, or 0/1 columns are none.
    """
    if columns.split is not None:
        require_splits(table.header[columns.split], table.cells(columns.split))
    width = len(table.header)
    whole = [(number, row) for number, row in table.rows if len(row) == width]
    problems = [
        Problem(
            "".join(row[columns.image : columns.image + 1]),
            f"the row has {len(row)} cells, the first row {width}",
            number,
        )
        for number, row in table.rows
        if len(row) != width
    ]
    entries = []
    for (number, row), label in zip(whole, _labels(table, whole, columns, settings), strict=True):
        entry, wrong = _entry(table, columns, number, row, label)
        if wrong:
            problems.append(Problem(row[columns.image], wrong, number))
        else:
            entries.append(entry)
    if not entries:
        raise RequestError(_nothing_usable(table, columns, problems))
    return Rows(table, columns, tuple(entries), tuple(problems))


def find_files(rows: Rows, files: Files, settings: DatasetSettings) -> Rows:
    """Return rows with the paths of files below the base folder, relative to the folder of their placement.

    Args:
        rows: as `read_rows` returns them.
        files: below the base folder.
        settings: `image_root`, so that advice is not given that is followed already.

    Raises:
        RequestError: not one of the images is there, or it cannot be told which of several folders is meant.
    """
    split = rows.table.split or "".join(splits_in(rows.table.path.stem)[:1])
    placement = place([entry.path for entry in rows.entries], files, split)
    entries, problems, lost, count = list[Entry](), list(rows.problems), list[Problem](), 0
    above = f"{folder}/" if (folder := files.real(placement.folder)) else ""
    for entry in rows.entries:
        path = relative(entry.path, placement, files.base)
        found = () if path is None else _found(path, placement, files)
        count += bool(found)
        if path is None:
            problems.append(Problem(entry.path, LEAVES, entry.row))
        elif len(found) > 1:
            problems.append(Problem(entry.path, f"it may be {quoted(found)}: write the whole name", entry.row))
        elif found or rows.columns.labelled:
            entries.append(replace(entry, path=found[0].removeprefix(above) if found else path))
        else:
            lost.append(Problem(entry.path, NO_FILE, entry.row))
    if not count and rows.columns.labelled:
        raise RequestError(_not_there(rows, files, settings))
    return replace(rows, entries=tuple(entries), problems=tuple(problems), placement=placement, lost=tuple(lost))


def _found(path: str, placement: Placement, files: Files) -> tuple[str, ...]:
    """Return the files that a path can mean, which may have the folder of the placement in it."""
    inside = files.find(posixpath.join(placement.folder, path))
    if inside or not placement.folder:
        return inside
    return tuple(file for file in files.find(path) if file.startswith(f"{files.real(placement.folder)}/"))


def one_row_an_image(rows: Iterable[Entry]) -> tuple[list[Entry], list[Problem], list[Problem]]:
    """Return the images, the rows that contradict one another, and those that repeat an earlier one."""
    by_path: dict[str, list[Entry]] = defaultdict(list)
    for row in rows:
        by_path[row.path].append(row)
    entries, conflicts, repeated = [], [], []
    for path, same in by_path.items():
        first = same[0]
        numbers = ", ".join(str(row.row) for row in same)
        differing = [key for key in ("label", "split", "group") if len({getattr(row, key) for row in same}) > 1]
        if differing:
            values = " and ".join(sorted({getattr(row, differing[0]) or "none" for row in same}))
            reason = f"rows {numbers} contradict one another: {differing[0]} {values}"
            conflicts += [Problem(path, reason, row.row) for row in same]
            continue
        entries.append(first)
        repeated += [Problem(path, f"the row repeats row {first.row}", row.row) for row in same[1:]]
    return entries, conflicts, repeated


def _labels(
    table: Table, rows: Sequence[tuple[int, list[str]]], columns: Columns, settings: DatasetSettings
) -> Sequence[str]:
    if columns.classes:
        names = [table.header[i] for i in columns.classes]
        cells = ((number, [row[i] for i in columns.classes]) for number, row in rows)
        return one_hot_labels(cells, names, settings.missing_labels, table.path.name)
    return [row[columns.label] if columns.label is not None else "" for _, row in rows]


def _entry(table: Table, columns: Columns, number: int, row: Sequence[str], label: str) -> tuple[Entry, str]:
    """Return what a row says, and what is wrong with it."""
    cell, split, group = row[columns.image], table.split, ""
    wrong = wrong_path(cell)
    if columns.split is not None:
        split = said_split(table.header[columns.split], row[columns.split])
        wrong = wrong or ("" if split else why_no_split(row[columns.split]))
    if columns.group is not None:
        group = row[columns.group]
        wrong = wrong or ("" if group else "its group is missing")
    return Entry(plain_path(cell), label, split, group, number), wrong


def _nothing_usable(table: Table, columns: Columns, problems: Sequence[Problem]) -> str:
    first, column = problems[0], table.header[columns.image]
    if all(URL.match(problem.path) for problem in problems):
        return (
            f"Column {column!r} of '{table.path}' holds URLs, such as '{first.path}', and images are not downloaded. Download "
            "them first, and name the files in a column."
        )
    return (
        f"None of the {len(problems):,} rows of '{table.path}' can be used. The first: row {first.row}, {first.path!r}: "
        f"{first.reason}."
    )


def _not_there(rows: Rows, files: Files, settings: DatasetSettings) -> str:
    example, folders = rows.entries[0].path, [files.base, files.base / "images"]
    column, better = rows.table.header[rows.columns.image], image_column(rows.table, partial(names_a_file, files))
    hint = where_else([entry.path for entry in rows.entries], files)
    if better not in (None, rows.columns.image):
        hint = (
            f" Column '{rows.table.header[better]}' names files: --set dataset.image_column={rows.table.header[better]}"
        )
    elif "image_root" not in hint and not settings.image_root:
        hint += " If they are elsewhere, give their folder as dataset.image_root."
    return (
        f"None of the {len(rows.entries):,} files named in column {column!r} of '{rows.table.path}', such as {example!r}, is in "
        f"{' or '.join(repr(str(folder)) for folder in folders if folder == files.base or folder.is_dir())}."
        f"{hint}"
    )
