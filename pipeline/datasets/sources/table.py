"""Tables that name images as a data set: a CSV file, a list, or one of them for each split."""

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bottleneck_features.errors import quoted
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.image_dataset import ImageDataset
from bottleneck_features.pipeline.datasets.labels.reading import read_labels, without_hidden
from bottleneck_features.pipeline.datasets.listing import NO_LABEL, Entry, Listing, Problem, ignored, printable
from bottleneck_features.pipeline.datasets.paths import local_path
from bottleneck_features.pipeline.datasets.pixels.file_kinds import ENDINGS
from bottleneck_features.pipeline.datasets.sources.group_candidates import group_candidates
from bottleneck_features.pipeline.datasets.sources.image_files import open_listing
from bottleneck_features.pipeline.datasets.sources.table_columns import find_columns
from bottleneck_features.pipeline.datasets.sources.table_paths import Files, is_folder, names_a_file
from bottleneck_features.pipeline.datasets.sources.table_rows import Rows, find_files, one_row_an_image, read_rows
from bottleneck_features.pipeline.datasets.table_reading import Table, read_tables
from bottleneck_features.pipeline.datasets.texts import text_array
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment


def open_table(experiment: Experiment, home: Path) -> ImageDataset:
    """Open `dataset.path` as tables that name images; otherwise as `open_folder`."""
    listing = list_table(experiment.dataset)
    settings = replace(experiment.dataset, missing_labels=())  # the listing has no such labels any more
    return open_listing(replace(experiment, dataset=settings), home, listing)


def list_table(settings: DatasetSettings) -> Listing:
    """List the images that tables name.

    A table is text in UTF-8 (UTF-16 with a byte order mark), separated by commas, semicolons, tabs, bars or spaces. Every
    problem of a row becomes a `Problem` with the row's number, the file's first row being 1.

    Args:
        settings: `path`, `image_column`, `label_column` or `label_columns`, and optionally `header`, `split_column`, `group`
            (a column), `image_root` and `missing_labels`.

    Returns:
        The `Listing`; files beside the named images that no row names are in `left_out`, as are repeated rows.

    Raises:
        RequestError: a file or a column is missing, a file is no table, labels are no classes, or none of the images is there.
    """
    tables, passed_over = read_tables(settings)
    files, kept = Files(_base(settings)), _with_images(tables, settings.image_column)
    passed_over += tuple(table.path for table in tables if table not in kept)
    columns = [find_columns(table, settings, partial(names_a_file, files)) for table in kept]
    read = [read_rows(table, own, settings) for table, own in zip(kept, columns, strict=True)]
    root, read = _below_one_root([find_files(rows, files, settings) for rows in read], files)
    labelled = _with_labels([rows for rows in read if rows.columns.labelled], settings)
    bare = [entry for rows in read if not rows.columns.labelled for entry in rows.entries]
    entries, conflicts, repeated = one_row_an_image(labelled)
    problems = [*(problem for rows in read for problem in rows.problems), *conflicts]
    named = [entry.path for entry in (*labelled, *bare)] + [problem.path for problem in problems]
    left_out = (*repeated, *(lost for rows in read for lost in rows.lost), *_unnamed(root, named))
    return Listing(
        root,
        tuple(sorted(entries, key=lambda entry: entry.path)),
        tuple(problems),
        left_out,
        unlabelled=tuple(Problem(entry.path, NO_LABEL, entry.row) for entry in bare),
        notices=tuple(_notices(read, passed_over, root, settings, files.searches_below)),
        unit="rows",
        group_candidates=() if settings.group else group_candidates(*_other_columns(read, labelled)),
    )


def _base(settings: DatasetSettings) -> Path:
    """Return the folder that paths are relative to."""
    if settings.image_root:
        root = local_path(settings.image_root)
        if not root.is_dir():
            raise RequestError(f"dataset.image_root must be a folder. Received: '{settings.image_root}'")
        return root
    path = local_path(settings.path).resolve()
    return path if path.is_dir() else path.parent


