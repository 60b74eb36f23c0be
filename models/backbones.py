"""Load a backbone with its weights: RGB 0..255 in, preprocessing inside."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras

from bottleneck_features.errors import nearest, quoted
from bottleneck_features.models import hub_models, keras_models, registered_nets
from bottleneck_features.models.errors import UnknownLayer
from bottleneck_features.models.folding import inference_copy
from bottleneck_features.models.loaded import Loaded
from bottleneck_features.models.preprocessing import Preprocessing
from bottleneck_features.models.readings import reading_of, tokens_in
from bottleneck_features.models.recipe import Tokens
from bottleneck_features.models.sources import Source, WeightsIdentity, find_source
from bottleneck_features.models.sources.hub import HubNetwork
from bottleneck_features.models.sources.keras_file import KerasFile
from bottleneck_features.models.sources.registered import Registered
from bottleneck_features.models.tracing import output_of, truncated
from bottleneck_features.models.weights import weights_identity

LAYERS_SHOWN = 3
_LOADERS: dict[type, Callable[..., Loaded]] = {
    Registered: registered_nets.load,
    KerasFile: keras_models.load,
    HubNetwork: hub_models.load,
}


@dataclass(frozen=True)
class Backbone:
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

    def tokens_of(self, layer: str) -> Tokens | None:
        """Return how the tokens lie in a layer's output; None for maps and vectors."""
        shape = self.output_shape(layer)
        return (self.tokens or tokens_in(shape, self.size)) if len(shape) == 3 else None

    def reading(self, layer: str, pooling: str) -> str:
        """Return which of `READINGS` a pooling means for a layer.

        Raises:
            InvalidSetting: if the layer has not what is to be read.
        """
        return reading_of(layer, self.output_shape(layer), pooling, self.tokens_of(layer))

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

    def require_layers(self, names: tuple[str, ...]) -> None:
        """Check that layers exist.

        Raises:
            UnknownLayer: naming the nearest ones.
        """
        for name in names:
            if name not in self.layer_names:
                near = quoted(nearest(name, self.layer_names)[:LAYERS_SHOWN])
                raise UnknownLayer(
                    f"Backbone '{self.name}' has no layer '{name}'. Nearest: {near}. "
                    f"The last ones: {', '.join(self.layer_names[-4:])}. All {len(self.layer_names)}: "
                    f"bottleneck layers {self.name}"
                )


def layer_names(name: str) -> tuple[str, ...]:
    """Return the layers of a backbone, whose weights need not be at hand.

    Args:
        name: a backbone, see `find_source`.

    Raises:
        UnknownBackbone: if there is no such backbone.
        BackboneFileError: if the file is missing, damaged, or not a model of RGB images.
    """
    source = find_source(name)
    model = _loaded(source, source.protocol.size, None, True).model
    return tuple(layer.name for layer in model.layers if not isinstance(layer, keras.layers.InputLayer))


def load_backbone(
    name: str,
    weights: str = "imagenet",
    size: tuple[int, int] = (224, 224),
    seed: int = 0,
    preprocessing: Preprocessing | None = None,
) -> Backbone:
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
    done = source.preprocessing_text(preprocessing)
    with _seeded(seed):
        loaded = _loaded(source, size, preprocessing, identity.source == "random")
    loads = identity.path is not None and (not source.comes_whole or weights not in ("imagenet", "random"))
    if loads:
        assert identity.path is not None
        registered_nets.load_weights(loaded.model, name, identity.path)
    loaded.model.trainable = False
    return Backbone(name, loaded.model, done, identity, size, loaded.tokens, loaded.remade)


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
