"""The predictions of methods for each image they were scored on, kept beside result.json."""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features.pipeline.results import write_bytes

PREDICTIONS_FILE = "predictions.npz"


@dataclass(frozen=True)
class Predictions:
    """The predictions of several methods for the same images.

    Attributes:
        split: the images' split in the data set.
        ids: `(n,)` text.
        labels: `(n,)` true classes.
        predicted: `(n,)` classes by the method's name.
        confidence: `(n,)` float32, the largest class probability, 0..1, by the method's name.
    """

    split: str
    ids: np.ndarray
    labels: np.ndarray
    predicted: Mapping[str, np.ndarray]
    confidence: Mapping[str, np.ndarray]

    def positions(self, rows: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Return where the images of some rows lie in their split, whose `(n,)` ids are given."""
        known = {one: position for position, one in enumerate(ids.tolist())}
        return np.array([known[one] for one in self.ids[rows].tolist()])


def save_predictions(predictions: Predictions, folder: Path) -> dict[str, str]:
    """Write `predictions.npz` without pickle, completely or not at all.

    Returns:
        The entry `predictions` of result.json: `file` and `sha256`.
    """
    ids = np.array(predictions.ids.tolist(), np.str_)  # NumPy writes strings of variable length by pickle only
    columns = {"split": np.array(predictions.split), "ids": ids, "labels": predictions.labels}
    columns |= {f"predicted/{name}": column.astype(np.int32) for name, column in predictions.predicted.items()}
    columns |= {f"confidence/{name}": column.astype(np.float32) for name, column in predictions.confidence.items()}
    content = io.BytesIO()
    np.savez_compressed(content, **columns)  # type: ignore[arg-type]
    write_bytes(folder / PREDICTIONS_FILE, content.getvalue())
    return {"file": PREDICTIONS_FILE, "sha256": hashlib.sha256(content.getvalue()).hexdigest()}


def load_predictions(result: Mapping[str, Any], folder: Path) -> Predictions | None:
    """Read the predictions of a result; None if they are missing or belong to another result.

    Args:
        result: a result object.
        folder: where its result.json lies.
    """
    try:
        content = (folder / PREDICTIONS_FILE).read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.sha256(content).hexdigest() != result.get("predictions", {}).get("sha256"):
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as columns:
        methods = [name.removeprefix("predicted/") for name in columns.files if name.startswith("predicted/")]
        return Predictions(
            str(columns["split"]),
            columns["ids"],
            columns["labels"],
            {name: columns[f"predicted/{name}"] for name in methods},
            {name: columns[f"confidence/{name}"] for name in methods},
        )
