"""Tables of text: which files they are, and their cells, whatever separates them."""

import csv
import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from bottleneck_features import features
from bottleneck_features.errors import quoted
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.containers import PATTERN, find_containers
from bottleneck_features.pipeline.datasets.layout.split_cells import splits_in
from bottleneck_features.pipeline.datasets.listing import ignored
from bottleneck_features.pipeline.datasets.paths import in_full, local_path
from bottleneck_features.pipeline.errors import RequestError

SEPARATORS = ",;\t| "
SAMPLE = 1 << 14  # characters by which the separator is found
ENDINGS = (".csv", ".tsv")
USUAL_LABELS = ("label", "labels", "class", "category", "target", "class_name", "species", "breed")  # names of columns
LISTS = ".txt"  # taken in a folder without other tables
SUBMISSION = "submission"  # in the name of a file that shows how to hand answers in
WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
BEGINNINGS = {  # of files that are no text
    b"PK\x03\x04": "an Excel workbook or another ZIP archive. Save the sheet as CSV (UTF-8) and give that file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook. Save the sheet as CSV (UTF-8) and give that file",
    b"PAR1": "a Parquet file: give dataset.source=parquet",
    b"\x1f\x8b": "compressed. Unpack it first",
    b"\x89HDF": "an HDF5 file",
}
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}  # byte order marks


@dataclass(frozen=True)
class Table:
    """The cells of a file.

    Attributes:
        path: of the file.
        split: that the file's name says; empty where it is the only one.
        header: the names of the columns; their numbers, from 1 on, where no row names them.
        rows: each with its number, the file's first row being 1; rows without any text are left out.
    """

    path: Path
    split: str
    header: tuple[str, ...]
    rows: tuple[tuple[int, list[str]], ...]

    def cells(self, column: int) -> Iterator[str]:
        """Give the cells of a column."""
        return (row[column] for _, row in self.rows if column < len(row))


def usual_name(column: str) -> str:
    """Return the name of a column as it is compared with usual ones: in lower case, `_` between words."""
    return re.sub(r"[\s-]+", "_", column.lower())


def read_tables(settings: DatasetSettings) -> tuple[tuple[Table, ...], tuple[Path, ...]]:
    """Read `dataset.path`: a table, or a folder or a pattern of tables of which each is a split.

    Args:
        settings: `path`, `header`, and the columns by which a separator is recognised.

    Returns:
        The tables, and the files that were passed over: their names say no split, or one other than that of the only table.

    Raises:
        RequestError: there is none, they cannot be read, or it cannot be told which are meant.
    """
    if not settings.path:
        raise RequestError(
            "dataset.path is missing: give your CSV file by --set dataset.path=/where/it/is/train.csv; the images are "
            "looked for beside it, or in dataset.image_root."
        )
    if features.is_url(settings.path):
        raise RequestError(f"dataset.path: tables must lie on a disk. Copy it there first. Received: '{settings.path}'")
    path = local_path(settings.path)
    if path.is_file():
        return (_read(path, "", settings),), _of_other_splits(path)
    if path.is_dir():
        found = _tables_in(path, settings)
    elif PATTERN.search(settings.path):
        found = [Path(container.url) for container in find_containers(settings.path, ENDINGS[0])]
        found = [file for file in found if not _corrects(file, settings)]
    else:
        raise RequestError(f"dataset.path must be a CSV file, or a folder of them. There is no file {in_full(path)}.")
    named, passed_over = _with_splits(found, settings.path)
    return tuple(_read(file, split, settings) for file, split in named), tuple(passed_over)


def _corrects(file: Path, settings: DatasetSettings) -> bool:
    return bool(settings.corrections) and file.resolve() == local_path(settings.corrections).resolve()


def _of_other_splits(table: Path) -> tuple[Path, ...]:
    """Return the tables beside a training table whose names say another split."""
    if splits_in(table.stem) != ("train",):
        return ()
    beside = [file for file in sorted(table.parent.iterdir()) if file.suffix.lower() == table.suffix.lower()]
    said = {file: splits_in(file.stem) for file in beside if SUBMISSION not in file.name.lower()}
    return tuple(file for file, splits in said.items() if len(splits) == 1 and splits != ("train",))


