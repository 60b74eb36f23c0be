"""Progress with rate and remaining time: a live bar on a terminal, a line every ten seconds in a log."""

import sys
from typing import Any

from tqdm import tqdm


def progress(**settings: Any) -> tqdm:
    """Return a tqdm bar on the error stream; `settings` are tqdm's own (`total`, `desc`, `unit`, `initial`)."""
    terminal = sys.stderr.isatty()
    return tqdm(
        file=sys.stderr,
        smoothing=0.05,
        dynamic_ncols=terminal,
        mininterval=0.2 if terminal else 10.0,
        bar_format=None if terminal else "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left{postfix}\n",
        **settings,
    )
