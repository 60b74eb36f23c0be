"""The probe: which layer and which cheap classifier get the most out of cached features, honestly measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features import Features
from models.parallel import Workers, workers
from pipeline.comparison.ground import Ground, common_ground, keep_predictions, scored_warnings
from pipeline.comparison.splits import Holdout, Part
from pipeline.datasets import open_dataset
from pipeline.experiment import Experiment
from pipeline.extraction.cache import backbone_label, open_cache
from pipeline.extraction.speeds import extraction_speed
from pipeline.heads.calibration import Calibration
from pipeline.heads.classifier import Classifier
from pipeline.heads.kept_head import finished_head, head_classifier
from pipeline.heads.layer_rows import LayerRows, is_spatial, layer_sets
from pipeline.heads.probe_search import Candidate, Final, finished, search_layers, steps
from pipeline.heads.saved_head import save_head
from pipeline.heads.train_head import TrainedMethod, extraction_seconds, fit_head
from pipeline.progress import progress
from pipeline.results import Clock, Method, Result, experiment_json, run_folder, write_result

SPATIAL = (
    "Spatial maps (pooling none) were averaged over their positions before the probes; the Keras head pools as well."
)


@dataclass(frozen=True)
class Found:
    """Every family on every set of layers, scored on validation samples."""

    candidates: Sequence[Candidate]
    heads: Sequence[TrainedMethod]

    @property
    def methods(self) -> list[Method]:
        """All rows, the best validation accuracy first."""
        rows = [one.method for one in self.candidates] + [one.method for one in self.heads]
        return sorted(rows, key=_rank)


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
    from pipeline.heads import plots_probe

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
            plots_probe.paths(found.candidates, folder / "paths.png"),
            plots_probe.depth(found.methods, cache.layers, backbone_label(experiment), folder / "depth.png"),
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
    warnings = (*scored_warnings(experiment, dataset, ground, details["methods"]), *spatial)
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
    return Found(candidates, heads)


def _score_families(
    found: Found, cache: Features, ground: Ground, team: Workers
) -> tuple[list[Method], Classifier, tuple[np.ndarray, np.ndarray]]:
    """Score the best of each family once.

    Returns:
        The families by validation accuracy; the first one's classifier, and the labels and its probabilities of the
        validation images, which it had not seen.
    """
    best: dict[str, Method] = {}
    for method in found.methods:
        best.setdefault(method.name, method)
    tested, finals = [], []
    for name, method in best.items():
        finals.append((_keras_final if name == "head" else _fitted)(found, method, cache, ground, team))
        tested.append(ground.final.score(finals[-1][0].method, finals[-1][0].probabilities))
    (first, validated), held = finals[0], ground.held.validation
    return tested, first.classifier, (cache[held.split].y[held.indices], validated)


def _fitted(found: Found, method: Method, cache: Features, ground: Ground, team: Workers) -> tuple[Final, np.ndarray]:
    chosen = next(one for one in found.candidates if one.method is method)
    return finished(chosen, cache, ground.held, ground.part, team), chosen.probabilities


def _keras_final(
    found: Found, method: Method, cache: Features, ground: Ground, team: Workers
) -> tuple[Final, np.ndarray]:
    trained = next(one for one in found.heads if one.method is method)
    classifier = head_classifier(trained.model)

    def probabilities(part: Part) -> np.ndarray:
        return classifier.probabilities_of(LayerRows(cache, method.layers, part))

    return Final(method, classifier, probabilities), trained.validation_probabilities


def _rank(method: Method) -> float:
    return -method.scores["validation"].accuracy


def _path_json(candidate: Candidate) -> dict[str, Any]:
    path = candidate.path
    return {
        "family": candidate.method.name,
        "layers": list(candidate.method.layers),
        path.setting: path.values.tolist(),
        "accuracy": path.accuracy.tolist(),
        "chosen": path.chosen,
    }
