"""The columns of Parquet files: which hold images and labels, and what a label in them says."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bottleneck_features.errors import nearest, quoted
from bottleneck_features.foreign import parsed_json
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.labels.reading import plain_label
from bottleneck_features.pipeline.errors import RequestError

if TYPE_CHECKING:
    import pyarrow as pa

USUAL_LABELS = ("label", "labels", "class", "fine_label")
LONGEST_LIST = 50  # labels of one image that are looked at
DEEPEST = 4  # lists of lists of class names


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table: of image bytes (or `{bytes, path}`), of labels, and perhaps of splits, groups and ids."""

    image: str
    label: str
    split: str = ""
    group: str = ""
    id: str = ""


def find_columns(schema: "pa.Schema", settings: DatasetSettings) -> TableColumns:
    """Find the columns that settings name, or that are the only ones that can be meant.

    Args:
        schema: of one of the files; the others have the same columns.
        settings: `image_column`, `label_column`, `split_column`, `group` and `id_column` (which may be `image.path`).

    Raises:
        RequestError: a column is missing or cannot be told.
    """
    label = settings.label_column or _usual(schema, "label_column", [n for n in USUAL_LABELS if n in schema.names])
    image = settings.image_column or _usual(schema, "image_column", [f.name for f in schema if _holds_images(f.type)])
    wanted = {"image_column": image, "label_column": label}
    wanted |= {key: getattr(settings, key) for key in ("split_column", "group", "id_column")}
    for key, name in wanted.items():
        may_be_field = key in ("split_column", "group", "id_column")
        if name and (column_of(name, schema.names) if may_be_field else name) not in schema.names:
            raise _no_column(schema, key, name)
    return TableColumns(image, label, settings.split_column, settings.group, settings.id_column)


def require_columns(schema: "pa.Schema", columns: TableColumns, file: str) -> list[str]:
    """Return the columns to read in one file.

    Raises:
        RequestError: one is not there, is there twice, or does not hold what it must; the message names the file.
    """
    others = [column_of(name, schema.names) for name in (columns.split, columns.group, columns.id) if name]
    wanted = list(dict.fromkeys([columns.image, columns.label, *others]))
    for name in wanted:
        if name not in schema.names:
            raise RequestError(f"'{file}' has no column {name!r}, which another file of the data set has.")
        if schema.names.count(name) > 1:
            raise RequestError(f"'{file}' has {schema.names.count(name)} columns called {name!r}. Rename all but one.")
    image, label = schema.field(columns.image).type, schema.field(columns.label).type
    if not _holds_images(image):
        raise RequestError(
            f"dataset.image_column: column {columns.image!r} of '{file}' holds {image}; it must hold the bytes of image files, "
            "or a struct of `bytes` and `path`."
        )
    if not _holds_labels(label):
        raise RequestError(
            f"dataset.label_column: column {columns.label!r} of '{file}' holds {str(label)[:100]}; labels are text, numbers, or "
            f"true and false. Columns: {', '.join(schema.names)}."
        )
    return wanted


def column_of(name: str, names: Sequence[str]) -> str:
    """Return the column of a name, which may be that of a field of a struct, such as `image.path`."""
    return name if name in names else name.partition(".")[0]


def class_names(schema: "pa.Schema", label: str, file: str) -> tuple[str, ...]:
    """Return the names that a file gives to the numbers in its column of labels (Hugging Face's `ClassLabel`).

    Args:
        schema: the file's.
        label: the column.
        file: its name, for messages.

    Returns:
        The names; none where there are none, the file's description is damaged, or the column is text and needs none.

    Raises:
        RequestError: two numbers have the same name.
    """
    import pyarrow as pa

    kind = _inner(schema.field(label).type)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return ()
    try:
        described = parsed_json((schema.metadata or {})[b"huggingface"])["info"]["features"][label]
    except (KeyError, ValueError, TypeError):
        return ()
    names = _names_in(described)
    plain = [plain_label(name) for name in names]
    repeated = [name for name in dict.fromkeys(plain) if plain.count(name) > 1] if len(set(plain)) < len(plain) else []
    if repeated or "" in plain:
        wrong = f"more than one number the name {quoted(repeated[:3])}" if repeated else "a number no name"
        raise RequestError(
            f"'{file}' gives {wrong} in column {label!r}: write it again with a name of its own for each."
        )
    return tuple(plain)


def label_text(value: Any, names: tuple[str, ...]) -> str:
    """Return the label that a cell says; empty where it says none.

    Args:
        value: of the cell.
        names: of its file's classes, where it is a number of one.

    Raises:
        ValueError: it is a number that has no name; with the reason.
    """
    if isinstance(value, list):
        return json.dumps([label_text(one, names) for one in value[:LONGEST_LIST]])
    if value is None or value != value or (names and value == -1):  # NaN; -1 is how Hugging Face hides labels
        return ""
    if names:
        if not (float(value).is_integer() and 0 <= value < len(names)):
            raise ValueError(f"its label is {value}, and its file names {len(names):,} classes, from 0 on")
        return names[int(value)]
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).replace("\0", "").strip()


def other_columns(schemas: Sequence["pa.Schema"], columns: TableColumns) -> list[str]:
    """Return the columns of text and whole numbers that all files have and nothing asks for."""
    import pyarrow as pa

    used = {
        columns.image,
        columns.label,
        *(column_of(name, schemas[0].names) for name in (columns.split, columns.id) if name),
    }
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer)

    def fits(name: str) -> bool:
        kinds = [schema.field(name).type for schema in schemas if schema.names.count(name) == 1]
        kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in kinds]
        return len(kinds) == len(schemas) and all(any(check(kind) for check in checks) for kind in kinds)

    return [name for name in schemas[0].names if name not in used and fits(name)]


def _usual(schema: "pa.Schema", key: str, found: list[str]) -> str:
    if len(found) == 1 or (found and key == "label_column"):
        return found[0]
    what = "hold the bytes of images" if key == "image_column" else "can be meant"
    listed = ", ".join(f"{field.name} ({str(field.type)[:40]})" for field in schema)
    raise RequestError(
        f"dataset.{key} is missing: {'several columns' if found else 'no column'} {what}. Columns: {listed}."
    )


def _no_column(schema: "pa.Schema", key: str, name: str) -> RequestError:
    column = column_of(name, schema.names)
    similar = [column] if column in schema.names else nearest(name, schema.names)
    return RequestError(
        f"dataset.{key}: there is no column {name!r}. Columns: {', '.join(schema.names)}. Nearest: {', '.join(similar)}."
    )


def _holds_images(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_images(field.type) for field in kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _holds_labels(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    kind = _inner(kind)
    checks = ("string", "large_string", "string_view", "integer", "floating", "boolean", "decimal", "null")
    return any(getattr(pa.types, f"is_{check}")(kind) for check in checks)


def _inner(kind: "pa.DataType") -> "pa.DataType":
    """Return the type of what a column holds, in lists or not."""
    import pyarrow as pa

    if (
        pa.types.is_dictionary(kind)
        or pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
    ):
        return _inner(kind.value_type)
    return kind


def _names_in(described: Any, depth: int = 0) -> list[str]:
    """Return the names in the description of a column, or of what its lists hold."""
    if isinstance(described, list) and len(described) == 1:
        described = described[0]
    if depth > DEEPEST or not isinstance(described, dict):
        return []
    names = described.get("names")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return names
    return _names_in(described.get("feature"), depth + 1)
