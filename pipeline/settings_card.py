"""The card by which a notebook shows an experiment: what differs from the defaults first."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from bottleneck_features.cards import Table, card
from bottleneck_features.pipeline.setting_kinds import value_text

_REQUIRED = object()


_ABOVE = ("name", "description")


def settings_card(settings: Any) -> str:
    """Return the card of an experiment.

    Args:
        settings: a dataclass of settings, with a name and a description, and of dataclasses of settings.
    """
    every = [one for one in _settings_in(settings, "") if one[0] not in _ABOVE]
    own = [
        (name, value_text(_plain(value)), "" if default is _REQUIRED else value_text(_plain(default)))
        for name, value, default in every
        if value != default
    ]
    others = [(name, value_text(_plain(value))) for name, value, default in every if value == default]
    return card(
        f"Experiment {settings.name}",
        notes=[settings.description],
        tables=[Table(("setting", "value", "default"), own)],
        folded=[Table(("setting", "value"), others, f"{len(others)} other settings have their defaults")],
    )


def _settings_in(owner: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """Give the full name of every setting, its value, and its default; `_REQUIRED` where it has none."""
    for field in dataclasses.fields(owner):
        name, value = f"{prefix}{field.name}", getattr(owner, field.name)
        if dataclasses.is_dataclass(value):
            yield from _settings_in(value, f"{name}.")
        elif field.default is not dataclasses.MISSING:
            yield name, value, field.default
        else:
            made = field.default_factory
            yield name, value, _REQUIRED if made is dataclasses.MISSING else made()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
