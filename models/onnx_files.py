"""What an ONNX file says of its weights before anything reads it: in which other files they lie, and how large they are.

The file is a message of Protocol Buffers. Only the few fields that tell it are followed, by their numbers in onnx.proto; it is
walked where it lies, nothing of it is unpacked.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bottleneck_features.models.errors import BackboneFileError, UnsafeFile

ALWAYS_READ = 64 << 20  # bytes that no machine lacks
MOST_TIMES = 4  # the bytes of the files: room for weights of four bits
BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16}
DEEPEST = 20  # graphs in the branches of graphs
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

# where tensors lie: the field's number → what it is; ModelProto, GraphProto, NodeProto, AttributeProto, SparseTensorProto
_MODEL = {7: "graph", 25: "function"}
_GRAPH = {1: "node", 5: "tensor", 15: "sparse"}
_FUNCTION = {7: "node"}
_NODE = {5: "attribute"}
_ATTRIBUTE = {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"}
_SPARSE = {1: "tensor", 2: "tensor"}
_INSIDE = {
    "model": _MODEL, "graph": _GRAPH, "function": _FUNCTION, "node": _NODE, "attribute": _ATTRIBUTE, "sparse": _SPARSE,
}  # fmt: skip


@dataclass
class _Found:
    locations: set[str] = field(default_factory=set)
    bits: int = 0
    graphs: int = 0


def external_files(path: Path) -> tuple[Path, ...]:
    """Return the other files in which an ONNX file's weights lie, sorted.

    Args:
        path: the ONNX file.

    Raises:
        BackboneFileError: if it is no ONNX file, or a file that it names is missing.
        UnsafeFile: if it names a file outside its folder, or its weights would take far more than the bytes of its files.
    """
    found = _walked(path)
    files = []
    for location in sorted(found.locations):
        file = path.parent / location
        if not location or Path(location).is_absolute() or ".." in Path(location).parts:
            raise UnsafeFile(f"'{path}' is not read: its weights are said to lie in '{location}', outside its folder.")
        if not file.is_file():
            raise BackboneFileError(
                f"'{path}' lacks a part of its weights: put '{location}' beside it, from where the file comes."
            )
        files.append(file)
    own = sum(one.stat().st_size for one in (path, *files))
    most = max(ALWAYS_READ, MOST_TIMES * own)
    if found.bits > 8 * most:
        raise UnsafeFile(
            f"'{path}' is not read: its weights would take {found.bits // 8:,} bytes, and at most {most:,} are read of files of "
            "its size."
        )
    return tuple(files)


def _walked(path: Path) -> _Found:
    found = _Found()
    try:
        with path.open("rb") as file:  # what maps it closes with the last view of it
            _walk(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)), "model", found, 0)
    except (ValueError, IndexError) as error:  # of an empty file too
        raise BackboneFileError(f"'{path}' is no ONNX file, or is truncated: fetch or export it again.") from error
    if not found.graphs:
        raise BackboneFileError(f"'{path}' is no ONNX file: it holds no graph. Fetch or export it again.")
    return found


def _walk(view: memoryview, kind: str, found: _Found, depth: int) -> None:
    if depth > DEEPEST * len(_INSIDE):
        raise ValueError("nested too deep")
    found.graphs += kind == "graph"
    inside = _INSIDE[kind]
    for number, value in _fields(view):
        if number in inside and isinstance(value, memoryview):
            if inside[number] == "tensor":
                _tensor(value, found)
            else:
                _walk(value, inside[number], found, depth + 1)


def _tensor(view: memoryview, found: _Found) -> None:
    """Note where a TensorProto's values lie, and how many bits they take."""
    sides: list[int] = []
    kind = 0
    for number, value in _fields(view):
        if number == 1:  # dims, one by one or packed
            sides.extend([value] if isinstance(value, int) else _varints(value))
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 13 and isinstance(value, memoryview):  # external_data: pairs of a key and a value
            pair = {key: bytes(text).decode() for key, text in _fields(value) if isinstance(text, memoryview)}
            if pair.get(1) == "location":
                found.locations.add(pair.get(2, ""))
    if any(side >= 1 << 63 for side in sides):
        raise ValueError("a negative side")
    found.bits += math.prod(sides) * BITS.get(kind, 8)


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field of a message; of fixed width values nothing is said."""
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(view, at)
            yield number, value
        elif wire == BYTES:
            length, at = _varint(view, at)
            if length > len(view) - at:
                raise ValueError("truncated")
            yield number, view[at : at + length]
            at += length
        elif wire in (FIXED64, FIXED32):
            at += 8 if wire == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")
    if at > len(view):
        raise ValueError("truncated")


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = view[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number of more than ten bytes")


def _varints(view: memoryview) -> Iterator[int]:
    at = 0
    while at < len(view):
        value, at = _varint(view, at)
        yield value
