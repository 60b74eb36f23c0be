"""What `bottleneck cache …` shows of the caches."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import features
from pipeline.cache import cache_root


def list_rows(home: Path) -> list[dict[str, Any]]:
    """Return one dictionary of plain values a cache, for a table or JSON."""
    return [_row(info) for info in features.list_caches(cache_root(home))]


def _row(info: features.CacheInfo) -> dict[str, Any]:
    if info.problem:
        return {"cache": info.path.name, "state": "unreadable", "problem": info.problem}
    return {
        "cache": info.path.name,
        "experiment": info.experiment,
        "backbone": info.backbone,
        "layers": ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in (info.shapes or {}).items()),
        "dtype": info.dtype,
        "images": info.images,
        "MiB": round(info.bytes / 2**20, 1),
        "age": _age(info.created),
        "state": "complete" if info.complete else f"{info.done_images:,} of {info.images:,} images",
        "problem": "",
    }


def _age(created: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
