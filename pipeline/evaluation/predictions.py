"""The predictions of methods for each image they were scored on, kept beside result.json."""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features.pipeline.datasets.dataset import Samples
from bottleneck_features.pipeline.results import write_bytes

PREDICTIONS_FILE = "predictions.npz"
LARGEST = 1 << 32  # bytes of the arrays of a file


@dataclass(frozen=True)
class Predictions:
    """The predictions of several methods for the same images.

    Attributes:
        split: the images' split in the data set.
        ids: `(n,)` text.
        labels: `(n,)` true classes.
        predicted: `(n,)` classes by the method's name.
        confidence: `(n,)` float32, 0..1, the calibrated probability of the class that was answered, by the method's name.
    """

    split: str
    ids: np.ndarray
    labels: np.ndarray
    predicted: Mapping[str, np.ndarray]
    confidence: Mapping[str, np.ndarray]

    def are_of(self, samples: Samples | None, classes: int) -> bool:
        """Return whether these are predictions for some of the samples of a split, by ids, labels and the number of classes."""
        if samples is None or not np.isin(self.ids, known := np.array(samples.ids.tolist(), np.str_)).all():
            return False
        labels = samples.labels[self.positions(np.arange(len(self.ids)), known)]
        answers = self.predicted.values()
        return bool((labels == self.labels).all()) and all(((own >= 0) & (own < classes)).all() for own in answers)

    def _require_whole(self) -> None:
        """Check that the arrays fit together, as those of a file may not; a `ValueError` says what does not."""
        n = len(self.ids)
        if self.ids.dtype.kind != "U" or self.ids.ndim != 1 or not n or len(np.unique(self.ids)) < n:
            raise ValueError("its ids are no different texts")
        if not self.predicted:
            raise ValueError("it has no method")
        if any(own.shape != (n,) or own.dtype.kind not in "iu" for own in (self.labels, *self.predicted.values())):
            raise ValueError("its labels or predicted classes are no whole numbers, one per image")
        if any(own.shape != (n,) or own.dtype.kind != "f" for own in self.confidence.values()):
            raise ValueError("its confidences are no numbers, one per image")
        if not all(((own >= 0) & (own <= 1 + 1e-6)).all() for own in self.confidence.values()):
            raise ValueError("its confidences are not within 0..1")

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
    """Read the predictions of a result; None if they are missing, damaged, or belong to another result.

    Args:
        result: a result object.
        folder: where its result.json lies.
    """
    try:
        content = (folder / PREDICTIONS_FILE).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != result.get("predictions", {}).get("sha256"):
        return None
    try:
        found = _parsed(content)
        found._require_whole()
    except Exception:  # a damaged file can raise anything
        return None
    return found


def _parsed(content: bytes) -> Predictions:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > LARGEST:
            raise ValueError("its arrays are too large")
    with np.load(io.BytesIO(content), allow_pickle=False) as columns:
        methods = [name.removeprefix("predicted/") for name in columns.files if name.startswith("predicted/")]
        return Predictions(
            str(columns["split"]),
            columns["ids"],
            columns["labels"],
            {name: columns[f"predicted/{name}"] for name in methods},
            {name: columns[f"confidence/{name}"] for name in methods},
        )
