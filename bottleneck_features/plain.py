"""Text that others chose (names of files, classes and columns), made harmless for where it is shown."""

import re
from collections.abc import Iterable
from typing import TypeVar

Shown = TypeVar("Shown")
CSV_FORMULA = re.compile(r"[=+@\t\r]|-(?![\d.])")  # how a cell begins that a spreadsheet would compute
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|!~$&]")
_HARMFUL = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # what moves the cursor, rings, or changes colours and titles; not tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the direction of writing
    "\u2028\u2029\ufeff"  # other ends of lines, and what is not seen
    "\ud800-\udfff"  # halves of characters: bytes that are no UTF-8
    "]"
)


def visible(value: Shown) -> Shown:
    r"""Return text, or a JSON value full of it, as a terminal or a page may show it: control characters as `\u001b`.

    In JSON that is the same text, so that a whole JSON document may be passed too.
    """
    if isinstance(value, str):
        return _HARMFUL.sub(lambda match: f"\\u{ord(match[0]):04x}", value)  # type: ignore[return-value]
    if isinstance(value, dict):
        return {visible(key): visible(one) for key, one in value.items()}  # type: ignore[return-value]
    return [visible(one) for one in value] if isinstance(value, list) else value  # type: ignore[return-value]


def one_line(text: str) -> str:
    """Return text on one line, visible: whoever reads lines must not count more."""
    return visible(" ".join(text.splitlines()))


def csv_cell(text: str) -> str:
    """Return text as a cell of a CSV file: visible, and with an apostrophe before what a spreadsheet would compute.

    Source: OWASP, CSV Injection. A number keeps its minus sign.
    """
    plain = visible(text)
    return f"'{plain}" if CSV_FORMULA.match(plain) else plain


def csv_row(cells: Iterable[object]) -> list[str]:
    """Return the cells of a row, see `csv_cell`."""
    return [csv_cell(str(cell)) for cell in cells]


def markdown(text: str) -> str:
    """Return text as it stands in Markdown: on one line, with no sign that would be markup."""
    return _MARKDOWN.sub(lambda match: f"\\{match[0]}", one_line(text))
