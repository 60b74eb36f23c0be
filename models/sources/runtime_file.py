"""A network in an ONNX file, or in OpenVINO's own `.xml` file with its `.bin`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bottleneck_features.models.downloads import file_digest
from bottleneck_features.models.errors import BackboneFileError, InvalidSetting
from bottleneck_features.models.onnx_files import external_files
from bottleneck_features.models.preprocessing import Preprocessing, Protocol
from bottleneck_features.models.runtime_networks import (
    ImageInput,
    first_output,
    image_input,
    layers_of,
    operations,
    read_network,
    sized,
)
from bottleneck_features.models.sources.source import ModelFile, WeightsIdentity

SUFFIXES = (".onnx", ".xml")
INSIDE = "inside the model file"
LAYERS_TOLD = 4
USUAL = (224, 224)  # of networks that take any size


@dataclass(frozen=True)
class RuntimeFile(ModelFile):
    """A file that OpenVINO runs as it is; see `Source`."""

    stated_protocol = None
    comes_whole = True
    engine = "openvino"

    @property
    def trainable(self) -> str:
        """Why it cannot be trained on: it is a finished graph."""
        return (
            f"'{self.name}' is a finished graph that OpenVINO runs as it is: it cannot be trained on, nor exported in other "
            "formats. For that, name a registered network, a KerasHub preset or a .keras file."
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """The file and those in which the rest of its weights lie.

        Raises:
            BackboneFileError: if one of them is missing, or it is damaged.
            UnsafeFile: if it leads to files elsewhere, or would fill the memory.
        """
        if self.path.suffix == ".onnx":
            return (self.path, *external_files(self.path))
        weights = self.path.with_suffix(".bin")
        if not weights.is_file():
            raise BackboneFileError(
                f"'{self.path}' has no weights: put '{weights.name}' beside it. OpenVINO writes a network into both."
            )
        return self.path, weights

    @property
    def protocol(self) -> Protocol:
        """That of ImageNet, at the size that the file has fixed."""
        height, width = self.input.size
        return Protocol((height or USUAL[0], width or USUAL[1]))

    @property
    def input(self) -> ImageInput:
        """Its one input, of images."""
        return self._known.input

    @property
    def _known(self) -> _Known:
        if not self.path.is_file():
            raise BackboneFileError(f"There is no file '{self.name}'. Set backbone.name to a file that exists.")
        return _looked_at(self.path, _state(self.files))

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Every layer with an output to take, in order.

        Raises:
            BackboneFileError: if it takes no images of its protocol's size.
        """
        return tuple(layers_of(sized(read_network(self.path), self.input, self.protocol.size, self.path), self.input))

    def own_weights(self) -> WeightsIdentity:
        """Return the identity of all its files."""
        digests = [file_digest(path) for path in self.files]
        digest = digests[0] if len(digests) == 1 else hashlib.sha256(json.dumps(digests).encode()).hexdigest()
        return WeightsIdentity("file", digest, self.path, "")

    def architecture(self) -> str:
        """Refuse: there are no random weights for it."""
        raise self._other_weights("random")

    def file_weights(self, path: Path) -> WeightsIdentity:
        """Refuse: its weights are its own."""
        raise self._other_weights(str(path))

    def preprocessing_text(self, asked: Preprocessing | None) -> str:
        """Return what was asked for; else it is inside, which is looked at when the network is loaded."""
        return INSIDE if asked is None else asked.text

    def last_layer(self, poolings: Sequence[str]) -> str:
        """Return the layer of its first output."""
        known = self._known
        if not known.first_output:
            raise BackboneFileError(
                f"The first output of '{self.name}' is no vector, map or tokens of each image: set backbone.layers. "
                f"The last ones: {', '.join(known.last_operations)}. All: bottleneck layers {self.name}"
            )
        return known.first_output

    def reading(self, layer: str, pooling: str) -> str:
        """Return the reading as it is: the shapes of its layers tell what `auto` means."""
        return pooling

    def _other_weights(self, weights: str) -> InvalidSetting:
        return InvalidSetting(
            f"'{self.name}' has its own weights inside and takes no others: leave backbone.weights at 'imagenet'. "
            f"Received: weights='{weights}'."
        )


def _state(files: Sequence[Path]) -> tuple[tuple[int, int], ...]:
    return tuple((file.stat().st_size, file.stat().st_mtime_ns) for file in files)


@dataclass(frozen=True)
class _Known:
    """What is known of a file before the size of its images is."""

    input: ImageInput
    first_output: str
    last_operations: tuple[str, ...]


@lru_cache(maxsize=8)
def _looked_at(path: Path, state: tuple[tuple[int, int], ...]) -> _Known:
    """Look at a network; read once as long as its files stay as they are."""
    network = read_network(path)
    return _Known(image_input(network, path), first_output(network), tuple(operations(network))[-LAYERS_TOLD:])
