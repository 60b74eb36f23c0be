"""What a cell of a column of splits says: a word for a split, or true or false in a column whose name is the word."""

import re
from collections.abc import Iterable

from bottleneck_features.errors import enumerated
from bottleneck_features.pipeline.datasets.layout.convention import SPLIT_SYNONYMS
from bottleneck_features.pipeline.errors import RequestError

SPLIT_WORDS = {**SPLIT_SYNONYMS, "publictest": "validation", "privatetest": "test"}  # the last two are FER2013's
YES = ("true", "t", "yes", "y", "1", "1.0")
NO = ("false", "f", "no", "n", "0", "0.0")
_BESIDE = re.compile(r"[\s_-]+|set$|split$")  # as in `Train Set`
SHOWN = 5


def said_split(column: str, cell: str) -> str:
    """Return the split that a cell says; empty where it says none.

    Args:
        column: its column's name; true in `is_valid` is `validation`, and false there `train`.
        cell: the text.
    """
    word = _BESIDE.sub("", cell.strip().lower())
    if word in SPLIT_WORDS:
        return SPLIT_WORDS[word]
    named = splits_in(column)
    if len(named) != 1 or word not in (*YES, *NO):
        return ""
    if word in YES:
        return named[0]
    return "test" if named[0] == "train" else "train"


def splits_in(name: str) -> tuple[str, ...]:
    """Return the splits that words of a name say, such as that of a file or of a column."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    return tuple(sorted({SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}))


def why_no_split(cell: str) -> str:
    """Return what is wrong with a cell that says no split."""
    return f"its split is none of {', '.join(SPLIT_SYNONYMS)}: {cell!r}"


def require_splits(column: str, cells: Iterable[str]) -> None:
    """Refuse a column of which no cell says a split.

    Raises:
        RequestError: it is none; the message names what is in it.
    """
    found = dict.fromkeys(cell.strip() for cell in cells)
    if not found or any(said_split(column, cell) for cell in found):
        return
    raise RequestError(
        f"dataset.split_column: column {column!r} holds {enumerated(map(repr, found), SHOWN)}, and none of them is a split. "
        "Write train, validation or test into it, or true and false into a column whose name says the split, such as is_valid; "
        "or leave dataset.split_column out."
    )
