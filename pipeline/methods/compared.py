"""The methods that `compare` can compare, each trained on the same images."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bottleneck_features.models.parallel import Workers
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.method_names import MethodName, parse_method
from bottleneck_features.pipeline.methods.best_probe import best_probe, search_probes, search_with_progress
from bottleneck_features.pipeline.methods.convnet import train_convnet
from bottleneck_features.pipeline.methods.head import fit_head
from bottleneck_features.pipeline.methods.network import train_network
from bottleneck_features.pipeline.methods.pixels import rearranged_pixels
from bottleneck_features.pipeline.methods.probe_search import final_fit, search_layers
from bottleneck_features.pipeline.methods.training import RowSource


@dataclass(frozen=True)
class Training:
    """What the compared methods are trained with.

    Attributes:
        study: the experiment, opened.
        pixels: its images by split, uint8 `(n, height, width, 3)`.
        pool: the threads of the probes.
        with_heads: whether the walk-through's head is among the probes of `best-probe`.
        heads: those that are trained already, by their layers.
    """

    study: Study
    pixels: Mapping[str, RowSource]
    pool: Workers
    with_heads: bool = True
    heads: dict[tuple[str, ...], TrainedMethod] = field(default_factory=dict)

    def head(self, layers: tuple[str, ...]) -> TrainedMethod:
        """Return the walk-through's head on some layers, trained once."""
        if layers not in self.heads:
            self.heads[layers] = fit_head(self.study, layers)
        return self.heads[layers]


CHEAP = ("logistic", "ridge", "knn", "best-probe")  # what is cross-validated in every repeat; the others in the first


def compared_methods(experiment: Experiment) -> list[MethodName]:
    """Return the methods of `compare.methods`, in order."""
    return [parse_method(text, experiment.backbone.layers) for text in experiment.compare.methods]


def train_method(training: Training, wanted: MethodName) -> TrainedMethod:
    """Train one method."""
    return _TRAINERS.get(wanted.name, _network)(training, wanted)


def methods_of_fold(
    wanted: Iterable[MethodName], pixels: Mapping[str, RowSource], pool: Workers
) -> Callable[[Study], Mapping[str, TrainedMethod]]:
    """Return a procedure that trains methods, by their labels, on a fold."""
    return lambda study: {
        one.label: train_method(Training(study, pixels, pool, with_heads=False), one) for one in wanted
    }


def methods_of_seed(
    wanted: Iterable[MethodName], pixels: Mapping[str, np.ndarray], pool: Workers
) -> Callable[[Study], Mapping[str, TrainedMethod]]:
    """Return a procedure that trains methods, by their labels, of another split or seed."""

    def made(study: Study) -> Mapping[str, TrainedMethod]:
        training = Training(study, rearranged_pixels(study.dataset, pixels), pool)
        return {one.label: train_method(training, one) for one in wanted}

    return made


def _head(training: Training, wanted: MethodName) -> TrainedMethod:
    return training.head(wanted.layers)


def _probe(training: Training, wanted: MethodName) -> TrainedMethod:
    study, pool = training.study, training.pool
    (found,) = search_layers(
        study.cache,
        wanted.layers,
        study.holdout,
        study.target,
        extract=study.extraction_seconds,
        pool=pool,
        progress=lambda: None,
        families=(wanted.name,),
    )
    return final_fit(found, study, pool)


def _best_probe(training: Training, wanted: MethodName) -> TrainedMethod:
    study, pool = training.study, training.pool
    heads = [training.head((layer,)) for layer in study.cache.layers] if training.with_heads else []
    search = search_with_progress if training.with_heads else search_probes
    return best_probe(search(study, pool, heads=heads), study, pool)


def _convnet(training: Training, wanted: MethodName) -> TrainedMethod:
    return train_convnet(training.study, training.pixels, wanted.name.removeprefix("convnet-"))


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
