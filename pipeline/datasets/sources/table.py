"""A CSV file that names images as a data set."""

import csv
import io
import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from bottleneck_features.errors import nearest
from bottleneck_features.pipeline.datasets.decoding import ENDINGS
from bottleneck_features.pipeline.datasets.folder_convention import SPLIT_SYNONYMS
from bottleneck_features.pipeline.datasets.image_dataset import ImageDataset
from bottleneck_features.pipeline.datasets.listing import Entry, Listing, Problem, ignored, in_full, printable
from bottleneck_features.pipeline.datasets.sources.image_files import open_listing
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import MISSING_LABELS, DatasetSettings, Experiment

SEPARATORS = ",;\t"
LEAVES = "the path leaves the image root"
HEADER_ROW = 1
SNIFFED = 1 << 13  # the guess takes quadratic time


def open_table(experiment: Experiment, home: Path) -> ImageDataset:
    """Open `dataset.path` as a CSV file that names images; otherwise as `open_folder`."""
    return open_listing(experiment, home, list_table(experiment.dataset))


def list_table(settings: DatasetSettings) -> Listing:
    """List the images a CSV file names.

    The file is UTF-8, with or without a byte order mark, separated by commas, semicolons or tabs. Every problem of a row
    becomes a `Problem` with the row's number, the header being row 1. An absolute path inside the image root is taken as
    relative to it.

    Args:
        settings: `path`, `image_column`, `label_column`, and optionally `split_column`, `group` (a column) and `image_root`.

    Returns:
        The `Listing`; files beside the named images that no row names are in `left_out`, as are repeated rows.

    Raises:
        RequestError: the file or a column is missing, it is no CSV, or none of its images is there.
    """
    header, records = _read(settings)
    columns = _columns(settings, header)
    rows: list[Entry] = []
    problems: list[Problem] = []
    for number, record in enumerate(records, HEADER_ROW + 1):
        if not any(cell.strip() for cell in record):
            continue
        parsed = _parse(number, record, header, columns)
        (problems if isinstance(parsed, Problem) else rows).append(parsed)  # type: ignore[arg-type]
    root = _root(settings, rows, problems)
    rows, outside = _inside(root, rows)
    problems += outside
    entries, conflicts, repeated = _one_row_an_image(_with_whole_numbers(rows))
    problems += conflicts
    left_out = [*repeated, *_unnamed(root, [row.path for row in rows] + [problem.path for problem in problems])]
    by_path = sorted(entries, key=lambda entry: entry.path)
    return Listing(root, tuple(by_path), tuple(problems), tuple(left_out), unit="rows")


