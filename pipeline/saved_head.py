"""The chosen classifier as plain arrays with its recipe, so that other images can be classified later."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.neighbours import nearest_labels, vote_shares
from models.parallel import workers
from pipeline.errors import RequestError

FORMAT = 1
LINEAR = {"coefficients", "intercept"}
NEIGHBOURS = {"mean", "scale", "rows", "labels", "k"}


@dataclass(frozen=True)
class SavedHead:
    """A classifier of raw features, the layers of the recipe side by side.

    Attributes:
        recipe: JSON: `method`, `layers`, `pooling`, `views`, `classes`, `hyperparameters`, `cache_identity`, `cache_key`,
            `accuracy`, `interval`, `n`.
        arrays: `coefficients` (classes, d) and `intercept` (classes,); or, of neighbours, `mean` and `scale` (d,),
            standardised `rows` (n, d), `labels` (n,) and `k`.
    """

    recipe: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Return `(n, classes)` scores of `(n, d)` raw features: the largest is the predicted class."""
        if "coefficients" in self.arrays:
            return rows.astype(np.float64) @ self.arrays["coefficients"].T + self.arrays["intercept"]
        queries = ((rows - self.arrays["mean"]) / self.arrays["scale"]).astype(np.float32)
        known, k = self.arrays["rows"].astype(np.float32), int(self.arrays["k"])
        with workers() as team:
            found = nearest_labels(queries, known, self.arrays["labels"], k, team)
        return vote_shares(found, len(self.recipe["classes"]))


def save_head(head: SavedHead, path: Path) -> Path:
    """Write a head as `.npz` without pickle, whole or not at all; returns `path`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    recipe = np.array(json.dumps({"format": FORMAT, **head.recipe}, ensure_ascii=False))
    arrays: dict[str, Any] = {"recipe": recipe, **head.arrays}
    with temporary.open("wb") as file:
        np.savez(file, **arrays)
    temporary.replace(path)
    return path


def load_head(path: Path) -> SavedHead:
    """Read a head.

    Args:
        path: of a `head.npz` that `probe` wrote.

    Raises:
        RequestError: there is no such file, or it is none of ours.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files if name != "recipe"}
            recipe = json.loads(str(content["recipe"]))
    except FileNotFoundError:
        raise RequestError(f"There is no head {str(path)!r}. `bottleneck probe` writes one.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{str(path)!r} is not a head that `bottleneck probe` wrote ({error}).") from None
    if recipe.get("format") != FORMAT or set(arrays) not in (LINEAR, NEIGHBOURS):
        raise RequestError(f"{str(path)!r} has another format than {FORMAT}: {recipe.get('format')!r}. Probe again.")
    return SavedHead(recipe, arrays)
