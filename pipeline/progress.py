"""Progress with rate and remaining time: a live bar on a terminal or in a notebook, a line every ten seconds in a log."""

import sys
from importlib.util import find_spec
from typing import Any

from tqdm import tqdm


def progress(**settings: Any) -> tqdm:
    """Return a tqdm bar on the error stream; `settings` are tqdm's own (`total`, `desc`, `unit`, `initial`)."""
    if _shows_widgets():
        from tqdm.notebook import tqdm as notebook_bar

        return notebook_bar(smoothing=0.05, **settings)
    terminal = sys.stderr.isatty()
    return tqdm(
        file=sys.stderr,
        smoothing=0.05,
        dynamic_ncols=terminal,
        mininterval=0.2 if terminal else 10.0,
        bar_format=None if terminal else "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left{postfix}\n",
        **settings,
    )


def _shows_widgets() -> bool:
    """Return whether a notebook's kernel runs this, which can draw a bar where ipywidgets is installed."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and "IPKernelApp" in shell.config and find_spec("ipywidgets") is not None
