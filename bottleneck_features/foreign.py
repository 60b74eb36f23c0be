"""JSON that can come from anyone, or be damaged: it is read, or a `ValueError` says why not."""

import json
import math
from pathlib import Path
from typing import Any

from pydantic import ValidationError

DEEPEST = 100  # levels of lists and objects in one another
LONGEST = 300  # characters of what is said of a wrong value


def read_json(path: Path) -> Any:
    """Return the value of a JSON file.

    Raises:
        ValueError: it is none, see `parsed_json`, or not UTF-8.
        OSError: it cannot be read.
    """
    return parsed_json(path.read_text(encoding="utf-8"))


def parsed_json(text: str | bytes) -> Any:
    """Return the value of a JSON text, which is nested no deeper than `DEEPEST` and whose numbers are finite.

    Raises:
        ValueError: it is no such text.
    """
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _require_shallow(value)
    return value


def problem_of(error: ValidationError) -> str:
    """Return the first place where a value does not fit its model, and what is wrong there."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"])) or "it"
    return f"{place[:LONGEST]}: {first['msg'].removeprefix('Value error, ')[:LONGEST]}"


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is no finite number")
    return value


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        nested = [one for one in level if isinstance(one, dict | list)]
        if not nested:
            return
        level = [one for outer in nested for one in (outer.values() if isinstance(outer, dict) else outer)]
    raise ValueError("it is nested too deeply")
