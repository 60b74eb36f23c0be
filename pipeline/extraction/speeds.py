"""How fast each cache was extracted, remembered beside the results of stage one."""

import json
from pathlib import Path

from filelock import FileLock

from bottleneck_features.pipeline.results import write_text

SPEEDS, LOCK = "speeds.json", "speeds.lock"


def extraction_speed(folder: Path, key: str) -> float | None:
    """Return the images/s at which a cache was extracted, over all its finished runs; None when it is not known.

    Args:
        folder: the run folder of `features`.
        key: SHA-256 of the cache's identity.
    """
    images, seconds = _speeds(folder).get(key, (0, 0.0))
    return round(images / seconds, 2) if images else None


def remember_speed(folder: Path, key: str, images: int, seconds: float) -> None:
    """Add a finished run to what is known of a cache's speed; runs that end together are all counted."""
    with FileLock(folder / LOCK):
        speeds = _speeds(folder)
        images_before, seconds_before = speeds.get(key, (0, 0.0))
        speeds[key] = (images_before + images, seconds_before + seconds)
        write_text(folder / SPEEDS, json.dumps(speeds, indent=1))


def _speeds(folder: Path) -> dict[str, tuple[int, float]]:
    try:
        return {
            key: (int(n), float(seconds)) for key, (n, seconds) in json.loads((folder / SPEEDS).read_text()).items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
