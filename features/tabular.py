"""Samples as tables of pandas and of Arrow, which are imported when a table is asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck_features.features.arrays import FeatureArray
from bottleneck_features.features.errors import CacheError

if TYPE_CHECKING:
    import pandas
    import pyarrow


def frame(
    columns: Mapping[str, Any], class_names: tuple[str, ...], arrays: Mapping[str, FeatureArray]
) -> pandas.DataFrame:
    """Return a DataFrame with a row per sample.

    Args:
        columns: `id` (n,), `split` (one text for all), `y` (n,), and `group` (n,) where there are groups.
        class_names: name of each label.
        arrays: features (n, *shape) by layer, whose values become columns.

    Raises:
        CacheError: if pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise CacheError("A frame needs pandas: pip install 'bottleneck-features[frame]'") from error
    described = {
        "id": columns["id"],
        "split": columns["split"],
        "label": pandas.Categorical.from_codes(columns["y"], list(class_names)),
        "y": columns["y"],
    }
    if "group" in columns:
        described["group"] = columns["group"].astype(object)
    parts = [pandas.DataFrame(described)]
    for layer, array in arrays.items():
        values = array[:].reshape(len(array), math.prod(array.shape[1:]))
        names = [f"{layer}_{number}" for number in range(values.shape[1])]
        parts.append(pandas.DataFrame(values, columns=names))
    return parts[0] if len(parts) == 1 else pandas.concat(parts, axis=1)


def arrow_batches(
    columns: Mapping[str, Any],
    class_names: tuple[str, ...],
    arrays: Mapping[str, FeatureArray],
    stretches: Iterable[tuple[int, int]],
) -> pyarrow.RecordBatchReader:
    """Return a reader of record batches.

    Args:
        columns: as for `frame`.
        class_names: name of each label.
        arrays: features (n, *shape) by layer.
        stretches: `start, stop` of the samples of each batch.

    Raises:
        CacheError: if pyarrow is not installed.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise CacheError("Arrow needs pyarrow: pip install 'bottleneck-features[parquet]'") from error
    text, named = pyarrow.string(), pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    kinds = {"id": text, "split": named, "label": named, "y": pyarrow.int64()}
    if "group" in columns:
        kinds["group"] = text
    features = {layer if layer not in kinds else f"features/{layer}": array for layer, array in arrays.items()}
    fields = [pyarrow.field(name, kind) for name, kind in kinds.items()]
    for name, array in features.items():
        kind = pyarrow.from_numpy_dtype(array.dtype)
        whole = pyarrow.list_(kind, math.prod(array.shape[1:])) if array.ndim > 1 else kind
        fields.append(pyarrow.field(name, whole, metadata={"shape": json.dumps(array.shape[1:])}))
    schema = pyarrow.schema(fields)
    return pyarrow.RecordBatchReader.from_batches(schema, _batches(schema, columns, class_names, features, stretches))


def _batches(
    schema: pyarrow.Schema,
    columns: Mapping[str, Any],
    class_names: tuple[str, ...],
    features: Mapping[str, FeatureArray],
    stretches: Iterable[tuple[int, int]],
) -> Iterator[pyarrow.RecordBatch]:
    import pyarrow

    names, split = pyarrow.array(class_names, pyarrow.string()), pyarrow.array([columns["split"]])
    for start, stop in stretches:
        y = columns["y"][start:stop]
        made = {
            "id": pyarrow.array(columns["id"][start:stop].tolist(), pyarrow.string()),
            "split": pyarrow.DictionaryArray.from_arrays(np.zeros(len(y), np.int32), split),
            "label": pyarrow.DictionaryArray.from_arrays(y.astype(np.int32), names),
            "y": _values(y, pyarrow.int64()),
        }
        if "group" in columns:
            made["group"] = pyarrow.array(columns["group"][start:stop].tolist(), pyarrow.string())
        made |= {name: _values(array[start:stop], schema.field(name).type) for name, array in features.items()}
        yield pyarrow.RecordBatch.from_arrays([made[name] for name in schema.names], schema=schema)


def _values(values: np.ndarray, kind: pyarrow.DataType) -> pyarrow.Array:
    """Return an array as Arrow's, whose buffer is the array's own."""
    import pyarrow

    buffer, listed = pyarrow.py_buffer(np.ascontiguousarray(values)), isinstance(kind, pyarrow.FixedSizeListType)
    flat = pyarrow.Array.from_buffers(kind.value_type if listed else kind, values.size, [None, buffer])
    return pyarrow.FixedSizeListArray.from_arrays(flat, type=kind) if listed else flat
