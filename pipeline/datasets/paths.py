"""Paths on this machine, as settings give them and as messages name them."""

import os
from pathlib import Path


def local_path(text: str) -> Path:
    """Return a path as it is typed, a home folder at its beginning written out where there is such a user."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - pathlib's raises where there is none


def in_full(path: Path) -> str:
    """Return a path in quotes, a relative one with the absolute path it stands for."""
    if path.is_absolute():
        return f"'{path}'"
    return f"'{path}', which is '{path.absolute()}' (relative to where the command was started)"
