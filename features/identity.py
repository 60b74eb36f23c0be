"""What a cache was made from, and the key and the folder name that follow from it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from bottleneck_features.features.errors import CacheError
from bottleneck_features.features.records import ABSENT, KEY_DIGITS, UNSAID, Difference


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no white space, ASCII, finite numbers only.

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
    """Return the identity as it reads back from a manifest."""
    value: dict[str, Any] = json.loads(canonical_json(dict(fields)))
    return value


def identity_key(fields: Mapping[str, Any]) -> str:
    """Return the SHA-256 of everything that changes the numbers.

    Args:
        fields: mapping of names to JSON values; the order plays no part.

    Returns:
        64 hexadecimal digits; the first eight are part of the cache's folder name.

    Raises:
        CacheError: if a value has no JSON form.
    """
    return hashlib.sha256(canonical_json(dict(fields)).encode()).hexdigest()


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Difference]:
    """Return the fields in which two identities differ; empty exactly when their keys are equal.

    Args:
        ours: the identity asked for.
        theirs: the identity found.

    Returns:
        List of `Difference`, sorted by field; a field that one side lacks has there the value that
        is never said, or `"(absent)"`.

    Raises:
        CacheError: if a value has no JSON form.
    """
    return _differences(normalised(ours), normalised(theirs), "")


def cache_path(root: Path | str, name: str, identity: Mapping[str, Any]) -> Path:
    """Return the folder of a cache.

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
    """Return the part of a cache's folder name that precedes the key."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    if not plain:
        raise CacheError(f"A cache needs a name of letters or digits, such as 'cifar10-resnet50'. Received: {name!r}")
    return plain


def _differences(ours: dict[str, Any], theirs: dict[str, Any], prefix: str) -> list[Difference]:
    found: list[Difference] = []
    for name in sorted(ours.keys() | theirs.keys()):
        mine, other = (fields.get(name, UNSAID.get(f"{prefix}{name}", ABSENT)) for fields in (ours, theirs))
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
