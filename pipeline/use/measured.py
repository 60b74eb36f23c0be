"""What a trained model answers on labelled images: all probabilities, kept, and a table of them."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bottleneck_features.features import NOWHERE, content_places
from bottleneck_features.features.storage import whole_file
from bottleneck_features.models.probabilities import decide
from bottleneck_features.pipeline.dataset_settings import FILE_SOURCES
from bottleneck_features.pipeline.datasets.dataset import SHA256_BYTES, content_hashes
from bottleneck_features.pipeline.progress import progress
from bottleneck_features.pipeline.use.inference import Inference
from bottleneck_features.pipeline.use.labelled import Labelled
from bottleneck_features.pipeline.use.prediction import DECIMALS, FALSE_ALARMS, rounded
from bottleneck_features.pipeline.use.saved_model import SavedModel
from bottleneck_features.plain import csv_row

COLUMNS = ("file", "label", "prediction", "correct", "group", "split", "trained_on", "unlike", "distance")
_WORDS = {True: "yes", False: "no"}


@dataclass(frozen=True)
class Measured:
    """The answers of a model for `n` images.

    Attributes:
        probabilities: `(n, classes)` float64, calibrated.
        predicted: `(n,)` the classes answered, at the model's threshold.
        distances: `(n,)` from the training images, divided by the threshold at FALSE_ALARMS; None where there is none.
        pixels: `(n, 32)` uint8, content hashes of the images as the model takes them.
    """

    probabilities: np.ndarray
    predicted: np.ndarray
    distances: np.ndarray | None
    pixels: np.ndarray


def measure(model: SavedModel, run: Inference, labelled: Labelled) -> Measured:
    """Run a model over images, a batch at a time.

    Args:
        model: the model.
        run: from `inference`.
        labelled: the images.
    """
    n = len(labelled)
    probabilities, pixels = np.empty((n, len(model.classes))), np.empty((n, SHA256_BYTES), np.uint8)
    distances, done, hashed = np.empty(n), 0, 0

    def images() -> Iterator[np.ndarray]:
        nonlocal hashed
        for batch in labelled.batches(model.resizing, model.experiment.compute.batch_size):
            pixels[hashed : hashed + len(batch)] = content_hashes(batch)
            hashed += len(batch)
            yield batch

    farthest, has_distances = model.distance_threshold(FALSE_ALARMS), False
    with progress(total=n, unit="image", desc="evaluate") as bar:
        for predicted in run(images()):
            found = predicted.relative_to(farthest)
            part = slice(done, done + len(found.probabilities))
            probabilities[part] = found.probabilities
            has_distances = found.distances is not None
            if found.distances is not None:
                distances[part] = found.distances
            done = part.stop
            bar.update(len(found.probabilities))
    return Measured(probabilities, decide(probabilities, model.threshold), distances if has_distances else None, pixels)


def trained_on(
    model: SavedModel, labelled: Labelled, measured: Measured, learned: np.ndarray | None
) -> np.ndarray | None:
    """Return a mask of the images that a model was trained on or chosen by, by their content.

    Images of arrays are told by their pixels, those of files by their bytes: a file that was saved anew is another one.

    Args:
        model: the model.
        labelled: `n` images.
        measured: its answers for them.
        learned: from `training_contents`.

    Returns:
        `(n,)` bool; None where it cannot be known.
    """
    if learned is None:
        return None
    by_bytes = model.experiment.dataset.source in FILE_SOURCES
    if by_bytes and labelled.dataset.origin(labelled.parts[0].split, 0) is None:
        return None
    return content_places(labelled.contents() if by_bytes else measured.pixels, learned) != NOWHERE


def write_table(model: SavedModel, labelled: Labelled, measured: Measured, seen: np.ndarray | None, path: Path) -> Path:
    """Write the answer for every image as CSV, completely or not at all; returns `path`.

    Args:
        model: the model.
        labelled: the images.
        measured: its answers for them.
        seen: from `trained_on`.
        path: of the file.
    """
    with whole_file(path) as file:
        stream = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(csv_row((*COLUMNS, *(f"probability_{name}" for name in model.classes))))
        for row, (name, split, group) in enumerate(labelled.names()):
            label, answer = int(labelled.labels[row]), int(measured.predicted[row])
            distance = None if measured.distances is None else float(measured.distances[row])
            writer.writerow(
                csv_row(
                    (
                        name,
                        model.classes[label],
                        model.classes[answer],
                        _WORDS[label == answer],
                        group,
                        split,
                        "" if seen is None else _WORDS[bool(seen[row])],
                        "" if distance is None else _WORDS[distance > 1],
                        "" if distance is None else f"{rounded(distance):.4f}",
                        *(f"{value:.{DECIMALS}f}" for value in measured.probabilities[row]),
                    )
                )
            )
        stream.detach()
    return path
