"""Load a backbone with its weights: RGB 0..255 in, preprocessing inside."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from bottleneck_features.models import hub_models, keras_models, registered_nets
from bottleneck_features.models.folding import inference_copy
from bottleneck_features.models.keras_costs import gflop_per_image, layer_gflop
from bottleneck_features.models.layered import Layered
from bottleneck_features.models.loaded import Loaded
from bottleneck_features.models.preprocessing import Preprocessing
from bottleneck_features.models.recipe import Recipe, Tokens
from bottleneck_features.models.sources import Source, WeightsIdentity, find_source
from bottleneck_features.models.sources.hub import HubNetwork
from bottleneck_features.models.sources.keras_file import KerasFile
from bottleneck_features.models.sources.registered import Registered
from bottleneck_features.models.sources.runtime_file import RuntimeFile
from bottleneck_features.models.tracing import before_weights, output_of, trace, truncated
from bottleneck_features.models.weights import require_trainable, weights_identity

if TYPE_CHECKING:
    import openvino

    from bottleneck_features.models.runtime_backbone import RuntimeBackbone

_LOADERS: dict[type, Callable[..., Loaded]] = {
    Registered: registered_nets.load,
    KerasFile: keras_models.load,
    HubNetwork: hub_models.load,
}


@dataclass(frozen=True)
class Backbone(Layered):
    """A network and where it comes from.

    Attributes:
        name: as asked for.
        model: takes float32 RGB 0..255, `(n, *size, 3)`; its own preprocessing comes first.
        preprocessing: what that preprocessing is, for the key.
        weights: which weights it has.
        size: height and width of its images.
        tokens: how the tokens of a transformer lie; None where there are none, or their number has to tell.
        remade: see `Loaded`.
    """

    name: str
    model: keras.Model
    preprocessing: str
    weights: WeightsIdentity
    size: tuple[int, int]
    tokens: Tokens | None = None
    remade: Callable[[str], keras.Model] | None = None

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Every layer with an output to take, in order."""
        return tuple(layer.name for layer in self.model.layers if not isinstance(layer, keras.layers.InputLayer))

    def output_shape(self, layer: str) -> tuple[int | None, ...]:
        """Return the shape of a layer's output, with the first axis."""
        return tuple(output_of(self.model, layer).shape)

    def in_precision(self, layers: tuple[str, ...], dtype: str) -> keras.Model:
        """Return a copy of the part that layers need, with their outputs in order, that computes in a type.

        Args:
            layers: their names.
            dtype: `"float32"`, `"bfloat16"` or `"float16"`; preprocessing stays in float32.
        """
        if self.remade is None:
            return inference_copy(truncated(self.model, layers), dtype)
        made = self.remade(dtype)
        made.set_weights(self.model.get_weights())
        return truncated(made, layers)

    def converted(self, recipe: Recipe, precision: str, calibration: np.ndarray | None = None) -> openvino.Model:
        """Return the network with a recipe round it; arguments and errors as for `engines.conversion.converted`."""
        from bottleneck_features.models.engines.conversion import converted

        return converted(truncated(self.model, recipe.layers), recipe, precision, calibration)

    @property
    def reference_name(self) -> str:
        """What computes the reference."""
        return "float32 Keras"

    @property
    def surest(self) -> str:
        """What to do where an engine disagrees with it."""
        return "--set compute.engine=tensorflow --set compute.precision=float32 works."

    def reference(self, recipe: Recipe, images: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the features of images by the untouched float32 model."""
        outputs = trace(truncated(self.model, recipe.layers), recipe, len(images))(tf.constant(images))
        return {layer: outputs[f"out{i}"].numpy() for i, layer in enumerate(recipe.layers)}

    def first_input(self, images: np.ndarray) -> np.ndarray:
        """Return what reaches the first layer with weights that does not standardise itself."""
        return before_weights(self.model, images)

    def gflop_per_image(self, recipe: Recipe) -> float:
        """Count the multiply-adds for one image, each as two, in 1e9."""
        return gflop_per_image(truncated(self.model, recipe.layers), len(recipe.views))

    def layer_gflop(self) -> dict[str, float]:
        """Return by layer what it and all that it needs cost for one image, as `gflop_per_image` counts."""
        return layer_gflop(self.model)


def layer_names(name: str) -> tuple[str, ...]:
    """Return the layers of a backbone, whose weights need not be at hand.

    Args:
        name: a backbone, see `find_source`.

    Raises:
        UnknownBackbone: if there is no such backbone.
        BackboneFileError: if the file is missing, damaged, or not a model of RGB images.
    """
    source = find_source(name)
    if isinstance(source, RuntimeFile):
        return source.layer_names
    model = _loaded(source, source.protocol.size, None, True).model
    return tuple(layer.name for layer in model.layers if not isinstance(layer, keras.layers.InputLayer))


def load_backbone(
    name: str,
    weights: str = "imagenet",
    size: tuple[int, int] = (224, 224),
    seed: int = 0,
    preprocessing: Preprocessing | None = None,
) -> Backbone | RuntimeBackbone:
    """Build a backbone and load its weights.

    Args:
        name: a backbone, see `find_source`.
        weights: `"imagenet"` (those that its publisher ships; of a file or folder its own), `"random"` or a weights file (`.h5`,
            `.weights.h5`, `.keras`; `.pth` and `.safetensors` for efficientnet-lite0 and torchvision's networks).
        size: height and width the network is to see.
        seed: seed of random weights.
        preprocessing: of RGB 0..255, for files that say nothing of it; None: the network's own.

    Returns:
        The backbone, without its classifier where Keras offers that.

    Raises:
        ModelError: if the backbone, its weights or the size cannot be had; the message says what to do.
    """
    source = find_source(name)
    identity = weights_identity(name, weights, seed)
    if isinstance(source, RuntimeFile):
        from bottleneck_features.models.runtime_backbone import load_runtime_backbone

        return load_runtime_backbone(source, identity, size, preprocessing)
    return _keras_backbone(source, weights, identity, size, seed, preprocessing)


def load_keras_backbone(
    name: str,
    weights: str = "imagenet",
    size: tuple[int, int] = (224, 224),
    seed: int = 0,
    preprocessing: Preprocessing | None = None,
) -> Backbone:
    """Load a backbone that is to be trained on, or exported; arguments as for `load_backbone`.

    Raises:
        InvalidSetting: if it cannot be: it is a file that OpenVINO runs as it is.
        ModelError: see `load_backbone`.
    """
    require_trainable(name)
    found = load_backbone(name, weights, size, seed, preprocessing)
    assert isinstance(found, Backbone)
    return found


def _keras_backbone(
    source: Source,
    weights: str,
    identity: WeightsIdentity,
    size: tuple[int, int],
    seed: int,
    preprocessing: Preprocessing | None,
) -> Backbone:
    done = source.preprocessing_text(preprocessing)
    with _seeded(seed):
        loaded = _loaded(source, size, preprocessing, identity.source == "random")
    loads = identity.path is not None and (not source.comes_whole or weights not in ("imagenet", "random"))
    if loads:
        assert identity.path is not None
        registered_nets.load_weights(loaded.model, source.name, identity.path)
    loaded.model.trainable = False
    return Backbone(source.name, loaded.model, done, identity, size, loaded.tokens, loaded.remade)


def _loaded(source: Source, size: tuple[int, int], preprocessing: Preprocessing | None, fresh: bool) -> Loaded:
    return _LOADERS[type(source)](source, size, preprocessing, fresh)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed Python's generator, from which Keras draws the seeds of unseeded initializers; it is put back afterwards."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
