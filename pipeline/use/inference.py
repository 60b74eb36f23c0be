"""The probabilities that a saved model gives images, by the code that stage one runs on its images."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bottleneck_features.models.rows import mean_over_views
from bottleneck_features.pipeline.evaluation.calibration import with_temperature
from bottleneck_features.pipeline.extraction.networks import experiment_extractor
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
        distances: `(n,)` of the features from those of the training images, divided by the threshold; above 1 an image is
            out-of-distribution. None if the model has no threshold.
    """

    probabilities: np.ndarray
    distances: np.ndarray | None


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
    return _head(model, model.head)


def _head(model: SavedModel, head: SavedHead) -> Inference:
    extractor = experiment_extractor(model.experiment, model.image_shape, head.calibration_images)
    dtype, views = model.experiment.features.dtype, len(model.experiment.input.views)

    def predicted(batches: Iterable[np.ndarray]) -> Iterator[Predicted]:
        for outputs in extractor.map(batches):
            rows = side_by_side([outputs[layer].astype(dtype) for layer in head.recipe["layers"]], views)
            seen = mean_over_views(rows.astype(np.float32), views)
            yield Predicted(head.probabilities(rows, views), head.novelty.ratios(seen))

    return predicted


def _network(network: "keras.Model", temperature: float, batch_size: int) -> Inference:
    def predicted(batches: Iterable[np.ndarray]) -> Iterator[Predicted]:
        for images in batches:
            padded = np.zeros((batch_size, *images.shape[1:]), np.float32)
            padded[: len(images)] = images
            probabilities = network.predict_on_batch(padded)[: len(images)]
            yield Predicted(with_temperature(probabilities, temperature), None)

    return predicted
