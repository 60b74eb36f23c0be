"""The probe: which layer and which cheap classifier get the most out of cached features, honestly measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck_features.features import Features
from bottleneck_features.models.parallel import Workers, workers
from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.evaluation.calibration import Calibration
from bottleneck_features.pipeline.evaluation.ground import Ground, common_ground, keep_predictions, scored_warnings
from bottleneck_features.pipeline.evaluation.ranking import level_with_best, ranked
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.cache import backbone_label, extraction_speed, open_cache
from bottleneck_features.pipeline.methods.classifier import Classifier
from bottleneck_features.pipeline.methods.head import TrainedMethod, extraction_seconds, fit_head
from bottleneck_features.pipeline.methods.kept_head import finished_head, head_classifier
from bottleneck_features.pipeline.methods.layer_rows import LayerRows, is_spatial, layer_sets
from bottleneck_features.pipeline.methods.probe_search import Candidate, Final, finished, search_layers, steps
from bottleneck_features.pipeline.methods.saved_head import save_head
from bottleneck_features.pipeline.progress import progress
from bottleneck_features.pipeline.results import Clock, Method, Result, experiment_json, run_folder, write_result

SPATIAL = (
    "Spatial maps (pooling none) were averaged over their positions before the probes; the Keras head pools as well."
)


@dataclass(frozen=True)
class Found:
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
        """Return what must be known of the choice of the best."""
        best, level = self.ranked[0], level_with_best(self.ranked)
        said = []
        if level > 1:
            score = best.method.scores["validation"]
            said.append(
                f"{level} of {len(self.ranked)} classifiers are level at {score.accuracy:.1%} of {score.n:,} validation images; "
                "the log loss of their calibrated probabilities chose among them (k-NN last)."
            )
        if (
            isinstance(best, Candidate)
            and best.path.setting == "l2"
            and best.path.best in (0, len(best.path.values) - 1)
        ):
            said.append(
                f"The best probe, {best.method.name}, took the last L2 value of its path ({best.path.chosen:g}): these "
                "validation images set no end to it."
            )
        return tuple(said)


def probe(experiment: Experiment, home: Path) -> Result:
    """Probe each cached layer, and layers side by side, with logistic regression, ridge, k-NN and the walk-through's head.

    Settings and layers are chosen on validation samples. The best of each family is fitted again on training and
    validation samples together (except the Keras head, whose epoch was chosen on the validation samples) and scored once
    on the test split. The best family's classifier is kept in `head.npz`.

    Args:
        experiment: the experiment; its cache must be complete.
        home: the artifacts folder.

    Returns:
        The `Result`, with `methods` (one a family, scored), `table` (all, by validation accuracy), `paths`, `pairs`,
        `calibration` (of the best family), `scored_on`, `test_scorings` and `files`.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: a class has too few samples, or too few groups, to train and to validate.
        PipelineError: the Keras head's loss became NaN.
    """
    from bottleneck_features.pipeline import plots

    clock = Clock()
    with clock.phase("open"):
        dataset = open_dataset(experiment, home)
        cache = open_cache(experiment, home, dataset)
    folder = run_folder(home, experiment.name, "probe")
    ground = common_ground(experiment, home, dataset, cache, clock)
    with clock.phase("search"):
        found = _search(experiment, cache, ground.held, extraction_seconds(experiment, home, cache))
    with clock.phase("evaluate"), workers() as team:
        tested, classifier, validated = _score_families(found, cache, ground, team)
        calibration = ground.final.calibration(tested[0].name, validated)
    with clock.phase("write"):
        head = finished_head(experiment, dataset, cache, ground, tested[0], classifier, calibration.temperature)
        files = [
            save_head(head, folder / "head.npz"),
            plots.paths([_path_json(one) for one in found.candidates], folder / "paths.png"),
            plots.depth(found.methods, cache.layers, backbone_label(experiment), folder / "depth.png"),
        ]
    details: dict[str, Any] = {
        "data": dataset.title,
        "backbone": backbone_label(experiment),
        "images_per_second": extraction_speed(run_folder(home, experiment.name, "features"), cache.key),
        **_scored(tested, found, calibration, ground),
        "predictions": keep_predictions(ground, dataset, folder),
        "files": [str(file) for file in files],
    }
    spatial = (SPATIAL,) if is_spatial(cache) else ()
    warnings = (*scored_warnings(experiment, dataset, ground, details["methods"]), *found.warnings(), *spatial)
    result = Result("probe", experiment_json(experiment), cache.key, clock.seconds, warnings, details, folder)
    write_result(result)
    return result


def _scored(tested: Sequence[Method], found: Found, calibration: Calibration, ground: Ground) -> dict[str, Any]:
    """What the result says of the families, and of all that was tried for them."""
    final = ground.final
    return {
        "methods": [method.as_json() for method in tested],
        "scored_on": final.kind,
        "test_scorings": final.scorings if final.kind == "test" else 0,
        "table": [method.as_json() for method in found.methods],
        "paths": [_path_json(one) for one in found.candidates],
        "pairs": final.comparisons(),
        "calibration": calibration.as_json(),
        "duplicates": ground.duplicates.as_json(),
    }


def _search(experiment: Experiment, cache: Features, held: Holdout, extract: float | None) -> Found:
    sets = layer_sets(cache.layers)
    candidates: list[Candidate] = []
    with progress(total=steps() * len(sets), desc="probes", unit="fit") as bar, workers() as team:
        for layers in sets:
            bar.set_postfix_str(" + ".join(layers), refresh=False)
            candidates += search_layers(cache, layers, held, extract, team, bar.update)
    heads = [fit_head(experiment, cache, held, layer, "head", extract) for layer in cache.layers]
    labels = cache[held.validation.split].y[held.validation.indices]
    return Found(candidates, ranked([*candidates, *heads], labels, cache.layers))


def _score_families(
    found: Found, cache: Features, ground: Ground, team: Workers
) -> tuple[list[Method], Classifier, tuple[np.ndarray, np.ndarray]]:
    """Score the best of each family once.

    Returns:
        The families by validation accuracy; the first one's classifier, and the labels and its probabilities of the
        validation images, which it had not seen.
    """
    best: dict[str, Candidate | TrainedMethod] = {}
    for one in found.ranked:
        best.setdefault(one.method.name, one)
    finals = [_final(one, cache, ground, team) for one in best.values()]
    tested = [ground.final.score(final.method, final.probabilities) for final in finals]
    validated = next(iter(best.values())).validation_probabilities
    held = ground.held.validation
    return tested, finals[0].classifier, (cache[held.split].y[held.indices], validated)


def _final(one: Candidate | TrainedMethod, cache: Features, ground: Ground, team: Workers) -> Final:
    if isinstance(one, Candidate):
        return finished(one, cache, ground.held, ground.part, team)
    classifier = head_classifier(one.model)

    def probabilities(part: Subset) -> np.ndarray:
        return classifier.probabilities_of(LayerRows(cache, one.method.layers, part))

    return Final(one.method, classifier, probabilities)


def _path_json(candidate: Candidate) -> dict[str, Any]:
    path = candidate.path
    return {
        "family": candidate.method.name,
        "layers": list(candidate.method.layers),
        path.setting: path.values.tolist(),
        "accuracy": path.accuracy.tolist(),
        "chosen": path.chosen,
    }