def _with_images(tables: Sequence[Table], image_column: str) -> tuple[Table, ...]:
    """Return the tables without those that lack the column of images while another of the same split has it."""
    having = {table.split for table in tables if image_column in table.header}
    return tuple(table for table in tables if image_column in table.header or table.split not in having)


def _below_one_root(read: Sequence[Rows], files: Files) -> tuple[Path, list[Rows]]:
    """Return the folder of all images, and the rows with paths relative to it."""
    folders = {files.real(rows.placement.folder) or "" for rows in read if rows.placement and rows.entries}
    if len(folders) == 1:
        return (files.base / folders.pop()).resolve(), list(read)
    below = []
    for rows in read:
        folder = files.real(rows.placement.folder) or "" if rows.placement else ""
        entries = tuple(replace(entry, path=posixpath.join(folder, entry.path)) for entry in rows.entries)
        below.append(replace(rows, entries=entries))
    return files.base.resolve(), below


def _with_labels(read: Sequence[Rows], settings: DatasetSettings) -> list[Entry]:
    """Return the rows with labels that can be compared.

    Raises:
        RequestError: there are none, or they are no classes.
    """
    entries = [entry for rows in read for entry in rows.entries]
    labels = without_hidden(text_array(e.label for e in entries), text_array(e.split for e in entries))
    if read[0].columns.label is not None:
        file = f" of '{read[0].table.path.name}'" if len(read) == 1 else ""
        labels = read_labels(labels, settings, f"column '{read[0].table.header[read[0].columns.label]}'{file}").texts
    return [replace(entry, label=label) for entry, label in zip(entries, labels.tolist(), strict=True)]


def _other_columns(
    read: Sequence[Rows], labelled: Sequence[Entry]
) -> tuple[Iterator[tuple[str, list[str]]], list[str]]:
    """Return the columns of all labelled tables that nothing asks for, cells in the order of the rows, and the labels."""
    read = [rows for rows in read if rows.columns.labelled]
    known = [entry for entry in labelled if entry.label]
    by_row = [(rows, dict(rows.table.rows)) for rows in read]

    def cells(name: str) -> list[str]:
        place = iter(labelled)
        found = []
        for rows, own in by_row:
            column = rows.table.header.index(name)
            for _, entry in zip(rows.entries, place, strict=False):
                found += [own[entry.row][column]] if entry.label else []
        return found

    names = [name for name in read[0].table.header if all(rows.table.header.count(name) == 1 for rows in read)]
    used = {rows.table.header[i] for rows in read for i in rows.columns.used}
    return ((name, cells(name)) for name in names if name not in used), [entry.label for entry in known]


def _notices(
    read: Sequence[Rows], passed_over: Sequence[Path], root: Path, settings: DatasetSettings, searched: bool
) -> Iterator[str]:
    for rows in read:
        for dropped in rows.placement.dropped if rows.placement else ():
            yield (
                f"Data: paths in '{rows.table.path.name}' begin with '{dropped}', which is not here; the rest of each was found "
                f"below '{root}'."
            )
    if searched:
        yield (
            f"Data: the files that the table names are in folders below '{root}': all of them were searched, and each name was "
            "taken where it is there once."
        )
    if passed_over:
        names = quoted(printable(file.name) for file in passed_over)
        single = read[0].table.path == local_path(settings.path)
        more = f" dataset.path={read[0].table.path.parent} reads a table for each split." if single else ""
        yield f"Data: other tables are not read: {names}.{more}"


def _unnamed(root: Path, named: Sequence[str]) -> list[Problem]:
    """Return the images that lie in a folder with named ones, and that no row names."""
    known = set(named)
    folders = {posixpath.dirname(path) for path in named if not posixpath.isabs(path) and ".." not in path.split("/")}
    found = []
    for folder in sorted(folders):
        if not is_folder(root / folder):
            continue
        names = sorted(file.name for file in (root / folder).iterdir() if not ignored(file.name))
        paths = [posixpath.join(folder, name) for name in names if Path(name).suffix.lower() in ENDINGS]
        found += [Problem(printable(path), "no row names this file") for path in paths if path not in known]
    return found
