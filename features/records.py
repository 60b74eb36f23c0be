"""What is said of caches: how two identities differ, and what a folder of caches holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ABSENT = "(absent)"
UNSAID = {"input.fit": "stretch"}  # fields of an identity that are there only if they have another value

KEY_DIGITS = 8
EXPORT_FORMATS = ("npz", "npy", "parquet")

DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True)
class Difference:
    """One field in which two identities differ; nested fields are named `outer.inner`."""

    field: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        both = f"{_shown(self.ours)} asked for, {_shown(self.theirs)} in the cache"
        if self.field.startswith("dataset.") and _is_digest(self.ours) and _is_digest(self.theirs):
            what = "other labels, groups or class names" if self.field == "dataset.labels" else "other images"
            return f"{self.field}: {what} ({both})"
        return f"{self.field}: {both}"


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and DIGEST.fullmatch(value) is not None


def _shown(value: Any) -> str:
    """Return a value as a message shows it: of a SHA-256 the digits that folders are named by, of long text both ends."""
    if _is_digest(value):
        return f"{value[:KEY_DIGITS]}…"
    text = value if value == ABSENT else repr(value)
    text = DIGEST.sub(lambda digest: f"{digest[0][:KEY_DIGITS]}…", text)
    return text if len(text) <= 80 else f"{text[:60]}…{text[-16:]}"


@dataclass(frozen=True)
class CacheInfo:
    """What a manifest says about a cache.

    Attributes:
        path: the cache's folder.
        experiment, backbone: from the provenance, or "" where it does not say.
        layers: names of the layers, in order.
        shapes: shape of one sample by layer.
        dtype: dtype of the last layer.
        images: samples of all splits.
        done_images: samples in finished shards.
        bytes: size of the finished shards.
        created: time of creation, ISO 8601 in UTC.
        complete: whether it opens.
        identity: what it was made from.
        recipe: SHA-256 of all that its features depend on but the images and the machine, or "".
        provenance: what is worth knowing and changes no number.
        problem: why the manifest cannot be read, or "".
    """

    path: Path
    experiment: str = ""
    backbone: str = ""
    layers: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[int, ...]] | None = None
    dtype: str = ""
    images: int = 0
    done_images: int = 0
    bytes: int = 0
    created: str = ""
    complete: bool = False
    identity: Mapping[str, Any] | None = None
    recipe: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
