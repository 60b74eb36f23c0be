"""How fast features of a recipe are computed, remembered over all runs in a home."""

import json
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import Field, TypeAdapter

from bottleneck_features.foreign import read_json
from bottleneck_features.pipeline.results import write_text

SPEEDS, SPEEDS_LOCK = "speeds.json", "speeds.lock"
_SPEED_TABLE = TypeAdapter(
    dict[str, tuple[Annotated[int, Field(ge=0, lt=1 << 62)], Annotated[float, Field(gt=0, lt=1e18)]]]
)


def extraction_speed(home: Path, recipe_key: str) -> float | None:
    """Return the images/s at which features of a recipe were computed, over all runs in a home; None when it is not known.

    Args:
        home: the artifacts folder.
        recipe_key: SHA-256 of the recipe.
    """
    images, seconds = _speeds(home).get(recipe_key, (0, 0.0))
    return round(images / seconds, 2) if images else None


def remember_speed(home: Path, recipe_key: str, images: int, seconds: float, batch_size: int) -> None:
    """Add a finished run to the speed of a recipe; runs that end at the same time are all counted.

    A run of less than a batch takes as long as one of a batch: it counts only while nothing else is known.

    Args:
        home: the artifacts folder.
        recipe_key: SHA-256 of the recipe.
        images: that the run computed.
        seconds: that this took.
        batch_size: images a batch.
    """
    if not images:
        return
    with FileLock(home / SPEEDS_LOCK):
        speeds = _speeds(home)
        if images < batch_size and recipe_key in speeds:
            return
        images_before, seconds_before = speeds.get(recipe_key, (0, 0.0))
        speeds[recipe_key] = (images_before + images, seconds_before + seconds)
        write_text(home / SPEEDS, json.dumps(speeds, indent=1))


def _speeds(home: Path) -> dict[str, tuple[int, float]]:
    try:
        return _SPEED_TABLE.validate_python(read_json(home / SPEEDS))
    except (OSError, ValueError):
        return {}
