"""The methods that `compare` can compare, each trained on the same images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bottleneck_features.models.parallel import Workers
from bottleneck_features.pipeline.evaluation.ranking import ranked
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.methods.convnet import train_convnet
from bottleneck_features.pipeline.methods.head import fit_head
from bottleneck_features.pipeline.methods.layer_rows import layer_sets
from bottleneck_features.pipeline.methods.network import train_network
from bottleneck_features.pipeline.methods.probe_search import LOGISTIC, refitted, search_layers, steps
from bottleneck_features.pipeline.progress import progress


@dataclass(frozen=True)
class Training:
    """What the compared methods are trained with.

    Attributes:
        study: the experiment, opened.
        pixels: its images by split, uint8 `(n, height, width, 3)`.
        pool: the threads of the probes.
    """

    study: Study
    pixels: Mapping[str, np.ndarray]
    pool: Workers


def train_compared(training: Training) -> Iterator[TrainedMethod]:
    """Train every method of `compare.methods`, in order; those not selected on validation images are not `compared`."""
    for name in training.study.experiment.compare.methods:
        yield from _TRAINERS.get(name, _network)(training, name)


def _linear(training: Training, name: str) -> Iterator[TrainedMethod]:
    yield fit_head(training.study, training.study.cache.layers[-1], name)


def _earlier(training: Training, name: str) -> Iterator[TrainedMethod]:
    """Every layer before the last; only the best by validation accuracy is compared, with the time of all."""
    study = training.study
    heads = [fit_head(study, layer, name) for layer in reversed(study.cache.layers[:-1])]
    best_first = ranked(heads, study.labels(study.holdout.validation), study.cache.layers)
    for best in best_first[:1]:
        yield replace(best, method=with_time_of_all(best.method, [head.method for head in heads]))
    yield from (replace(head, compared=False) for head in best_first[1:])


def with_time_of_all(best: Method, tried: Sequence[Method]) -> Method:
    """Return the best of several methods, with the training time of all that were tried."""
    return replace(best, seconds={**best.seconds, "train": sum(one.seconds["train"] or 0.0 for one in tried)})


def _probe(training: Training, name: str) -> Iterator[TrainedMethod]:
    """Return the logistic probe on the layers, alone or side by side, with the best validation accuracy and the time of all."""
    study, cache = training.study, training.study.cache
    seconds, sets = study.extraction_seconds, layer_sets(cache.layers)
    with progress(total=steps(LOGISTIC) * len(sets), desc="probes", unit="fit") as bar:
        found = [
            one
            for layers in sets
            for one in search_layers(
                cache,
                layers,
                study.holdout,
                extract=seconds,
                pool=training.pool,
                progress=bar.update,
                families=LOGISTIC,
            )
        ]
    best, *_ = ranked(found, study.labels(study.holdout.validation), cache.layers)
    final = refitted(best, cache, study.holdout, study.scored_images, training.pool)
    yield replace(final, method=replace(with_time_of_all(final.method, [one.method for one in found]), name=name))


def _convnet(training: Training, name: str) -> Iterator[TrainedMethod]:
    study = training.study
    yield train_convnet(study.experiment, study.dataset, training.pixels, study.holdout, name.removeprefix("convnet-"))


def _network(training: Training, name: str) -> Iterator[TrainedMethod]:
    yield train_network(training.study, training.pixels, name)


_TRAINERS: dict[str, Callable[[Training, str], Iterator[TrainedMethod]]] = {
    "linear": _linear,
    "earlier": _earlier,
    "probe": _probe,
    "convnet-small": _convnet,
    "convnet-strong": _convnet,
}
