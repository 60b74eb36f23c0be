"""The folder of caches and results: the default one, and whether it can be used."""

import os
from pathlib import Path
from typing import Any

from bottleneck_features.pipeline import arguments
from bottleneck_features.pipeline.errors import RequestError

DEFAULT_HOME, HOME_VARIABLE = Path("artifacts"), "BOTTLENECK_HOME"
_ADVICE = "Give a folder you can write to: --home, in Python home=."


def default_home() -> Path:
    """Return the folder that is used where none is named: $BOTTLENECK_HOME, else `artifacts`."""
    return Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)


def chosen_home(home: Any) -> Path:
    """Return the artifacts folder that a caller names by its path, as an absolute one; None: the default one.

    Raises:
        RequestError: it is no path, or an empty one.
    """
    return default_home().absolute() if home is None else arguments.path("home", home)


def home_words(home: Path) -> tuple[str, ...]:
    """Return the words that name an artifacts folder on the command line, which the default one needs none of."""
    return () if home.absolute() == default_home().absolute() else ("--home", str(home))


def usable_home(home: Path) -> Path:
    """Return the artifacts folder, created if missing.

    Raises:
        RequestError: it cannot be created or written to.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"The home '{home}' cannot be created ({error.strerror}). {_ADVICE}") from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise RequestError(f"The home '{home}' cannot be written to. {_ADVICE}")
    return home
