"""What the texts of options mean that click does not know."""

from __future__ import annotations

import re

from bottleneck_features import features
from bottleneck_features.errors import nearest
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.method_names import EXPORT_FORMATS


def parsed_part(text: str) -> features.Partition:
    """Return the part that `--shard I/N` names.

    Raises:
        RequestError: it is not two whole numbers, or there is no such part.
    """
    try:
        number, of = map(int, text.split("/"))
        return features.Partition(number, of)
    except (ValueError, features.CacheError):
        raise RequestError(
            f"--shard takes I/N, two whole numbers with 1 ≤ I ≤ N, such as 3/16. Received: '{text}'"
        ) from None


def parsed_formats(text: str) -> tuple[str, ...]:
    """Return the formats that `--format a,b` names, each once.

    Raises:
        RequestError: one is unknown.
    """
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",")))
    for name in names:
        if name not in EXPORT_FORMATS:
            raise RequestError(
                f"--format takes one or several of {','.join(EXPORT_FORMATS)}. Received: {text!r}. "
                f"Nearest to {name!r}: {', '.join(nearest(name, EXPORT_FORMATS))}."
            )
    return names


def parsed_sizes(text: str) -> tuple[int | None, ...]:
    """Read the sizes of a curve, such as `1,5,10,all`, in any order.

    Args:
        text: whole numbers above 0 and the word `all`, separated by commas.

    Returns:
        The numbers, rising and each once; None last for `all`.

    Raises:
        RequestError: something else; the message quotes it.
    """
    words = [word.strip() for word in text.split(",")]
    wrong = [word for word in words if word != "all" and not re.fullmatch(r"0*[1-9][0-9]{0,8}", word)]
    if wrong:
        raise RequestError(
            f"--label-curve takes numbers of images per class above 0 and the word all, such as 1,5,10,all. "
            f"Received: {text!r}, in which {wrong[0]!r} is neither."
        )
    numbers: list[int | None] = [*sorted({int(word) for word in words if word != "all"})]
    return (*numbers, None) if "all" in words else tuple(numbers)
