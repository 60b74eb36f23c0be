"""Rows as a pandas DataFrame, where pandas is installed."""

from collections.abc import Mapping, Sequence
from typing import Any


def frame_of(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return rows as a DataFrame, or as they are where pandas is not installed."""
    try:
        import pandas as pd
    except ImportError:
        return [dict(row) for row in rows]
    return pd.DataFrame(list(rows))
