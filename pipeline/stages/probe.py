"""The probe: which layer and which cheap classifier give the best accuracy on cached features."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bottleneck_features.models.parallel import Workers, workers
from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.evaluation.ranking import level_with_best, ranked
from bottleneck_features.pipeline.evaluation.scored import keep_predictions
from bottleneck_features.pipeline.evaluation.splits import Subset
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.methods.classifier import Classifier
from bottleneck_features.pipeline.methods.head import fit_head
from bottleneck_features.pipeline.methods.kept_head import build_saved_head, head_classifier
from bottleneck_features.pipeline.methods.layer_rows import LayerRows, is_spatial, layer_sets
from bottleneck_features.pipeline.methods.probe_search import Candidate, refitted, search_layers, steps
from bottleneck_features.pipeline.methods.saved_head import save_head
from bottleneck_features.pipeline.progress import progress
from bottleneck_features.pipeline.results import Result

SPATIAL = (
    "Spatial maps (pooling none) were averaged over their positions before the probes; the Keras head pools as well."
)


@dataclass(frozen=True)
class ProbeSearch:
    """Every family on every set of layers, scored on validation samples.

    Attributes:
        candidates: the searched families, in the order of the search.
        ranked: those and the Keras heads, the best first.
    """

    candidates: Sequence[Candidate]
    ranked: Sequence[Candidate | TrainedMethod]

    @property
    def methods(self) -> list[Method]:
        """All rows, the best first."""
        return [one.method for one in self.ranked]

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


def probe(study: Study) -> Result:
    """Probe each cached layer, and layers side by side, with logistic regression, ridge, k-NN and the walk-through's head.

    Settings and layers are chosen on validation samples. The best of each family is fitted again on training and
    validation samples together (except the Keras head, whose epoch was chosen on the validation samples) and scored once
    on the test split. The best family's classifier is kept in `head.npz`.

    Args:
        study: the experiment, opened; its cache must be complete.

    Returns:
        The `Result`, with `methods` (one per family, scored), `table` (all, by validation accuracy), `paths`, `pairs`,
        `calibration` (of the best family), `scored_on`, `test_scorings` and `files`.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: a class has too few samples, or too few groups, to train and to validate.
        PipelineError: the Keras head's loss became NaN.
    """
    cache, evaluation = study.cache, study.evaluation
    with study.clock.phase("search"):
        found = _search(study)
    with study.clock.phase("evaluate"), workers() as pool:
        tested, best = _score_families(study, found, pool)
        validation = (study.labels(study.holdout.validation), found.ranked[0].validation_probabilities)
        calibration = evaluation.calibration(tested[0].name, validation)
    searched = [_path_json(one) for one in found.candidates]
    with study.clock.phase("write"):
        head = build_saved_head(study, tested[0], best, calibration.temperature)
        files = [
            save_head(head, study.folder / "head.npz"),
            plots.paths(searched, study.folder / "paths.png"),
            plots.depth(found.methods, cache.layers, study.backbone, study.folder / "depth.png"),
        ]
    details: dict[str, Any] = {
        "data": study.dataset.title,
        "backbone": study.backbone,
        "images_per_second": study.images_per_second,
        "methods": [method.as_json() for method in tested],
        "scored_on": evaluation.kind,
        "test_scorings": evaluation.scorings if evaluation.kind == "test" else 0,
        "table": [method.as_json() for method in found.methods],
        "paths": searched,
        "pairs": evaluation.comparisons(),
        "calibration": calibration.as_json(),
        "duplicates": study.duplicates.as_json(),
        "predictions": keep_predictions(study),
        "files": [str(file) for file in files],
    }
    spatial = (SPATIAL,) if is_spatial(cache) else ()
    return study.write(details, (*study.scored_warnings(details["methods"]), *found.warnings(), *spatial), cache.key)


def _search(study: Study) -> ProbeSearch:
    cache, holdout, extract = study.cache, study.holdout, study.extraction_seconds
    sets = layer_sets(cache.layers)
    candidates: list[Candidate] = []
    with progress(total=steps() * len(sets), desc="probes", unit="fit") as bar, workers() as pool:
        for layers in sets:
            bar.set_postfix_str(" + ".join(layers), refresh=False)
            candidates += search_layers(cache, layers, holdout, extract=extract, pool=pool, progress=bar.update)
    heads = [fit_head(study, layer, "head") for layer in cache.layers]
    return ProbeSearch(candidates, ranked([*candidates, *heads], study.labels(holdout.validation), cache.layers))


def _score_families(study: Study, found: ProbeSearch, pool: Workers) -> tuple[list[Method], Classifier]:
    """Score the best of each family once.

    Returns:
        The families by validation accuracy, and the first one's classifier.
    """
    best: dict[str, Candidate | TrainedMethod] = {}
    for one in found.ranked:
        best.setdefault(one.method.name, one)
    finals = [_final(study, one, pool) for one in best.values()]
    return [study.evaluation.score(final) for final in finals], finals[0].model


def _final(study: Study, one: Candidate | TrainedMethod, pool: Workers) -> TrainedMethod:
    if isinstance(one, Candidate):
        return refitted(one, study.cache, study.holdout, study.scored_images, pool)
    classifier = head_classifier(one.model)

    def probabilities(part: Subset) -> np.ndarray:
        return classifier.probabilities_of(LayerRows(study.cache, one.method.layers, part))

    return replace(one, model=classifier, probabilities=probabilities)


def _path_json(candidate: Candidate) -> dict[str, Any]:
    path = candidate.path
    return {
        "family": candidate.method.name,
        "layers": list(candidate.method.layers),
        path.setting: path.values.tolist(),
        "accuracy": path.accuracy.tolist(),
        "chosen": path.chosen,
    }
