"""Parquet files as data sets: image bytes, labels and ids in columns, read one row group at a time."""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck_features.errors import first_line, nearest
from bottleneck_features.pipeline.datasets.assembly import LabelledScan, assemble, resizing_of
from bottleneck_features.pipeline.datasets.containers import (
    Container,
    find_containers,
    named_splits,
    not_readable,
    reading_threads,
    unique_ids,
)
from bottleneck_features.pipeline.datasets.decoding import UnusableImage
from bottleneck_features.pipeline.datasets.folder_convention import SPLIT_SYNONYMS
from bottleneck_features.pipeline.datasets.image_dataset import ImageDataset, StoredImage
from bottleneck_features.pipeline.datasets.scanning import UnscannedImage, scan_containers
from bottleneck_features.pipeline.datasets.texts import text_array
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import DatasetSettings, Experiment

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

_ANNOTATIONS = ("label", "split", "group")
ROWS = 64  # whose bytes are held while they are looked at
ROW_GROUP_BYTES = (
    1 << 30
)  # bytes of the row groups that are held while a data set is read; one is held whatever its size
LARGEST_GROUP = 1 << 30  # bytes
USUAL_LABELS = ("label", "labels", "class", "fine_label")


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table: of image bytes (or `{bytes, path}`), of labels, and perhaps of splits, groups and ids.

    `names` are the classes where labels are numbers (Hugging Face's `ClassLabel`).
    """

    image: str
    label: str
    split: str = ""
    group: str = ""
    id: str = ""
    names: tuple[str, ...] = ()


def open_parquet(experiment: Experiment, home: Path) -> ImageDataset:
    """Open `dataset.path` as Parquet files that hold images; otherwise as `open_tar`."""
    settings = experiment.dataset
    resizing_of(experiment)  # refuses what cannot be before every image is read
    containers = find_containers(settings.path, ".parquet")
    named = ("",) * len(containers) if settings.split_column else named_splits(containers)
    columns = parquet_columns(containers[0], settings)
    images = partial(parquet_images, columns=columns)
    scan = scan_containers(containers, images, _ANNOTATIONS, home, max_pixels=settings.max_pixels, bands=settings.bands)
    owners, said = scan.images["container"], scan.annotations
    ids, repeated = unique_ids(scan.ids, owners, containers)
    splits = said["split"] if settings.split_column else text_array(named[owner] for owner in owners)
    groups = said["group"] if settings.group else said["group"][:0]
    labelled = LabelledScan(scan, ids, said["label"], splits, groups, {**repeated, **scan.problems})
    reader = ParquetReader(containers, columns.image)
    return assemble(experiment, home, labelled, reader=reader, location=settings.path)


class ParquetReader:
    """Reads images in Parquet files, row groups of up to 1 GiB of them in memory (an `ImageReader`)."""

    def __init__(self, containers: tuple[Container, ...], column: str) -> None:
        self._containers, self._column = containers, column
        self._lock = threading.Lock()
        self._starts: dict[int, np.ndarray] = {}
        self._held: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._held_bytes = 0
        self.threads = reading_threads(containers)

    def read(self, image: StoredImage) -> bytes:
        """See `ImageReader`."""
        with self._lock:
            starts = self._group_starts(image.container)
            group = int(np.searchsorted(starts, image.offset, "right")) - 1
            rows = self._rows(image.container, group)
        row = image.offset - int(starts[group])
        if row >= len(rows):
            raise UnusableImage("the file has fewer rows than it had")
        return _image_bytes(rows[row].as_py())

    def location(self, image: StoredImage) -> str:
        """See `ImageReader`."""
        return f"{self._containers[image.container].url}: row {image.offset + 1:,}"

    def _group_starts(self, number: int) -> np.ndarray:
        if number not in self._starts:
            with _reading(self._containers[number]) as file:
                sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
            self._starts[number] = np.cumsum([0, *sizes[:-1]])
        return self._starts[number]

    def _rows(self, number: int, group: int) -> Any:
        if (number, group) not in self._held:
            with _reading(self._containers[number]) as file:
                self._make_room(_group_bytes(file, group, self._column))
                rows = file.read_row_group(group, columns=[self._column]).column(self._column)
            self._make_room(rows.nbytes)
            self._held[number, group] = rows
            self._held_bytes += rows.nbytes
        self._held.move_to_end((number, group))
        return self._held[number, group]

    def _make_room(self, size: int) -> None:
        while self._held and self._held_bytes + size > ROW_GROUP_BYTES:
            _, rows = self._held.popitem(last=False)
            self._held_bytes -= rows.nbytes


def parquet_columns(container: Container, settings: DatasetSettings) -> TableColumns:
    """Find the columns that settings name, or that are the only ones that can be meant.

    Args:
        container: one of the files; the others have the same columns.
        settings: `image_column`, `label_column`, `split_column`, `group` and `id_column` (which may be `image.path`).

    Raises:
        RequestError: a column is missing or cannot be told, or pyarrow is not installed.
    """
    with _opened(container) as file:
        schema = file.schema_arrow
    label = settings.label_column or _usual(schema, "label_column", [n for n in USUAL_LABELS if n in schema.names])
    image = settings.image_column or _usual(schema, "image_column", [f.name for f in schema if _holds_images(f.type)])
    wanted = {"image_column": image, "label_column": label}
    wanted |= {key: getattr(settings, key) for key in ("split_column", "group", "id_column")}
    for key, name in wanted.items():
        may_be_field = key in ("split_column", "group", "id_column")
        if name and (_column_of(name, schema.names) if may_be_field else name) not in schema.names:
            raise _no_column(schema, key, name)
    if not _holds_images(schema.field(image).type):
        raise RequestError(
            f"dataset.image_column: column {image!r} holds {schema.field(image).type}; it must hold the bytes of image files, "
            "or a struct of `bytes` and `path`."
        )
    return TableColumns(
        image, label, settings.split_column, settings.group, settings.id_column, _class_names(schema, label)
    )


def parquet_images(container: Container, columns: TableColumns) -> Iterator[UnscannedImage]:
    """Give the images of a Parquet file in its order.

    Args:
        container: a file on a disk.
        columns: where they are, and what is said of them.

    Raises:
        PipelineError: it is no Parquet file, or one that is damaged.
        RequestError: a column is missing, or a row group is too large to be held in memory.
    """
    stem = PurePosixPath(container.name).stem
    with _opened(container) as file:
        names = file.schema_arrow.names
        others = [_column_of(name, names) for name in (columns.split, columns.group, columns.id) if name]
        wanted = list(dict.fromkeys([columns.image, columns.label, *others]))
        missing = [name for name in wanted if name not in names]
        if missing:
            raise RequestError(
                f"'{container.name}' has no column {missing[0]!r}, which another file of the data set has."
            )
        _require_small_groups(file, container, columns.image)
        for row, values in enumerate(_values(file, container, wanted)):
            yield _unscanned(values, row, stem, columns)


def _values(file: "ParquetFile", container: Container, wanted: list[str]) -> Iterator[dict[str, Any]]:
    batches = iter(file.iter_batches(ROWS, columns=wanted))
    while True:
        try:
            batch = next(batches, None)
            rows = batch.to_pylist() if batch else []
        except (OSError, ValueError) as error:  # pyarrow's errors of damage, and text that is not UTF-8
            raise not_readable(container, error, "Parquet") from error
        if batch is None:
            return
        yield from rows


def _unscanned(values: Mapping[str, Any], row: int, stem: str, columns: TableColumns) -> UnscannedImage:
    annotations = {
        "label": _label(values[columns.label], columns.names),
        "split": SPLIT_SYNONYMS.get(_text(values, columns.split).lower(), ""),
        "group": _text(values, columns.group),
    }
    identifier, problem = _text(values, columns.id), ""
    if columns.id and not identifier:
        problem = "its id is missing"
    elif columns.split and not annotations["split"]:
        problem = f"its split is none of {', '.join(SPLIT_SYNONYMS)}: {_text(values, columns.split)!r}"
    elif columns.group and not annotations["group"]:
        problem = "its group is missing"
    elif not annotations["label"]:
        problem = "its label is missing"
    read = partial(_image_bytes, values[columns.image], problem)
    return UnscannedImage(identifier or f"{stem}/{row:09d}", read, row, annotations=annotations)


def _image_bytes(value: Any, problem: str = "") -> bytes:
    if problem:
        raise UnusableImage(problem)
    content = value.get("bytes") if isinstance(value, dict) else value
    if content:
        return bytes(content)
    path = value.get("path") if isinstance(value, dict) else None
    raise UnusableImage(
        f"the row names a file ({path}) and does not hold its bytes" if path else "the row holds no image"
    )


def _label(value: Any, names: tuple[str, ...]) -> str:
    if value is None or value != value or (names and value == -1):  # NaN; -1 is how Hugging Face hides labels
        return ""
    if names:
        return names[int(value)] if 0 <= int(value) < len(names) else ""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()


def _text(values: Mapping[str, Any], column: str) -> str:
    head, _, field = column.partition(".")
    value = values.get(column, values.get(head))
    value = value.get(field) if column not in values and isinstance(value, dict) else value
    return "" if value is None else str(value).replace("\0", "").strip()


def _usual(schema: "pa.Schema", key: str, found: list[str]) -> str:
    if len(found) == 1 or (found and key == "label_column"):
        return found[0]
    raise RequestError(
        f"dataset.{key} is missing: {'several columns' if found else 'no column'} can be meant. "
        f"Columns: {', '.join(schema.names)}."
    )


def _column_of(name: str, names: Sequence[str]) -> str:
    """Return the column of a name, which may be that of a field of a struct, such as `image.path`."""
    return name if name in names else name.partition(".")[0]


def _no_column(schema: "pa.Schema", key: str, name: str) -> RequestError:
    column = _column_of(name, schema.names)
    similar = [column] if column in schema.names else nearest(name, schema.names)
    return RequestError(
        f"dataset.{key}: there is no column {name!r}. Columns: {', '.join(schema.names)}. Nearest: {', '.join(similar)}."
    )


def _holds_images(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_images(field.type) for field in kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _class_names(schema: "pa.Schema", label: str) -> tuple[str, ...]:
    try:
        kept = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, ValueError, TypeError):
        return ()
    return tuple(str(name) for name in kept)


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
