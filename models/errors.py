"""What can go wrong in `models`, each with a message that says what to do."""

from __future__ import annotations

from collections.abc import Iterable

from bottleneck_features.errors import BottleneckError, quoted


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


class UnsafeFile(ModelError):
    """A file of a network or of weights that would fill the memory, or leads to other files."""

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


def require_choice(option: str, value: str, choices: Iterable[str]) -> str:
    """Return `value` if it is one of `choices`.

    Raises:
        InvalidSetting: if it is not.
    """
    choices = tuple(choices)
    if value in choices:
        return value
    raise InvalidSetting(f"{option} must be one of {quoted(choices)}. Received: {option}='{value}'.")
