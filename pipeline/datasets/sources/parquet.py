"""Parquet files as data sets: image bytes, labels and ids in columns, read one row group at a time."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck_features.errors import first_line
from bottleneck_features.pipeline.datasets.assembly import LabelledScan, assemble, resizing_of
from bottleneck_features.pipeline.datasets.containers import (
    Container,
    find_containers,
    named_splits,
    not_readable,
    reading_threads,
    unique_ids,
)
from bottleneck_features.pipeline.datasets.image_dataset import ImageDataset, StoredImage
from bottleneck_features.pipeline.datasets.labels.reading import HIDDEN, without_hidden
from bottleneck_features.pipeline.datasets.layout.split_cells import said_split, why_no_split
from bottleneck_features.pipeline.datasets.pixels.decoding import UnusableImage
from bottleneck_features.pipeline.datasets.scanned import ScanResult
from bottleneck_features.pipeline.datasets.scanning import UnscannedImage, scan_containers
from bottleneck_features.pipeline.datasets.sources.group_candidates import group_candidates
from bottleneck_features.pipeline.datasets.sources.parquet_columns import (
    TableColumns,
    class_names,
    find_columns,
    label_text,
    other_columns,
    require_columns,
)
from bottleneck_features.pipeline.datasets.texts import text_array
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import MISSING_LABELS, Experiment

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

_ANNOTATIONS = ("label", "split", "group")
ROWS = 4  # that are unpacked at a time: a value that a dictionary has once, and a million rows repeat, is unpacked for each
HELD = 64  # of which contents that are the same are one copy
ROW_GROUP_BYTES = (
    1 << 30
)  # bytes of the row groups that are held while a data set is read; one is held whatever its size
LARGEST_GROUP = 1 << 30  # bytes
MOST_ROWS, MOST_FILES, MOST_BYTES = 200_000, 100, 1 << 25  # in which columns that look like groups are looked for
NAMELESS, NAMED = 1, 2  # kept as the sample of an image: its label is a number, or the name that its file gives to one


def open_parquet(experiment: Experiment, home: Path) -> ImageDataset:
    """Open `dataset.path` as Parquet files that hold images; otherwise as `open_tar`."""
    settings = experiment.dataset
    resizing = resizing_of(experiment)  # refuses what cannot be before every image is read
    containers = find_containers(settings.path, ".parquet")
    named = ("",) * len(containers) if settings.split_column else named_splits(containers)
    with _opened(containers[0]) as file:
        columns = find_columns(_schema(file, containers[0]), settings)
        require_columns(_schema(file, containers[0]), columns, containers[0].name)
    images = partial(parquet_images, columns=columns)
    scan = scan_containers(containers, images, _ANNOTATIONS, home, resizing, max_pixels=settings.max_pixels)
    owners, said = scan.images["container"], scan.annotations
    ids, repeated = unique_ids(scan.ids, owners, containers)
    splits = said["split"] if settings.split_column else text_array(named[owner] for owner in owners)
    groups = said["group"] if settings.group else said["group"][:0]
    named_labels = scan.images["sample"] == NAMED
    labels = np.where(np.isin(said["label"], HIDDEN) & ~named_labels & named_labels.any(), "", said["label"])
    _require_names(replace(scan, annotations={"label": labels}), containers, columns.label)
    if named_labels.any() and settings.missing_labels == MISSING_LABELS:
        settings = replace(settings, missing_labels=())  # names of classes are not cells that may be empty
    labels, problems = without_hidden(labels, splits), {**repeated, **scan.problems}
    candidates = () if settings.group else _group_candidates(containers, columns, labels)
    place = f"column '{columns.label}'"
    labelled = LabelledScan(scan, ids, labels, splits, groups, problems, place=place, group_candidates=candidates)
    reader = ParquetReader(containers, columns.image)
    return assemble(replace(experiment, dataset=settings), home, labelled, reader=reader, location=settings.path)


@dataclass(frozen=True)
class _RowGroup:
    """The images of a row group; of contents that are the same there is one copy.

    Attributes:
        contents: of each row; None where there is none.
        nbytes: how much memory they take.
    """

    contents: list[bytes | None]
    nbytes: int

    @classmethod
    def of(cls, file: "ParquetFile", group: int, column: str) -> "_RowGroup":
        """Read a row group."""
        copies: dict[bytes | None, bytes | None] = {}
        contents = []
        for batch in file.iter_batches(ROWS, row_groups=[group], columns=[column]):
            for value in batch.column(column).to_pylist():
                content = _content(value)
                contents.append(copies.setdefault(content, content))
        return cls(contents, sum(len(content or b"") for content in copies))


class ParquetReader:
    """Reads images in Parquet files, row groups of up to 1 GiB of them in memory (an `ImageReader`)."""

    def __init__(self, containers: tuple[Container, ...], column: str) -> None:
        self._containers, self._column = containers, column
        self._lock = threading.Lock()
        self._starts: dict[int, np.ndarray] = {}
        self._held: OrderedDict[tuple[int, int], _RowGroup] = OrderedDict()
        self._held_bytes = 0
        self.threads = reading_threads(containers)

    def read(self, image: StoredImage) -> bytes:
        """See `ImageReader`."""
        with self._lock:
            starts = self._group_starts(image.container)
            group = int(np.searchsorted(starts, image.offset, "right")) - 1
            rows = self._rows(image.container, group)
        row = image.offset - int(starts[group])
        if row >= len(rows.contents):
            raise UnusableImage("the file has fewer rows than it had")
        return _image_bytes(rows.contents[row])

    def location(self, image: StoredImage) -> str:
        """See `ImageReader`."""
        return f"{self._containers[image.container].url}: row {image.offset + 1:,}"

    def _group_starts(self, number: int) -> np.ndarray:
        if number not in self._starts:
            with _reading(self._containers[number]) as file:
                sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
            self._starts[number] = np.cumsum([0, *sizes[:-1]])
        return self._starts[number]

    def _rows(self, number: int, group: int) -> "_RowGroup":
        if (number, group) not in self._held:
            with _reading(self._containers[number]) as file:
                self._make_room(_group_bytes(file, group, self._column))
                rows = _RowGroup.of(file, group, self._column)
            self._make_room(rows.nbytes)
            self._held[number, group] = rows
            self._held_bytes += rows.nbytes
        self._held.move_to_end((number, group))
        return self._held[number, group]

    def _make_room(self, size: int) -> None:
        while self._held and self._held_bytes + size > ROW_GROUP_BYTES:
            _, rows = self._held.popitem(last=False)
            self._held_bytes -= rows.nbytes


def _require_names(scan: ScanResult, containers: tuple[Container, ...], column: str) -> None:
    """Refuse files that name their classes beside files of numbers that nothing names.

    Raises:
        RequestError: there are both; the message names one of each.
    """
    said, owners = scan.annotations["label"], scan.images["container"]
    first = {kind: np.flatnonzero((scan.images["sample"] == kind) & (said != "")) for kind in (NAMELESS, NAMED)}
    if len(first[NAMELESS]) and len(first[NAMED]):
        number, name = int(first[NAMELESS][0]), int(first[NAMED][0])
        raise RequestError(
            f"'{containers[owners[number]].name}' has numbers in column {column!r}, such as {said[number]}, and does not name "
            f"them; '{containers[owners[name]].name}' names its classes, such as '{said[name]}'. Which number is which class is "
            "not known: write the names into both files (a ClassLabel of Hugging Face's datasets), or the labels as text."
        )


def _group_candidates(containers: tuple[Container, ...], columns: TableColumns, labels: np.ndarray) -> tuple[str, ...]:
    """Return the columns that look like groups; none where looking would take long."""
    if any(container.store is not None for container in containers) or len(labels) > MOST_ROWS:
        return ()
    with ExitStack() as stack:
        files = [stack.enter_context(_opened(container)) for container in containers[:MOST_FILES]]
        names = [] if len(files) < len(containers) else other_columns([file.schema_arrow for file in files], columns)
        known = np.flatnonzero(labels != "").tolist()
        cells = ((name, _cells(files, name)) for name in names)
        whole = ((name, [own[i] for i in known]) for name, own in cells if len(own) == len(labels))
        return group_candidates(whole, labels[known].tolist())


def _cells(files: Sequence["ParquetFile"], name: str) -> list[str]:
    """Return the cells of a column; none where they are too much, or damaged: nothing but a hint depends on them."""
    groups = [(file, i) for file in files for i in range(file.metadata.num_row_groups)]
    if sum(_group_bytes(file, i, name) for file, i in groups) > MOST_BYTES:
        return []
    try:
        values = [value for file in files for value in file.read(columns=[name]).column(name).to_pylist()]
    except (OSError, ValueError, NotImplementedError):
        return []
    return ["" if value is None else str(value) for value in values]


def parquet_images(container: Container, columns: TableColumns) -> Iterator[UnscannedImage]:
    """Give the images of a Parquet file in its order.

    Args:
        container: a file on a disk.
        columns: where they are, and what is said of them.

    Raises:
        PipelineError: it is no Parquet file, or one that is damaged.
        RequestError: a column is missing or of another kind, or a row group is too large to be held in memory.
    """
    stem = PurePosixPath(container.name).stem
    with _opened(container) as file:
        schema = _schema(file, container)
        wanted = require_columns(schema, columns, container.name)
        _require_small_groups(file, container, columns.image)
        classes = class_names(schema, columns.label, container.name)
        rows = _one_copy_each(_values(file, container, wanted), columns.image)
        for row, values in enumerate(rows):
            yield _unscanned(values, row, stem, columns, classes)


def _schema(file: "ParquetFile", container: Container) -> "pa.Schema":
    try:
        return file.schema_arrow
    except Exception as error:  # pyarrow's errors have no base of their own
        raise not_readable(container, error, "Parquet") from error


def _values(file: "ParquetFile", container: Container, wanted: list[str]) -> Iterator[dict[str, Any]]:
    batches = iter(file.iter_batches(ROWS, columns=wanted))
    while True:
        try:
            batch = next(batches, None)
            rows = batch.to_pylist() if batch else []
        except (OSError, ValueError, NotImplementedError) as error:  # pyarrow's errors, and text that is not UTF-8
            raise not_readable(container, error, "Parquet") from error
        if batch is None:
            return
        yield from rows


def _one_copy_each(rows: Iterator[dict[str, Any]], column: str) -> Iterator[dict[str, Any]]:
    """Give rows whose contents are those of one of the last rows where they are the same."""
    copies: OrderedDict[bytes, bytes] = OrderedDict()
    for values in rows:
        content = _content(values[column])
        if content:
            copy = copies.pop(content, content)
            copies[copy] = copy
            values[column] = {**values[column], "bytes": copy} if isinstance(values[column], dict) else copy
        if len(copies) > HELD:
            copies.popitem(last=False)
        yield values


def _unscanned(
    values: Mapping[str, Any], row: int, stem: str, columns: TableColumns, classes: tuple[str, ...]
) -> UnscannedImage:
    label, split, problem = values[columns.label], _text(values, columns.split), ""
    annotations = {"label": "", "split": said_split(columns.split, split), "group": _text(values, columns.group)}
    identifier = _text(values, columns.id)
    try:
        annotations["label"] = label_text(label, classes)
    except ValueError as wrong:
        problem = str(wrong)
    if columns.id and not identifier:
        problem = "its id is missing"
    elif columns.split and not annotations["split"]:
        problem = why_no_split(split)
    elif columns.group and not annotations["group"]:
        problem = "its group is missing"
    read = partial(_image_bytes, values[columns.image], problem)
    origin = NAMED if classes else NAMELESS if isinstance(label, int | float) else 0
    return UnscannedImage(identifier or f"{stem}/{row:09d}", read, row, origin, annotations)


def _content(value: Any) -> bytes | None:
    content: bytes | None = value.get("bytes") if isinstance(value, dict) else value
    return content


def _image_bytes(value: Any, problem: str = "") -> bytes:
    if problem:
        raise UnusableImage(problem)
    content = _content(value)
    if content:
        return content
    path = value.get("path") if isinstance(value, dict) else None
    raise UnusableImage(
        f"the row names a file ({path}) and does not hold its bytes" if path else "the row holds no image"
    )


def _text(values: Mapping[str, Any], column: str) -> str:
    head, _, field = column.partition(".")
    value = values.get(column, values.get(head))
    value = value.get(field) if column not in values and isinstance(value, dict) else value
    return "" if value is None else str(value).replace("\0", "").strip()


def _group_bytes(file: "ParquetFile", number: int, column: str) -> int:
    """Return the bytes of a column in a row group, as the file says."""
    group = file.metadata.row_group(number)
    chunks = [group.column(i) for i in range(group.num_columns)]
    return sum(c.total_uncompressed_size for c in chunks if f"{c.path_in_schema}.".startswith(f"{column}."))


def _require_small_groups(file: "ParquetFile", container: Container, column: str) -> None:
    for number in range(file.metadata.num_row_groups):
        size = _group_bytes(file, number, column)
        if size > LARGEST_GROUP:
            raise RequestError(
                f"Row group {number} of '{container.name}' holds {size / 2**30:.1f} GiB of images, and a group is read whole. "
                "Write the file again with smaller ones, such as row_group_size=1000."
            )


@contextmanager
def _opened(container: Container) -> Iterator["ParquetFile"]:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise RequestError(
            "dataset.source=parquet needs pyarrow: pip install 'bottleneck-features[parquet]'"
        ) from error
    try:
        stream = container.url if container.store is None else container.store.open(container.url, "rb")
        file = ParquetFile(stream)
    except (OSError, ValueError) as error:
        raise not_readable(container, error, "Parquet") from error
    with file:
        yield file


@contextmanager
def _reading(container: Container) -> Iterator["ParquetFile"]:
    """As `_opened`, for images that were looked at before: whatever is wrong now is the image's reason."""
    try:
        with _opened(container) as file:
            yield file
    except Exception as error:  # a store has errors of its own
        raise UnusableImage(f"it cannot be read ({first_line(error, 200)})") from error
