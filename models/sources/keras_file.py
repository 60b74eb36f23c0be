"""A whole Keras model in a `.keras` or `.h5` file."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from bottleneck_features.models.downloads import file_digest
from bottleneck_features.models.errors import BackboneFileError
from bottleneck_features.models.preprocessing import Preprocessing, Protocol
from bottleneck_features.models.sources.source import ModelFile, WeightsIdentity

SUFFIXES = (".keras", ".h5")
CONFIG = "config.json"  # of a .keras archive
RANK, RGB = 4, 3  # axes of a batch of images, and its channels
PROBABILITIES = ("softmax", "sigmoid")
BEHIND_FEATURES = ("Dense", "Dropout", "Activation", "Softmax", "Sigmoid")  # from there on layers are of the classes
INSIDE = "inside the model file"


@dataclass(frozen=True)
class KerasFile(ModelFile):
    """A model file; see `Source`."""

    trainable = ""
    stated_protocol = None
    comes_whole = True

    @property
    def protocol(self) -> Protocol:
        """ImageNet's, at the size that the model is for where it is for one: the file says no more."""
        try:
            layers = self.config().get("config", {}).get("layers", ())
        except BackboneFileError:
            return Protocol()
        for layer in layers:
            shape = layer.get("config", {}).get("batch_shape") or layer.get("config", {}).get("batch_input_shape")
            if shape and len(shape) == RANK and all(shape[1:RANK]) and shape[-1] == RGB:
                return Protocol((int(shape[1]), int(shape[2])))
        return Protocol()

    def own_weights(self) -> WeightsIdentity:
        """Return the identity of the file."""
        return WeightsIdentity("file", file_digest(self.path), self.path, "")

    def architecture(self) -> str:
        """Return the digest of the file."""
        return file_digest(self.path)

    def file_weights(self, path: Path) -> WeightsIdentity:
        """Return the identity of the model with other weights."""
        digest = hashlib.sha256(f"{self.architecture()}:{file_digest(path)}".encode()).hexdigest()
        return WeightsIdentity("file", digest, path, "")

    def preprocessing_text(self, asked: Preprocessing | None) -> str:
        """Return what was asked for; else it is inside."""
        return INSIDE if asked is None else asked.text

    def last_layer(self, poolings: Sequence[str]) -> str:
        """Return the layer of the model's first output."""
        config = self.config()
        settings = config.get("config", {})
        if str(config.get("module", "")).startswith("keras_hub"):
            from bottleneck_features.models.sources.hub_configs import of_keras_hub

            return of_keras_hub(config, str(self.path)).last_layer(poolings)
        if config.get("class_name") == "Sequential":
            return _before_classifier(settings["layers"], settings["layers"][-1]["config"]["name"])
        first: Any = settings.get("output_layers")
        while (
            isinstance(first, dict | list)
            and first
            and not isinstance(first[0] if isinstance(first, list) else "", str)
        ):
            first = next(iter(first.values())) if isinstance(first, dict) else first[0]
        if not (isinstance(first, list) and first):
            raise BackboneFileError(f"'{self.path}' does not say which layer is its last: set backbone.layers.")
        return _before_classifier(settings["layers"], str(first[0]))

    def reading(self, layer: str, pooling: str) -> str:
        """Return the reading as it is: the shapes of its layers tell what `auto` means."""
        return pooling

    def config(self) -> dict[str, Any]:
        """Return the description of the model in the file.

        Raises:
            BackboneFileError: if there is none.
        """
        try:
            if self.path.suffix == ".h5":
                with h5py.File(self.path) as file:
                    found = json.loads(file.attrs["model_config"])
            else:
                with zipfile.ZipFile(self.path) as archive:
                    found = json.loads(archive.read(CONFIG))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            weights = self.path.suffix == ".h5" and h5py.is_hdf5(self.path)
            what = "holds weights only, no whole model" if weights else "is not a Keras model file, or is truncated"
            remedy = "name its network, and the file as backbone.weights" if weights else "fetch or save it again"
            raise BackboneFileError(f"'{self.path}' {what}: {remedy}.") from error
        return dict(found)


def _before_classifier(layers: Sequence[dict[str, Any]], last: str) -> str:
    """Return the layer whose output a network's classes are computed from; the last one where it gives no probabilities."""
    known = {layer["config"]["name"]: layer for layer in layers}
    order, name, probabilities = list(known), last, False
    while name in known:
        kind, settings = known[name]["class_name"], known[name]["config"]
        probabilities = probabilities or settings.get("activation") in PROBABILITIES or kind in ("Softmax", "Sigmoid")
        operation = ".ops." in str(known[name].get("module", ""))  # no layer, so that it cannot be taken
        if not operation and (not probabilities or kind not in BEHIND_FEATURES):
            break
        before = _inputs_of(known[name]) or order[: order.index(name)][-1:]
        if len(before) != 1:
            break
        name = before[0]
    return name if name in known and known[name]["class_name"] != "InputLayer" else last


def _inputs_of(layer: dict[str, Any]) -> list[str]:
    """Return the names of the layers that one takes its input from, as a functional model's file has them."""
    text = json.dumps(layer.get("inbound_nodes", ()))
    newer = re.findall(r'"keras_history": \["([^"]+)"', text)
    return newer or re.findall(r'\["([^"]+)", \d+, \d+', text)
