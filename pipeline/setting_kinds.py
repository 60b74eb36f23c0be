"""The kinds of values that settings take, with their bounds, and how values are shown."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

CONFIG = ConfigDict(extra="forbid")
LONGEST_VALUE = 80  # characters of a received value in a message
Images = Annotated[int, Field(ge=0, le=2**31 - 1)]
Pixels = Annotated[int, Field(ge=1, le=2**31 - 1)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Batch = Annotated[int, Field(ge=1, le=65_536)]
Band = Annotated[int, Field(ge=1, le=65_535)]
Rate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
Number = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=4096)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
SMALLEST_SIDE, LARGEST_SIDE = 8, 2048  # pixels
Side = Annotated[int, Field(ge=SMALLEST_SIDE, le=LARGEST_SIDE)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


def shown(value: Any) -> str:
    """Return a received value as messages show it: the beginning of a long one."""
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(text):,} characters)"


def value_text(value: Any) -> str:
    """Return a value as it is typed after `--set section.key=`; in brackets what is not typed."""
    if value is None:
        return "(not given)"
    if value in ("", []):
        return "(empty)"
    if isinstance(value, list):
        return ",".join(map(value_text, value))
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name!r} = {weight}' for name, weight in value.items())}}}"
    return str(value).lower() if isinstance(value, bool) else str(value)
