"""What is left to the network: its layers, how they are read, and what it wants of an image's numbers."""

import dataclasses
from typing import Any

from pydantic import ValidationError

from bottleneck_features import models
from bottleneck_features.models.preprocessing import NAMED
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import BackboneSettings, Experiment, PreprocessingSettings
from bottleneck_features.pipeline.input_fit import with_resolved_fit


def resolved(experiment: Experiment) -> Experiment:
    """Return the experiment with the fit, layers and readings that the network decides, where they were left to it.

    Without `backbone.layers` it is the network's own last feature; `features.pooling = "auto"` becomes what is read of each
    layer, but for model files, whose loaded layers alone tell.

    Raises:
        models.ModelError: there is no such network, or its files cannot be had.
        RequestError: a setting does not go with the network's layers.
    """
    experiment = with_resolved_fit(experiment)
    backbone = experiment.backbone
    poolings: tuple[str, ...] = experiment.features.pooling
    if backbone.layers and "auto" not in poolings:
        return experiment
    source = models.named_source(backbone.name)
    layers = backbone.layers or (source.last_layer(poolings),)
    each = poolings * len(layers) if len(poolings) == 1 else poolings
    if len(each) == len(layers):
        read = tuple(source.reading(layer, pooling) for layer, pooling in zip(layers, each, strict=True))
        poolings = read[:1] if len(set(read)) == 1 and len(poolings) == 1 else read
    own: dict[str, Any] = {"pooling": poolings}
    try:
        return dataclasses.replace(
            experiment,
            backbone=dataclasses.replace(backbone, layers=layers),
            features=dataclasses.replace(experiment.features, **own),
        )
    except ValidationError as error:
        first = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise RequestError(f"{first}. Layers of '{backbone.name}' here: {', '.join(layers)}.") from None


def asked_preprocessing(settings: BackboneSettings) -> models.Preprocessing | None:
    """Return the preprocessing that is asked for; None for the network's own."""
    asked = settings.preprocessing
    if isinstance(asked, PreprocessingSettings):
        return models.Preprocessing.standardising(asked.mean, asked.std, asked.scale)
    return NAMED.get(asked)