def _tables_in(folder: Path, settings: DatasetSettings) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.is_file() and not ignored(file.name))
    files = [file for file in files if not _corrects(file, settings)]
    for endings in (ENDINGS, (LISTS,), WORKBOOKS):
        if found := [file for file in files if file.suffix.lower() in endings]:
            return found
    raise RequestError(
        f"There is no table (.csv, .tsv or .txt) in '{folder}'. If the folders in it are classes, give dataset.source=folder."
    )


def _with_splits(files: list[Path], path: str) -> tuple[list[tuple[Path, str]], list[Path]]:
    """Return the tables whose names say a split, and those that are passed over; the only one needs no such name."""
    meant = [file for file in files if SUBMISSION not in file.name.lower()]
    said = {file: splits_in(file.stem) for file in meant}
    if ("train",) not in said.values():
        if len(meant) != 1:
            raise RequestError(
                f"dataset.path={path} holds {len(files):,} tables: {quoted(file.name for file in files[:10])}. None is called "
                "train: give the one with the labels as dataset.path, or call them train.csv, val.csv and test.csv."
            )
        return [(meant[0], "")], [file for file in files if file not in meant]
    named = [(file, splits[0]) for file, splits in said.items() if len(splits) == 1]
    return named, [file for file in files if len(said.get(file, ())) != 1]


def _read(path: Path, split: str, settings: DatasetSettings) -> Table:
    columns = {settings.image_column, settings.label_column} - {""} if settings.header else set()
    return read_table(path, split, header=settings.header, columns=columns)


def read_table(path: Path, split: str = "", *, header: bool, columns: Collection[str] = ()) -> Table:
    """Read the cells of a file.

    Args:
        path: of the file.
        split: see `Table`.
        header: whether its first row names the columns.
        columns: names of columns by which the separator is recognised.

    Raises:
        RequestError: it is no table, or there is no row in it.
    """
    text = _text(path)
    separator = _separator(text, set(columns))
    try:
        records = list(_records(text, separator))
    except csv.Error as error:
        raise RequestError(f"'{path}' is not a CSV file ({error}).") from error
    rows = [(number, record) for number, record in enumerate(records, 1) if any(record)]
    if len(rows) <= header:
        raise RequestError(f"'{path}' has no rows." + (" Its first row names the columns." if header else ""))
    if header:
        return Table(path, split, tuple(rows[0][1]), tuple(rows[1:]))
    return Table(path, split, tuple(str(number + 1) for number in range(len(rows[0][1]))), tuple(rows))


def _text(path: Path) -> str:
    content = path.read_bytes()
    for beginning, what in BEGINNINGS.items():
        if content.startswith(beginning):
            raise RequestError(f"'{path}' is no table of text but {what}.")
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise RequestError(f"'{path}' is not {_shown(encoding)} (byte {error.start:,}). {_likely(content)}") from error
    if "\0" in text:
        raise RequestError(
            f"'{path}' is no text: there are NUL bytes in it. If it is UTF-16 (\"Unicode\"), save it as UTF-8."
        )
    return text


def _shown(encoding: str) -> str:
    return "UTF-16" if encoding == "utf-16" else "UTF-8"


def _likely(content: bytes) -> str:
    """Return what a text in another encoding probably is, and how to save it anew."""
    try:
        content.decode("cp1252")
        likely, name = "Windows-1252", "WINDOWS-1252"
    except UnicodeDecodeError:
        likely, name = "Latin-1", "ISO-8859-1"
    return f"Probably it is {likely}: save it as UTF-8, such as by `iconv -f {name} -t UTF-8 old.csv > new.csv`."


def _records(text: str, separator: str) -> Iterator[list[str]]:
    runs = separator == " "  # of which several are one separator
    for record in csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=runs):
        cells = [cell.strip() for cell in record]
        yield [cell for cell in cells if cell] if runs else cells


def _separator(text: str, wanted: set[str]) -> str:
    """Return the separator that finds the columns asked for, else the one by which most rows have as many cells as the first."""
    sample = text[:SAMPLE]
    if len(text) > SAMPLE and "\n" in sample:
        sample = sample[: sample.rindex("\n") + 1]
    best, most = SEPARATORS[0], 0.0
    for separator in SEPARATORS:
        try:
            records = [record for record in _records(sample, separator) if any(record)]
        except csv.Error:
            continue
        if not records or len(records[0]) < 2:
            continue
        if wanted and wanted <= set(records[0]):
            return separator
        alike = sum(len(record) == len(records[0]) for record in records) / len(records)
        if alike > most:
            best, most = separator, alike
    return best
