"""The images that an int8 network is calibrated on: drawn once for an experiment, its data and a recipe, then kept."""

import io
from pathlib import Path

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
    path = _path(experiment, dataset, home)
    if path is None:
        return None
    try:
        return _read(path.read_bytes(), dataset)
    except FileNotFoundError:
        return _drawn(experiment, dataset)
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
    path = _path(experiment, dataset, home)
    if path is None or path.exists():
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


def _path(experiment: Experiment, dataset: Dataset, home: Path) -> Path | None:
    """Return where the images are kept; other data, and another draw of the test split, have calibration images of their own."""
    settings, data = settings_identity(experiment), experiment.dataset
    if settings["compute.precision"] != "int8":
        return None
    place = data.path if not data.path or features.is_url(data.path) else str(local_path(data.path).resolve())
    whose = {"source": data.source, "place": place, "split": [data.split_seed, data.test_fraction, data.group]}
    recipe = {**settings, **dataset.identity, "images": experiment.compute.calibration, "shape": dataset.image_shape}
    return features.cache_path(home / CALIBRATIONS, experiment.name, {**recipe, **whose}).with_suffix(".npy")


def _read(content: bytes, dataset: Dataset) -> np.ndarray:
    images: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    if images.dtype != np.uint8 or images.shape[1:] != dataset.image_shape or not len(images):
        raise ValueError(f"{images.dtype} of shape {images.shape}")
    return images
