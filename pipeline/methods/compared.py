"""The methods that `compare` can compare, each trained on the same images."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from bottleneck_features.models.parallel import Workers
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.method_names import MethodName, parse_method
from bottleneck_features.pipeline.methods.best_probe import best_probe
from bottleneck_features.pipeline.methods.convnet import train_convnet
from bottleneck_features.pipeline.methods.head import fit_head
from bottleneck_features.pipeline.methods.network import train_network
from bottleneck_features.pipeline.methods.probe_search import refitted, search_layers, steps
from bottleneck_features.pipeline.progress import progress


@dataclass(frozen=True)
class Training:
    """What the compared methods are trained with.

    Attributes:
        study: the experiment, opened.
        pixels: its images by split, uint8 `(n, height, width, 3)`.
        pool: the threads of the probes.
        heads: those that are trained already, by their layers.
    """

    study: Study
    pixels: Mapping[str, np.ndarray]
    pool: Workers
    heads: dict[tuple[str, ...], TrainedMethod] = field(default_factory=dict)

    def head(self, layers: tuple[str, ...]) -> TrainedMethod:
        """Return the walk-through's head on some layers, trained once."""
        if layers not in self.heads:
            self.heads[layers] = fit_head(self.study, layers)
        return self.heads[layers]


def train_compared(training: Training) -> Iterator[TrainedMethod]:
    """Train every method of `compare.methods`, in order."""
    experiment = training.study.experiment
    for text in experiment.compare.methods:
        wanted = parse_method(text, experiment.backbone.layers)
        yield _TRAINERS.get(wanted.name, _network)(training, wanted)


def _head(training: Training, wanted: MethodName) -> TrainedMethod:
    return training.head(wanted.layers)


def _probe(training: Training, wanted: MethodName) -> TrainedMethod:
    study, families = training.study, (wanted.name,)
    with progress(total=steps(families), desc=wanted.name, unit="fit") as bar:
        (found,) = search_layers(
            study.cache,
            wanted.layers,
            study.holdout,
            extract=study.extraction_seconds,
            pool=training.pool,
            progress=bar.update,
            families=families,
        )
    return refitted(found, study.cache, study.holdout, study.scored_images, training.pool)


def _best_probe(training: Training, wanted: MethodName) -> TrainedMethod:
    return best_probe(training.study, lambda layer: training.head((layer,)), training.pool)


def _convnet(training: Training, wanted: MethodName) -> TrainedMethod:
    study, architecture = training.study, wanted.name.removeprefix("convnet-")
    return train_convnet(study.experiment, study.dataset, training.pixels, study.holdout, architecture)


def _network(training: Training, wanted: MethodName) -> TrainedMethod:
    return train_network(training.study, training.pixels, wanted.name)


_TRAINERS: dict[str, Callable[[Training, MethodName], TrainedMethod]] = {
    "head": _head,
    "logistic": _probe,
    "ridge": _probe,
    "knn": _probe,
    "best-probe": _best_probe,
    "convnet-small": _convnet,
    "convnet-strong": _convnet,
}
