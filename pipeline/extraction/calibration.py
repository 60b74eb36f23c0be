"""The images that an int8 network is calibrated on: drawn once for an experiment, its data and a recipe, then kept."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features import features
from bottleneck_features.features.storage import make_folder, publish_new
from bottleneck_features.features.store import Store
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.paths import local_path
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.identity import settings_identity

CALIBRATIONS = "calibrations"
_SEED = 0


def calibration_images(experiment: Experiment, dataset: Dataset, home: Path) -> np.ndarray | None:
    """Return the `compute.calibration` training images an int8 engine is calibrated on.

    Args:
        experiment: the experiment.
        dataset: its open data set.
        home: the artifacts folder.

    Returns:
        uint8 `(n, height, width, 3)`: those that were kept, else those that would be drawn now; None for other precisions.

    Raises:
        PipelineError: what was kept cannot be read.
    """
    if settings_identity(experiment)["compute.precision"] != "int8":
        return None
    kept = kept_calibration(experiment, dataset.identity, dataset.image_shape, home)
    return _drawn(experiment, dataset) if kept is None else kept


def kept_calibration(
    experiment: Experiment, pixels: Mapping[str, Any], image_shape: tuple[int, int, int], home: Path
) -> np.ndarray | None:
    """Return the calibration images that were kept for an int8 experiment; None where none were.

    Args:
        experiment: the experiment.
        pixels: the `identity` of its data set.
        image_shape: that of its images.
        home: the artifacts folder.

    Raises:
        PipelineError: what was kept cannot be read.
    """
    path = _path(experiment, pixels, image_shape, home)
    try:
        return _read(path.read_bytes(), image_shape)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"The calibration images in {path} cannot be used ({error}). Remove the file: they are drawn again, and int8 "
            "features are extracted again."
        ) from error


def keep_calibration(experiment: Experiment, dataset: Dataset, home: Path) -> None:
    """Keep the calibration images of an int8 experiment, so that data which grow are computed by the same network.

    With an object store (`features.store`) the images in it count, for all machines.

    Raises:
        features.CacheError: the file cannot be written, or the store does not answer.
    """
    if settings_identity(experiment)["compute.precision"] != "int8":
        return
    path = _path(experiment, dataset.identity, dataset.image_shape, home)
    if path.exists():
        return
    stream = io.BytesIO()
    np.save(stream, _drawn(experiment, dataset))
    content = stream.getvalue()
    if experiment.features.store:
        store = Store(experiment.features.store)
        name = f"{CALIBRATIONS}/{path.name}"
        store.put_new(name, content)
        content = store.get(name) or content
    make_folder(path.parent)
    publish_new(path, content)


def _drawn(experiment: Experiment, dataset: Dataset) -> np.ndarray:
    order = np.random.default_rng(_SEED).permutation(len(dataset.splits["train"]))
    return dataset.images("train", np.sort(order[: experiment.compute.calibration]))


def _path(experiment: Experiment, pixels: Mapping[str, Any], image_shape: tuple[int, int, int], home: Path) -> Path:
    """Return where the images are kept; other data, and another draw of the test split, have calibration images of their own."""
    settings, data = settings_identity(experiment), experiment.dataset
    place = data.path if not data.path or features.is_url(data.path) else str(local_path(data.path).resolve())
    whose = {"source": data.source, "place": place, "split": [data.split_seed, data.test_fraction, data.group]}
    recipe = {**settings, **pixels, "images": experiment.compute.calibration, "shape": image_shape}
    return features.cache_path(home / CALIBRATIONS, experiment.name, {**recipe, **whose}).with_suffix(".npy")


def _read(content: bytes, image_shape: tuple[int, int, int]) -> np.ndarray:
    images: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    if images.dtype != np.uint8 or images.shape[1:] != image_shape or not len(images):
        raise ValueError(f"{images.dtype} of shape {images.shape}")
    return images
