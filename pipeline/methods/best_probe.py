"""The best probe: every family on every set of layers, and the one of them that is kept."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bottleneck_features.models.parallel import Workers
from bottleneck_features.models.probabilities import decide
from bottleneck_features.models.probes import ProgressCallback
from bottleneck_features.pipeline.evaluation.differences import Answers, paired_difference
from bottleneck_features.pipeline.evaluation.ranking import level_with_best, ranked
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.target import ClassTarget
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.figures import SIGNIFICANT
from bottleneck_features.pipeline.method_names import BEST_PROBE
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.methods.head import fit_head
from bottleneck_features.pipeline.methods.kept_head import head_classifier
from bottleneck_features.pipeline.methods.layer_rows import LayerRows, layer_sets
from bottleneck_features.pipeline.methods.probe_search import Candidate, final_fit, search_layers, steps
from bottleneck_features.pipeline.progress import progress

Probe = Candidate | TrainedMethod
_NOT_EXPORTED = "knn"
KNN_LEFT_OUT = (
    "k-NN is best on the validation images, but not significantly: of the probes that can be exported the best is kept."
)


@dataclass(frozen=True)
class ProbeSearch:
    """Every family on every set of layers, scored on validation samples.

    Attributes:
        candidates: the searched families, in the order of the search.
        best_first: those and the Keras heads, the best by the criterion first.
        kept: the one of them that is kept: the first, or the first that can be exported.
        level: how many are as good as the first by the criterion, with it.
    """

    candidates: Sequence[Candidate]
    best_first: Sequence[Probe]
    kept: Probe
    level: int

    @property
    def methods(self) -> list[Method]:
        """All rows, the best first."""
        return [replace(one.method, kept=one is self.kept) for one in self.best_first]

    def best_of_families(self) -> list[Probe]:
        """Return the best of each family; the one that is kept comes first."""
        best: dict[str, Probe] = {}
        for one in (self.kept, *self.best_first):
            best.setdefault(one.method.name, one)
        return list(best.values())

    def warnings(self) -> tuple[str, ...]:
        """Return what a reader must know about how the best one was chosen."""
        kept, found = self.kept, []
        if self.level > 1:
            n = kept.method.scores["validation"].n
            found.append(
                f"{self.level} of {len(self.best_first)} classifiers are equally good on {n:,} validation images; the log loss "
                "of their calibrated probabilities decided between them (k-NN last)."
            )
        if kept is not self.best_first[0]:
            found.append(KNN_LEFT_OUT)
        if (
            isinstance(kept, Candidate)
            and kept.path.setting == "l2"
            and kept.path.best in (0, len(kept.path.values) - 1)
        ):
            found.append(
                f"The best probe, {kept.method.name}, took an L2 value at the end of the searched range "
                f"({kept.path.chosen:g}): a value outside the range may be better."
            )
        return tuple(found)


def search_with_progress(
    study: Study, pool: Workers, heads: Iterable[TrainedMethod], title: str = "probes"
) -> ProbeSearch:
    """Search as `search_probes` does, with a progress bar of this title."""
    with progress(total=search_steps(study), desc=title, unit="fit") as bar:
        return search_probes(study, pool, bar.update, heads)


def search_steps(study: Study) -> int:
    """Return how often `search_probes` calls its progress callback."""
    return steps() * len(layer_sets(study.cache.layers))


def search_probes(
    study: Study, pool: Workers, advance: ProgressCallback = lambda: None, heads: Iterable[TrainedMethod] = ()
) -> ProbeSearch:
    """Search every family of probes on every set of layers.

    Args:
        study: the experiment, opened.
        pool: the threads to use.
        advance: called `search_steps` times.
        heads: trained with the walk-through's recipe, to be ranked with the probes.
    """
    cache, holdout, extract = study.cache, study.holdout, study.extraction_seconds
    candidates = [
        one
        for layers in layer_sets(cache.layers)
        for one in search_layers(cache, layers, holdout, study.target, extract=extract, pool=pool, progress=advance)
    ]
    labels, criterion = study.labels(holdout.validation), study.target.criterion
    every: list[Probe] = [*candidates, *heads]
    found = ranked(every, labels, cache.layers, criterion)
    kept = exported_if_level(found, labels, study.target, study.groups(holdout.validation))
    return ProbeSearch(candidates, found, kept, level_with_best(found, labels, criterion))


def exported_if_level(
    best_first: Sequence[Probe], labels: np.ndarray, target: ClassTarget, groups: np.ndarray | None = None
) -> Probe:
    """Return the best probe that can be exported, unless one that cannot is significantly better on the same images."""
    first = best_first[0]
    exported = next((one for one in best_first if one.method.name != _NOT_EXPORTED), first)
    found = paired_difference(labels, answers_of(first), answers_of(exported), groups, target.compared)
    return first if found.p_value < SIGNIFICANT else exported


def answers_of(one: Probe) -> Answers:
    """Return what a probe answers of the validation images, at its threshold."""
    return Answers(one.validation_probabilities, decide(one.validation_probabilities, one.method.threshold))


def final_probe(study: Study, one: Probe, pool: Workers) -> TrainedMethod:
    """Return a searched probe as it is scored and kept: with a `Classifier` of raw features as its model."""
    if isinstance(one, Candidate):
        return final_fit(one, study, pool)
    classifier = head_classifier(one.model)

    def probabilities(part: Subset) -> np.ndarray:
        return classifier.probabilities_of(LayerRows(study.cache, one.method.layers, part))

    return replace(one, model=classifier, probabilities=probabilities)


def best_probe(found: ProbeSearch, study: Study, pool: Workers) -> TrainedMethod:
    """Return the probe that is kept as the method `best-probe`, with the training time of all that were tried."""
    final = final_probe(study, found.kept, pool)
    seconds = {**final.method.seconds, "train": sum(one.seconds["train"] or 0.0 for one in found.methods)}
    row = replace(final.method, name=BEST_PROBE, family=final.method.name, seconds=seconds)
    return replace(final, method=row, curves={})


def probes_of_fold(pool: Workers) -> Callable[[Study], Mapping[str, TrainedMethod]]:
    """Return a procedure that makes the best probe of each family, and the best of all, of a fold."""
    return lambda study: _by_family(search_probes(study, pool), study, pool)


def probes_of_seed(pool: Workers) -> Callable[[Study], Mapping[str, TrainedMethod]]:
    """Return a procedure that does the same of another split or seed, with the walk-through's heads among the probes."""
    return lambda study: _by_family(search_probes(study, pool, heads=heads_of_layers(study)), study, pool)


def heads_of_layers(study: Study) -> list[TrainedMethod]:
    """Train the walk-through's head on each cached layer."""
    return [fit_head(study, (layer,)) for layer in study.cache.layers]


def _by_family(found: ProbeSearch, study: Study, pool: Workers) -> Mapping[str, TrainedMethod]:
    finals = {one.method.name: final_probe(study, one, pool) for one in found.best_of_families()}
    return {**finals, BEST_PROBE: finals[found.kept.method.name]}
