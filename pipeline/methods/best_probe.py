"""The best probe: every family on every set of layers, and the one of them that is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bottleneck_features.models.parallel import Workers, workers
from bottleneck_features.pipeline.evaluation.ranking import level_with_best, ranked
from bottleneck_features.pipeline.evaluation.scores import paired_test
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.method_names import BEST_PROBE
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.methods.head import fit_head
from bottleneck_features.pipeline.methods.kept_head import head_classifier
from bottleneck_features.pipeline.methods.layer_rows import LayerRows, layer_sets
from bottleneck_features.pipeline.methods.probe_search import Candidate, refitted, search_layers, steps
from bottleneck_features.pipeline.progress import progress

Probe = Candidate | TrainedMethod
SIGNIFICANT = 0.05
_NOT_EXPORTED = "knn"


@dataclass(frozen=True)
class ProbeSearch:
    """Every family on every set of layers, scored on validation samples.

    Attributes:
        candidates: the searched families, in the order of the search.
        ranked: those and the Keras heads, the one that is kept first, then the best first.
    """

    candidates: Sequence[Candidate]
    ranked: Sequence[Probe]

    @property
    def methods(self) -> list[Method]:
        """All rows, the one that is kept first, then the best first."""
        return [one.method for one in self.ranked]

    def best_of_families(self) -> list[Probe]:
        """Return the best of each family; the one that is kept comes first."""
        best: dict[str, Probe] = {}
        for one in self.ranked:
            best.setdefault(one.method.name, one)
        return list(best.values())

    def warnings(self) -> tuple[str, ...]:
        """Return what a reader must know about how the best one was chosen."""
        best, level = self.ranked[0], level_with_best(self.ranked)
        found = []
        if level > 1:
            score = best.method.scores["validation"]
            found.append(
                f"{level} of {len(self.ranked)} classifiers have the same accuracy, {score.accuracy:.1%} of {score.n:,} "
                "validation images; the log loss of their calibrated probabilities decided between them (k-NN last)."
            )
        if max(self.methods, key=_validation_accuracy).scores["validation"].accuracy > _validation_accuracy(
            best.method
        ):
            found.append(
                "k-NN has the best validation accuracy, but not significantly: the best classifier that can be exported is kept."
            )
        if (
            isinstance(best, Candidate)
            and best.path.setting == "l2"
            and best.path.best in (0, len(best.path.values) - 1)
        ):
            found.append(
                f"The best probe, {best.method.name}, took an L2 value at the end of the searched range "
                f"({best.path.chosen:g}): a value outside the range may be better."
            )
        return tuple(found)


def search_probes(study: Study, head_of: Callable[[str], TrainedMethod] | None = None) -> ProbeSearch:
    """Search every family of probes and the walk-through's head.

    Args:
        study: the experiment, opened.
        head_of: returns the head trained on a layer; default: trains it.
    """
    cache, holdout, extract = study.cache, study.holdout, study.extraction_seconds
    sets, labels = layer_sets(cache.layers), study.labels(study.holdout.validation)
    candidates: list[Candidate] = []
    with progress(total=steps() * len(sets), desc="probes", unit="fit") as bar, workers() as pool:
        for layers in sets:
            bar.set_postfix_str(" + ".join(layers), refresh=False)
            candidates += search_layers(cache, layers, holdout, extract=extract, pool=pool, progress=bar.update)
    heads = [(head_of or partial(_head, study))(layer) for layer in cache.layers]
    return ProbeSearch(candidates, exported_first(ranked([*candidates, *heads], labels, cache.layers), labels))


def exported_first(best_first: Sequence[Probe], labels: np.ndarray) -> list[Probe]:
    """Put the best probe that can be exported first, unless one that cannot is significantly better on the same images."""
    exported = next((one for one in best_first if one.method.name != _NOT_EXPORTED), best_first[0])
    test = paired_test(labels, *(one.validation_probabilities.argmax(axis=1) for one in (best_first[0], exported)))
    if test.p_value < SIGNIFICANT:
        return list(best_first)
    return [exported, *(one for one in best_first if one is not exported)]


def final_probe(study: Study, one: Probe, pool: Workers) -> TrainedMethod:
    """Return a searched probe as it is scored and kept: with a `Classifier` of raw features as its model."""
    if isinstance(one, Candidate):
        return refitted(one, study.cache, study.holdout, study.scored_images, pool)
    classifier = head_classifier(one.model)

    def probabilities(part: Subset) -> np.ndarray:
        return classifier.probabilities_of(LayerRows(study.cache, one.method.layers, part))

    return replace(one, model=classifier, probabilities=probabilities)


def best_probe(study: Study, head_of: Callable[[str], TrainedMethod], pool: Workers) -> TrainedMethod:
    """Return the probe that `probe` keeps, with the training time of all that were tried."""
    found = search_probes(study, head_of)
    final = final_probe(study, found.ranked[0], pool)
    seconds = {**final.method.seconds, "train": sum(one.seconds["train"] or 0.0 for one in found.methods)}
    row = replace(final.method, name=BEST_PROBE, family=final.method.name, seconds=seconds)
    return replace(final, method=row, curves={})


def _head(study: Study, layer: str) -> TrainedMethod:
    return fit_head(study, (layer,))


def _validation_accuracy(method: Method) -> float:
    return method.scores["validation"].accuracy
