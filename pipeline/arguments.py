"""Arguments of Python functions: each is returned as what it must be, or refused by its name and what was received."""

import math
import os
import tempfile
from collections.abc import Collection, Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from bottleneck_features.errors import nearest
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.setting_kinds import shown


def whole_number(name: str, value: Any, least: int, most: int | None = None, *, zero: str = "") -> int:
    """Return a whole number; those of NumPy are taken.

    Args:
        name: of the argument.
        value: what was received.
        least: the smallest that is taken.
        most: the largest that is taken; None: any.
        zero: what 0 means, where that is taken too.

    Raises:
        RequestError: it is another number, or none.
    """
    if isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
        if (zero and number == 0) or (least <= number and (most is None or number <= most)):
            return number
    bounds = f"from {least:,} on" if most is None else f"from {least:,} to {most:,}"
    raise refusal(name, f"a whole number {bounds}{f', or 0 for {zero}' if zero else ''}", value)


def number(name: str, value: Any, least: float, most: float | None = None, *, of: str = "a number") -> float:
    """Return a finite number; those of NumPy are taken.

    Args:
        name: of the argument.
        value: what was received.
        least: the smallest that is taken.
        most: the largest that is taken; None: any.
        of: what it is a number of, in words.

    Raises:
        RequestError: it is another number, or none.
    """
    if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
        found = float(value)
        if least <= found and (most is None or found <= most):
            return found
    raise refusal(name, f"{of} {f'from {least:g} on' if most is None else f'from {least:g} to {most:g}'}", value)


def between_0_and_1(name: str, value: Any, *, of: str) -> float:
    """Return a number between 0 and 1, both excluded; those of NumPy are taken.

    Args:
        name: of the argument.
        value: what was received.
        of: what it is a number of, in words.

    Raises:
        RequestError: it is another number, or none.
    """
    if isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < 1:
        return float(value)
    raise refusal(name, f"{of} between 0 and 1, both excluded", value)


def truth(name: str, value: Any) -> bool:
    """Return True or False.

    Raises:
        RequestError: it is neither.
    """
    found = plain(value)
    if not isinstance(found, bool):
        raise refusal(name, "True or False", value)
    return found


def one_of(name: str, value: Any, valid: Collection[str]) -> str:
    """Return one of some words.

    Raises:
        RequestError: it is none of them; the message names the nearest.
    """
    if isinstance(value, str) and value in valid:
        return value
    near = f". Nearest: {', '.join(nearest(value, valid))}" if isinstance(value, str) else ""
    raise RequestError(f"{name} takes one of {', '.join(valid)}. Received: {_received(value)}{near}.")


def items(name: str, value: Any, what: str) -> list[Any]:
    """Return what is in a list, or in anything else that can be gone through; a text is none.

    Raises:
        RequestError: it cannot be gone through; `what` says what the argument takes.
    """
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        try:
            return list(value)
        except TypeError:  # an array of no dimension
            pass
    raise refusal(name, what, value)


def text(name: str, value: Any, what: str) -> str:
    """Return a text, or a path as one.

    Raises:
        RequestError: it is neither, is empty, or has a character that no path can have; `what` says what the argument takes.
    """
    found = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(found, str) or not found or "\0" in found:
        raise refusal(name, what, value)
    return found


def path(name: str, value: Any, what: str = "the path of a folder") -> Path:
    """Return an absolute path, a home folder at its beginning written out where there is such a user.

    Raises:
        RequestError: see `text`.
    """
    return Path(os.path.expanduser(text(name, value, what))).absolute()  # noqa: PTH111 - pathlib's raises where there is none


def overrides(value: Any) -> tuple[str, ...]:
    """Return settings as `--set` takes them; one need not be in a list.

    Raises:
        RequestError: it is no list of texts.
    """
    what = "a list of settings such as 'head.epochs=3'"
    found = [value] if isinstance(value, str) else items("overrides", value, what)
    if not all(isinstance(one, str) for one in found):
        raise refusal("overrides", what, value)
    return tuple(found)


def writable(name: str, file: Path) -> Path:
    """Return a file if it can be written, before what is to be written is computed.

    Raises:
        RequestError: it is a folder or a device, or nothing can be written to the folder it would be in.
    """
    if file.is_dir():
        raise RequestError(f"{name} '{file}' is a folder. Name a file in it, such as '{file / 'labels.csv'}'.")
    if file.exists() and not file.is_file():
        raise RequestError(f"{name} '{file}' is no file that can be replaced. Name another one.")
    if not file.parent.is_dir():
        raise RequestError(f"{name} '{file}': there is no folder '{file.parent}'.")
    try:
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise RequestError(
            f"{name} '{file}': nothing can be written to the folder '{file.parent}' ({error.strerror})."
        ) from error
    return file


def refusal(name: str, what: str, value: Any) -> RequestError:
    """Return the error that says what an argument takes, and what was received."""
    return RequestError(f"{name} takes {what}. Received: {_received(value)}")


def _received(value: Any) -> str:
    return shown(plain(value))


def plain(value: Any) -> Any:
    """Return numbers of NumPy and paths, and lists and tables of them, as Python's own numbers and texts."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value
