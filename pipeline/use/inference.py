"""The probabilities that a saved model gives images, by the code that stage one runs on its images."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bottleneck_features import models
from bottleneck_features.models.probabilities import with_temperature
from bottleneck_features.models.rows import mean_over_views
from bottleneck_features.pipeline.extraction.identity import recipe_key_of
from bottleneck_features.pipeline.extraction.networks import WantedNetwork, build_network, experiment_extractor
from bottleneck_features.pipeline.methods.layer_rows import side_by_side
from bottleneck_features.pipeline.methods.saved_head import SavedHead
from bottleneck_features.pipeline.use.saved_model import SavedModel

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Predicted:
    """The predictions for a batch.

    Attributes:
        probabilities: `(n, classes)` float64, calibrated.
        distances: `(n,)` float32, of the features from those of images that the model has seen, see `Novelty`. None if it
            keeps none.
    """

    probabilities: np.ndarray
    distances: np.ndarray | None

    def relative_to(self, threshold: float | None) -> "Predicted":
        """Return the same with distances divided by a threshold; without one there are no distances."""
        if threshold is None or self.distances is None:
            return replace(self, distances=None)
        return replace(self, distances=self.distances / np.float64(threshold))


Inference = Callable[[Iterable[np.ndarray]], Iterator[Predicted]]


def inference(model: SavedModel) -> Inference:
    """Compile a model.

    Args:
        model: from `open_model`.

    Returns:
        What turns batches of uint8 images `(n, *image_shape)`, n ≤ compute.batch_size, into a `Predicted` each, in order.
    """
    if model.head is None:
        assert model.network is not None
        return _network(model.network, model.known["temperature"], model.experiment.compute.batch_size)
    return _head(_extractor(model, model.head), model.head, model.experiment.features.dtype)


def _extractor(model: SavedModel, head: SavedHead) -> models.Extractor:
    """Open the network that was kept, or build it; it is kept in the home where it computes as in training."""
    experiment, identity = model.experiment, head.recipe["cache_identity"]
    if model.kept and model.kept.serves(experiment):
        return model.kept.open(experiment)
    compute = experiment.compute
    if any(identity[f"compute.{key}"] != getattr(compute, key) for key in ("engine", "precision", "batch_size")):
        return experiment_extractor(experiment, model.image_shape, head.calibration_images)
    key = recipe_key_of(identity)
    return build_network(WantedNetwork(experiment, model.image_shape, model.home, key, head.calibration_images))


def _head(extractor: models.Extractor, head: SavedHead, dtype: str) -> Inference:
    def predicted(batches: Iterable[np.ndarray]) -> Iterator[Predicted]:
        for outputs in extractor.map(batches):
            yield predicted_from(outputs, head, dtype)

    return predicted


def predicted_from(outputs: Mapping[str, np.ndarray], head: SavedHead, dtype: str) -> Predicted:
    """Return the predictions of a head.

    Args:
        outputs: of an extractor, for a batch.
        head: of some of its layers.
        dtype: of the features in the cache.
    """
    views = len(head.recipe["views"])
    rows = side_by_side([outputs[layer].astype(dtype) for layer in head.recipe["layers"]], views)
    seen = mean_over_views(rows.astype(np.float32), views)
    return Predicted(head.probabilities(rows, views), head.novelty.distances(seen))


def _network(network: "keras.Model", temperature: float, batch_size: int) -> Inference:
    def predicted(batches: Iterable[np.ndarray]) -> Iterator[Predicted]:
        for images in batches:
            padded = np.zeros((batch_size, *images.shape[1:]), np.float32)
            padded[: len(images)] = images
            probabilities = network.predict_on_batch(padded)[: len(images)]
            yield Predicted(with_temperature(probabilities, temperature), None)

    return predicted
