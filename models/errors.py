"""What can go wrong in `models`, each with a message that says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ModelError(Exception):
    """Something the user can put right; the message says how."""


class InvalidSetting(ModelError):
    """A value that is not among the valid ones."""


class UnknownBackbone(ModelError):
    """No backbone of this name."""


class UnknownLayer(ModelError):
    """No layer of this name in the backbone."""


class BackboneFileError(ModelError):
    """A `.keras` file that is missing, damaged or not an image model."""


class WeightsUnavailable(ModelError):
    """Weights that are neither on disk nor to be had from the network.

    Attributes:
        file: Name of the missing file.
        destination: Where to put it, or `None` when a package brings it.
    """

    def __init__(self, message: str, file: str, destination: str | None = None) -> None:
        super().__init__(message)
        self.file = file
        self.destination = destination


class WeightsMismatch(ModelError):
    """A weights file that belongs to another architecture."""


class EngineUnavailable(ModelError):
    """An engine or precision that this machine or installation lacks."""


class EngineMismatch(ModelError):
    """An engine whose output is not that of the float32 reference."""


def nearest(name: str, names: Iterable[str], limit: int = 5) -> str:
    """The names most like `name`, quoted, for an error message."""
    names = list(names)
    lowered = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower(), lowered, n=limit, cutoff=0.4)
    return ", ".join(f"'{lowered[candidate]}'" for candidate in close) or ", ".join(f"'{n}'" for n in names[:limit])


def require_choice(option: str, value: str, choices: Iterable[str]) -> str:
    """`value` if it is one of `choices`.

    Raises:
        InvalidSetting: If it is not.
    """
    choices = tuple(choices)
    if value in choices:
        return value
    valid = ", ".join(f"'{choice}'" for choice in choices)
    raise InvalidSetting(f"{option} must be one of {valid}. Received: {option}='{value}'.")
