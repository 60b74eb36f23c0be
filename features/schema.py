"""What may stand in the files of a cache, which can come from anyone: types and bounds, checked before they are believed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from bottleneck_features.foreign import parsed_json, problem_of

MOST_BYTES = 1 << 62  # of one file: positions in it fit into 64 bits
LARGEST_AXIS = 1 << 31
LARGEST_SAMPLE = 1 << 40  # values
LONGEST_ID = 1 << 16  # bytes
_SPLIT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
_RESERVED = ("quarantine", "targets")


def is_split_name(name: str) -> bool:
    """Return whether a split may have this name: it is that of a folder and of a file of the cache."""
    return _SPLIT_NAME.fullmatch(name) is not None and name not in _RESERVED


def is_layer_name(name: str) -> bool:
    """Return whether a layer may have this name: it is that of a dataset in a file."""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _split_name(name: str) -> str:
    if not is_split_name(name):
        raise ValueError("a split must be called by letters, digits, '_' and '-'")
    return name


def _layer_name(name: str) -> str:
    if not is_layer_name(name):
        raise ValueError("no layer can have this name")
    return name


def _sample_shape(shape: list[int]) -> list[int]:
    values = 1
    for axis in shape:
        values *= axis
    if values > LARGEST_SAMPLE:
        raise ValueError("no sample has so many values")
    return shape


def _time(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a time without its zone")
    return text


Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Bytes = Annotated[int, Field(ge=0, le=MOST_BYTES)]
SplitName = Annotated[str, AfterValidator(_split_name)]
Offsets = dict[str, Bytes]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class FileRecord(_Strict):
    """A file that is whole: see `features.entries.FileEntry`."""

    bytes: Bytes
    sha256: Digest
    offsets: Offsets


class LayoutRecord(_Strict):
    """Where the datasets of shards begin, from one shard on."""

    start: Annotated[int, Field(alias="from", ge=0)]
    offsets: Offsets


class LayerRecord(_Strict):
    """A layer: see `features.manifest.ArraySpec`."""

    name: Annotated[str, AfterValidator(_layer_name)]
    shape: Annotated[list[Annotated[int, Field(ge=1, le=LARGEST_AXIS)]], AfterValidator(_sample_shape)]
    dtype: Literal["float16", "float32"]


class SplitSchema(_Strict):
    """A split; the columns of its shards are checked where they become arrays."""

    name: SplitName
    samples: Annotated[int, Field(ge=0, le=MOST_BYTES)]
    id_bytes: Annotated[int, Field(ge=1, le=LONGEST_ID)]
    plan_sha256: Digest
    virtual: FileRecord | None
    layouts: list[LayoutRecord]


class ManifestSchema(_Strict):
    """A manifest, but for the columns of its shards."""

    key: Digest
    identity: dict[str, Any]
    layers: Annotated[list[LayerRecord], Field(min_length=1)]
    targets: Digest
    recipe: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
    shard_size: Annotated[int, Field(ge=1, le=MOST_BYTES)]
    compression: Literal["none", "blosc2"]
    splits: Annotated[list[SplitSchema], Field(min_length=1)]
    complete: bool
    created: Annotated[str, AfterValidator(_time)]
    provenance: dict[str, Any]


class JournalHeader(_Strict):
    """The first line of a journal: see `features.journal.Records`."""

    plan: Digest
    split: SplitName
    offsets: Offsets


def require_manifest(content: Mapping[str, Any]) -> None:
    """Check the types and bounds of a manifest.

    Raises:
        ValueError: naming the first field that cannot be right.
    """
    try:
        ManifestSchema.model_validate(content)
    except ValidationError as error:
        raise ValueError(problem_of(error)) from None
    for names in ([layer["name"] for layer in content["layers"]], [split["name"] for split in content["splits"]]):
        if len(set(names)) < len(names):
            raise ValueError("it names a layer or a split twice")
    if sum(split["samples"] for split in content["splits"]) > MOST_BYTES:
        raise ValueError("no cache has so many samples")


def read_offsets(text: bytes) -> dict[str, int] | None:
    """Return where the datasets of shards begin, from JSON; None where it is no such thing."""
    try:
        return LayoutRecord.model_validate({"from": 0, "offsets": parsed_json(text)}).offsets
    except ValueError:
        return None