def _read(settings: DatasetSettings) -> tuple[list[str], list[list[str]]]:
    if not settings.path:
        raise RequestError(
            "dataset.path is missing: give your CSV file by --set dataset.path=/where/it/is/train.csv; the images are "
            "looked for beside it, or in dataset.image_root."
        )
    path = Path(settings.path).expanduser()
    if not path.is_file():
        raise RequestError(f"dataset.path must be a CSV file. There is no file {in_full(path)}.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text, settings)))
    except UnicodeDecodeError as error:
        raise RequestError(f"'{path}' is not UTF-8 (byte {error.start:,}). Save it as UTF-8.") from error
    except csv.Error as error:
        raise RequestError(f"'{path}' is not a CSV file ({error}).") from error
    if len(records) < 2:
        raise RequestError(f"'{path}' has no rows. Its first row names the columns.")
    return [name.strip() for name in records[0]], records[1:]


def _separator(text: str, settings: DatasetSettings) -> str:
    """Return the separator that finds the columns asked for in the first row; the one csv.Sniffer guesses is tried first."""
    try:
        guess = csv.Sniffer().sniff(text[:SNIFFED], SEPARATORS).delimiter
    except csv.Error:
        guess = SEPARATORS[0]
    first = text.lstrip().partition("\n")[0].strip()
    wanted = {settings.image_column, settings.label_column}
    for separator in (guess, *SEPARATORS):
        if wanted <= {name.strip() for name in next(csv.reader([first], delimiter=separator), [])}:
            return separator
    return guess


def _columns(settings: DatasetSettings, header: list[str]) -> dict[str, int]:
    columns = {}
    for key in ("image_column", "label_column", "split_column", "group"):
        name = getattr(settings, key)
        if not name and key in ("split_column", "group"):
            continue
        if header.count(name) != 1:
            wrong = f"there is no column {name!r}" if name else "it is missing"
            wrong = f"{header.count(name)} columns are called {name!r}" if name in header else wrong
            raise RequestError(
                f"dataset.{key}: {wrong} in '{settings.path}'. Columns: {', '.join(header)}."
                + (f" Nearest: {', '.join(nearest(name, header))}." if name and name not in header else "")
            )
        columns[key] = header.index(name)
    return columns


def _parse(number: int, record: list[str], header: list[str], columns: dict[str, int]) -> Entry | Problem:
    if len(record) != len(header):
        first = record[columns["image_column"]].strip() if columns["image_column"] < len(record) else ""
        return Problem(first, f"the row has {len(record)} cells, the first row {len(header)}", number)
    cells = {key: record[column].strip() for key, column in columns.items()}
    named = cells["image_column"]
    if not named:
        return Problem("", "the row names no file", number)
    path = posixpath.normpath(named.replace("\\", "/"))
    if path.split("/")[0] == ".." or re.match(r"[A-Za-z]:/", path):
        return Problem(named, LEAVES, number)
    split = cells.get("split_column", "")
    if "split_column" in cells and split.lower() not in SPLIT_SYNONYMS:
        return Problem(named, f"its split is none of {', '.join(SPLIT_SYNONYMS)}: {split!r}", number)
    if "group" in cells and not cells["group"]:
        return Problem(named, "its group is missing", number)
    return Entry(path, cells["label_column"], SPLIT_SYNONYMS.get(split.lower(), ""), cells.get("group", ""), number)


def _root(settings: DatasetSettings, rows: list[Entry], problems: list[Problem]) -> Path:
    """Return the folder in which most of the named files are; of `image_root`, or the CSV's own and `images` in it."""
    beside = Path(settings.path).expanduser().resolve().parent
    given = [Path(settings.image_root).expanduser()] if settings.image_root else []
    candidates = given or [beside, beside / "images"]
    if given and not given[0].is_dir():
        raise RequestError(f"dataset.image_root must be a folder. Received: '{settings.image_root}'")
    if not rows:
        first = f" The first: row {problems[0].row}, {problems[0].path!r}: {problems[0].reason}." if problems else ""
        raise RequestError(f"None of the {len(problems):,} rows of '{settings.path}' can be used.{first}")
    found = {root: sum(_is_there(root, row.path) for row in rows) for root in candidates}
    best = max(found, key=lambda root: found[root])
    if not found[best]:
        raise RequestError(
            f"None of the {len(rows):,} files named in column {settings.image_column!r}, such as {rows[0].path!r}, is in "
            f"{' or '.join(repr(str(root)) for root in candidates)}. Give their folder as dataset.image_root."
        )
    return best.resolve()


def _is_there(root: Path, path: str) -> bool:
    relative = _relative(path, root)
    return relative is not None and "\0" not in relative and os.path.lexists(root / relative)


def _inside(root: Path, rows: list[Entry]) -> tuple[list[Entry], list[Problem]]:
    """Return the rows with their paths relative to the root, and those whose path lies outside."""
    kept: list[Entry] = []
    outside: list[Problem] = []
    for row in rows:
        path = _relative(row.path, root)
        if path is None:
            outside.append(Problem(row.path, LEAVES, row.row))
        else:
            kept.append(replace(row, path=path))
    return kept, outside


def _relative(path: str, root: Path) -> str | None:
    """Return a path below the root; None for an absolute one that is not there, be it by way of links."""
    if not posixpath.isabs(path):
        return path
    folder, name = posixpath.split(path)
    for inside, base in ((folder, str(root.absolute())), (_real(folder), _real(str(root)))):
        if f"{inside}/".startswith(f"{base.rstrip('/')}/"):
            return posixpath.relpath(posixpath.join(inside, name), base)
    return None


@lru_cache(maxsize=1 << 12)
def _real(folder: str) -> str:
    return folder if "\0" in folder else os.path.realpath(folder)


def _with_whole_numbers(rows: list[Entry]) -> list[Entry]:
    """Labels such as 1.0 as 1, where all are whole numbers: what a table program makes of integers beside empty cells."""
    numbers = re.compile(r"[+-]?\d{1,15}(\.0+)?")
    if not all(numbers.fullmatch(row.label) for row in rows if row.label not in ("", *MISSING_LABELS)):
        return rows
    return [replace(row, label=str(int(float(row.label)))) if numbers.fullmatch(row.label) else row for row in rows]


def _one_row_an_image(rows: Iterable[Entry]) -> tuple[list[Entry], list[Problem], list[Problem]]:
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
            values = " and ".join(sorted({getattr(row, differing[0]) for row in same}))
            reason = f"rows {numbers} contradict one another: {differing[0]} {values}"
            conflicts += [Problem(path, reason, row.row) for row in same]
            continue
        entries.append(first)
        repeated += [Problem(path, f"the row repeats row {first.row}", row.row) for row in same[1:]]
    return entries, conflicts, repeated


def _unnamed(root: Path, named: list[str]) -> list[Problem]:
    """Return the images that lie in a folder with named ones, and that no row names."""
    known = set(named)
    folders = {posixpath.dirname(path) for path in named if not posixpath.isabs(path) and ".." not in path.split("/")}
    found = []
    for folder in sorted(folders):
        if "\0" in folder or not (root / folder).is_dir():
            continue
        names = sorted(file.name for file in (root / folder).iterdir() if not ignored(file.name))
        paths = [posixpath.join(folder, name) for name in names if Path(name).suffix.lower() in ENDINGS]
        found += [Problem(printable(path), "no row names this file") for path in paths if path not in known]
    return found
