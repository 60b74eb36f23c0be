"""The chosen classifier with its recipe in one file, so that other images can be classified later, without the data."""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features.foreign import parsed_json
from bottleneck_features.models.probabilities import with_temperature
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.method_names import FORMER_NAMES
from bottleneck_features.pipeline.methods.classifier import LINEAR_ARRAYS, NEIGHBOUR_ARRAYS, Classifier
from bottleneck_features.pipeline.methods.novelty import Novelty, from_arrays
from bottleneck_features.pipeline.methods.recipe import HeadRecord, require
from bottleneck_features.pipeline.results import write_bytes

HEAD_FORMAT = 3
CALIBRATION = "calibration_images"
_BROKEN = (
    OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError, RecursionError,
    NotImplementedError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class SavedHead:
    """All that is needed to classify images once their features are there.

    Attributes:
        recipe: JSON: `method`, `layers`, `pooling`, `views`, `classes`, `hyperparameters`, `averages`, `temperature`,
            `image_shape`, `cache_identity`, `cache_key`, `experiment`, `data`, `scored_on`, `n`, `accuracy`, `interval`.
        classifier: of the layers of the recipe side by side.
        novelty: detects out-of-distribution images.
        calibration_images: `(n, height, width, 3)` uint8, what an int8 engine was calibrated on; else None.
    """

    recipe: Mapping[str, Any]
    classifier: Classifier
    novelty: Novelty
    calibration_images: np.ndarray | None = None

    def probabilities(self, rows: np.ndarray, views: int = 1) -> np.ndarray:
        """Return `(n, classes)` calibrated probabilities of `(n · views, d)` raw features."""
        return with_temperature(self.classifier.probabilities(rows, views), self.recipe["temperature"])


def save_head(head: SavedHead, path: Path) -> Path:
    """Write a head as `.npz` without pickle, completely or not at all; returns `path`."""
    recipe = {**head.recipe, "format": HEAD_FORMAT, "averages": head.classifier.averages}
    arrays: dict[str, Any] = {**head.classifier.arrays, **head.novelty.arrays()}
    if head.calibration_images is not None:
        arrays[CALIBRATION] = head.calibration_images
    content = io.BytesIO()
    np.savez(content, recipe=np.array(json.dumps(recipe, ensure_ascii=False)), **arrays)
    write_bytes(path, content.getvalue())
    return path


def load_head(path: Path) -> SavedHead:
    """Read a head.

    Args:
        path: of a `head.npz` that `probe` or `train-head` wrote.

    Raises:
        RequestError: there is no such file, or it is not a saved head, or it is truncated, or of another format.
    """
    try:
        _require_stored(path)
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        recipe = parsed_json(str(arrays.pop("recipe")))
    except FileNotFoundError:
        raise RequestError(f"There is no head {str(path)!r}. `bottleneck probe` writes one.") from None
    except _BROKEN as error:
        raise RequestError(
            f"{str(path)!r} is not a head that `bottleneck probe` or `train-head` wrote, or is truncated ({error}). "
            "Write it again."
        ) from None
    if not isinstance(recipe, dict) or recipe.get("format") != HEAD_FORMAT:
        found = recipe.get("format") if isinstance(recipe, dict) else recipe
        raise RequestError(f"{str(path)!r} has format {found!r}, not {HEAD_FORMAT}. Probe or train the head again.")
    return _head(recipe, arrays, path)


def _require_stored(path: Path) -> None:
    """Refuse a file whose arrays would be larger than the file says: none of ours is compressed."""
    with zipfile.ZipFile(path) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("its arrays are compressed")


def _head(recipe: dict[str, Any], arrays: dict[str, np.ndarray], path: Path) -> SavedHead:
    own = {name: array for name, array in arrays.items() if name in LINEAR_ARRAYS | NEIGHBOUR_ARRAYS}
    try:
        require(HeadRecord, recipe)
        classifier = Classifier(own, len(recipe["classes"]), recipe["averages"])
        classifier.require_whole()
        novelty = from_arrays(arrays)
        novelty.require_whole(classifier.features)
    except KeyError as missing:
        raise RequestError(f"The head {str(path)!r} lacks {missing}. Probe or train the head again.") from None
    except (ValueError, TypeError) as error:
        raise RequestError(f"The head {str(path)!r} cannot be used ({error}). Probe or train the head again.") from None
    recipe["method"] = FORMER_NAMES.get(recipe["method"], recipe["method"])
    return SavedHead(recipe, classifier, novelty, arrays.get(CALIBRATION))
