"""The base of all errors that a caller may want to catch, and the words that their messages are made of."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BottleneckError(Exception):
    """Something that a user can put right; the message says how.

    Attributes:
        exit_code: what the command line ends with: 1, the work failed; 2, the request was wrong.
        remedy: what to type, as `Type first: bottleneck …`; the command line adds it with the words that name the experiment.
    """

    exit_code = 1
    remedy = ""


def first_line(error: BaseException, longest: int = 300) -> str:
    """Return the first line of an error's text, at most `longest` characters of it; its type where it has no text."""
    lines = (" ".join(line.split()) for line in str(error).splitlines())
    return next((line[:longest] for line in lines if line), type(error).__name__)


def nearest(received: str, valid: Iterable[str], count: int = 3) -> list[str]:
    """Return the `count` of the `valid` names that look most like `received`, in any case; all of them when none does."""
    names = [str(name) for name in valid]
    close = difflib.get_close_matches(received.lower(), {name.lower(): None for name in names}, count, cutoff=0.5)
    return [name for likeness in close for name in names if name.lower() == likeness][:count] or names


def quoted(names: Iterable[str]) -> str:
    """Return names in quotation marks, with commas between them."""
    return ", ".join(f"'{name}'" for name in names)


def enumerated(texts: Iterable[str], most: int = 10, separator: str = ", ") -> str:
    """Return texts one after the other; of more than `most` the first ones, and how many more there are."""
    every = list(texts)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return separator.join(every[:most]) + more
