"""The methods that `compare` can set against one another, each trained on the same samples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bottleneck_features.features import Features
from bottleneck_features.models.parallel import Workers
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.evaluation.ground import Ground
from bottleneck_features.pipeline.evaluation.ranking import ranked
from bottleneck_features.pipeline.evaluation.splits import Subset, labels_of
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.methods.convnet import train_convnet
from bottleneck_features.pipeline.methods.head import TrainedMethod, extraction_seconds, fit_head, predict_head
from bottleneck_features.pipeline.methods.layer_rows import layer_sets
from bottleneck_features.pipeline.methods.network import train_network
from bottleneck_features.pipeline.methods.pixels import pixel_probabilities
from bottleneck_features.pipeline.methods.probe_search import LOGISTIC, finished, search_layers, steps
from bottleneck_features.pipeline.methods.training import History
from bottleneck_features.pipeline.progress import progress
from bottleneck_features.pipeline.results import Method


@dataclass(frozen=True)
class Contestant:
    """A trained method, not yet scored at the end.

    Attributes:
        method: its row in a table.
        probabilities: returns the `(n, classes)` probabilities of a `Subset`.
        validation_probabilities: `(m, classes)` of the validation samples, by a model that had not seen them.
        history: its learning curves; None for a method without epochs.
        entered: whether it is scored at the end; False for what validation has ruled out.
    """

    method: Method
    probabilities: Callable[[Subset], np.ndarray]
    validation_probabilities: np.ndarray
    history: History | None = None
    entered: bool = True


@dataclass(frozen=True)
class Arena:
    """What every method is trained on.

    Attributes:
        experiment: with the recipes.
        home: the artifacts folder.
        dataset: the open data set.
        cache: its features.
        pixels: its images by split, uint8 `(n, height, width, 3)`.
        ground: which samples train, validate and decide.
        team: the threads of the probes.
    """

    experiment: Experiment
    home: Path
    dataset: Dataset
    cache: Features
    pixels: Mapping[str, np.ndarray]
    ground: Ground
    team: Workers


def contestants(arena: Arena) -> Iterator[Contestant]:
    """Train every method of `compare.methods`, in their order."""
    for name in arena.experiment.compare.methods:
        yield from _TRAINERS.get(name, _network)(arena, name)


def _linear(arena: Arena, name: str) -> Iterator[Contestant]:
    yield _head(arena, name, arena.cache.layers[-1])


def _earlier(arena: Arena, name: str) -> Iterator[Contestant]:
    """Every layer before the last; only the best by validation accuracy is entered, with the time of all."""
    heads = [_head(arena, name, layer) for layer in reversed(arena.cache.layers[:-1])]
    best_first = ranked(heads, labels_of(arena.dataset, arena.ground.held.validation), arena.cache.layers)
    for best in best_first[:1]:
        yield replace(best, method=_with_time_of_all(best.method, [head.method for head in heads]))
    yield from (replace(head, entered=False) for head in best_first[1:])


def _with_time_of_all(best: Method, tried: Sequence[Method]) -> Method:
    """The best of several that were trained to choose it: what the choice cost counts."""
    return replace(best, seconds={**best.seconds, "train": sum(one.seconds["train"] or 0.0 for one in tried)})


def _head(arena: Arena, name: str, layer: str) -> Contestant:
    seconds = extraction_seconds(arena.experiment, arena.home, arena.cache)
    trained = fit_head(arena.experiment, arena.cache, arena.ground.held, layer, name, seconds)

    def probabilities(part: Subset) -> np.ndarray:
        return predict_head(trained.model, arena.cache, layer, part)

    return Contestant(trained.method, probabilities, trained.validation_probabilities, trained.history)


def _probe(arena: Arena, name: str) -> Iterator[Contestant]:
    """The logistic probe on the layers, alone or side by side, with the best validation accuracy and the time of all."""
    seconds = extraction_seconds(arena.experiment, arena.home, arena.cache)
    sets = layer_sets(arena.cache.layers)
    with progress(total=steps(LOGISTIC) * len(sets), desc="probes", unit="fit") as bar:
        found = [
            one
            for layers in sets
            for one in search_layers(arena.cache, layers, arena.ground.held, seconds, arena.team, bar.update, LOGISTIC)
        ]
    best, *_ = ranked(found, labels_of(arena.dataset, arena.ground.held.validation), arena.cache.layers)
    final = finished(best, arena.cache, arena.ground.held, arena.ground.part, arena.team)
    method = _with_time_of_all(final.method, [one.method for one in found])
    yield Contestant(replace(method, name=name), final.probabilities, best.validation_probabilities)


def _convnet(arena: Arena, name: str) -> Iterator[Contestant]:
    architecture = name.removeprefix("convnet-")
    trained = train_convnet(arena.experiment, arena.dataset, arena.pixels, arena.ground.held, architecture)
    yield _seeing_pixels(arena, trained, arena.experiment.convnet.batch_size)


def _network(arena: Arena, name: str) -> Iterator[Contestant]:
    trained = train_network(
        arena.experiment, arena.home, arena.dataset, arena.pixels, arena.ground.held, name, arena.cache
    )
    yield _seeing_pixels(arena, trained, arena.experiment.finetune.batch_size)


def _seeing_pixels(arena: Arena, trained: TrainedMethod, batch_size: int) -> Contestant:
    probabilities = pixel_probabilities(trained.model, arena.pixels, batch_size)
    return Contestant(trained.method, probabilities, trained.validation_probabilities, trained.history)


_TRAINERS: dict[str, Callable[[Arena, str], Iterator[Contestant]]] = {
    "linear": _linear,
    "earlier": _earlier,
    "probe": _probe,
    "convnet-small": _convnet,
    "convnet-strong": _convnet,
}
