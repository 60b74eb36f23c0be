"""What can go wrong in `models`, each with a message that says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from bottleneck_features.errors import BottleneckError


class ModelError(BottleneckError):
    """Something the user can put right; the message says how."""


class InvalidSetting(ModelError):
    """A value that is not among the valid ones."""

    exit_code = 2


class UnknownBackbone(ModelError):
    """No backbone of this name."""

    exit_code = 2


class UnknownLayer(ModelError):
    """No layer of this name in the backbone."""

    exit_code = 2


class BackboneFileError(ModelError):
    """A `.keras` file that is missing, damaged or not an image model."""

    exit_code = 2


class WeightsUnavailable(ModelError):
    """Weights that are neither on disk nor to be had from the network."""


class WeightsMismatch(ModelError):
    """A weights file that belongs to another architecture."""

    exit_code = 2


class EngineUnavailable(ModelError):
    """An engine or precision that this machine or installation lacks."""

    exit_code = 2


class EngineMismatch(ModelError):
    """An engine whose output is not that of the float32 reference."""


def first_line(error: BaseException, longest: int = 300) -> str:
    """What an error says first, at most `longest` characters of it; its kind where it says nothing."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line[:longest] for line in lines if line), type(error).__name__)


def nearest(received: str, valid: Iterable[str], count: int = 3) -> list[str]:
    """The `count` of the `valid` names that look most like `received`, in any case; all of them when none does."""
    names = [str(name) for name in valid]
    close = difflib.get_close_matches(received.lower(), {name.lower(): None for name in names}, count, cutoff=0.5)
    return [name for likeness in close for name in names if name.lower() == likeness][:count] or names


def quoted(names: Iterable[str]) -> str:
    """Names in quotation marks, with commas between them."""
    return ", ".join(f"'{name}'" for name in names)


def require_choice(option: str, value: str, choices: Iterable[str]) -> str:
    """`value` if it is one of `choices`.

    Raises:
        InvalidSetting: If it is not.
    """
    choices = tuple(choices)
    if value in choices:
        return value
    raise InvalidSetting(f"{option} must be one of {quoted(choices)}. Received: {option}='{value}'.")
