"""What a cache was made from, and the key and the folder name that follow from it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from bottleneck_features.features.errors import CacheError

ABSENT = "(absent)"
KEY_DIGITS = 8
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
            return f"{self.field}: other images or labels ({both})"
        return f"{self.field}: {both}"


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no white space, ASCII, finite numbers only.

    Args:
        value: JSON value; tuples, paths and NumPy scalars are taken as lists, strings and numbers.

    Returns:
        Text that is equal for equal values whatever their order of insertion.

    Raises:
        CacheError: if the value has no JSON form.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise CacheError(f"An identity must be plain JSON (text, finite numbers, lists, mappings): {error}") from error


def normalised(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The identity as it reads back from a manifest."""
    value: dict[str, Any] = json.loads(canonical_json(dict(fields)))
    return value


def identity_key(fields: Mapping[str, Any]) -> str:
    """SHA-256 of everything that changes the numbers.

    Args:
        fields: mapping of names to JSON values; the order plays no part.

    Returns:
        64 hexadecimal digits; the first eight are part of the cache's folder name.

    Raises:
        CacheError: if a value has no JSON form.
    """
    return hashlib.sha256(canonical_json(dict(fields)).encode()).hexdigest()


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Difference]:
    """The fields in which two identities differ; empty exactly when their keys are equal.

    Args:
        ours: the identity asked for.
        theirs: the identity found.

    Returns:
        List of `Difference`, sorted by field; a field that one side lacks has the value `"(absent)"` there.

    Raises:
        CacheError: if a value has no JSON form.
    """
    return _differences(normalised(ours), normalised(theirs), "")


def cache_path(root: Path | str, name: str, identity: Mapping[str, Any]) -> Path:
    """The folder of a cache.

    Args:
        root: the folder that holds all caches.
        name: `<experiment>-<backbone>`; anything but letters, digits, `.`, `_` and `-` becomes `-`.
        identity: mapping as for `identity_key`.

    Returns:
        `root/<name>-<first eight digits of the key>`.

    Raises:
        CacheError: if the name has no letter or digit, or a value of the identity no JSON form.
    """
    return Path(root) / f"{folder_name(name)}-{identity_key(identity)[:KEY_DIGITS]}"


def folder_name(name: str) -> str:
    """The part of a cache's folder name that precedes the key."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    if not plain:
        raise CacheError(f"A cache needs a name of letters or digits, such as 'cifar10-resnet50'. Received: {name!r}")
    return plain


def _differences(ours: dict[str, Any], theirs: dict[str, Any], prefix: str) -> list[Difference]:
    found: list[Difference] = []
    for name in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(name, ABSENT), theirs.get(name, ABSENT)
        if isinstance(mine, dict) and isinstance(other, dict):
            found += _differences(mine, other, f"{prefix}{name}.")
        elif (name in ours) != (name in theirs) or canonical_json(mine) != canonical_json(other):
            found.append(Difference(f"{prefix}{name}", mine, other))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} of type {type(value).__name__}")


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and DIGEST.fullmatch(value) is not None


def _shown(value: Any) -> str:
    """A value as a message has it: of a SHA-256 the digits that folders are named by, of anything long both ends."""
    if _is_digest(value):
        return f"{value[:KEY_DIGITS]}…"
    text = value if value == ABSENT else repr(value)
    text = DIGEST.sub(lambda digest: f"{digest[0][:KEY_DIGITS]}…", text)
    return text if len(text) <= 80 else f"{text[:60]}…{text[-16:]}"
