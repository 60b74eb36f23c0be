"""The probe: which layer and which cheap classifier get the most out of cached features, honestly measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features import Features
from models.parallel import Workers, workers
from pipeline.cache import backbone_label, data_warnings, open_cache
from pipeline.datasets import open_dataset
from pipeline.experiment import Experiment
from pipeline.extract import extraction_speed
from pipeline.ground import Ground, common_ground
from pipeline.layer_rows import is_spatial, layer_sets
from pipeline.predictions import save_predictions
from pipeline.probe_search import Candidate, Final, finished, search_layers, steps
from pipeline.progress import progress
from pipeline.results import Clock, Method, Result, experiment_json, run_folder, write_result
from pipeline.saved_head import SavedHead, save_head
from pipeline.splits import Holdout, Part
from pipeline.train_head import TrainedMethod, extraction_seconds, fit_head, predict_head

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
        `scored_on`, `test_scorings` and `files`.

    Raises:
        RequestError: there is no cache that matches; the message names what differs.
        PipelineError: the Keras head's loss became NaN.
    """
    from pipeline import plots_probe

    clock = Clock()
    with clock.phase("open"):
        dataset = open_dataset(experiment, home)
        cache = open_cache(experiment, home, dataset)
    folder = run_folder(home, experiment.name, "probe")
    ground = common_ground(experiment, home, dataset, cache, clock)
    final = ground.final
    with clock.phase("search"):
        found = _search(experiment, cache, ground.held, extraction_seconds(experiment, home, cache))
    with clock.phase("evaluate"), workers() as team:
        tested, arrays = _score_families(found, cache, ground, team)
    with clock.phase("write"):
        recipe = _recipe(experiment, cache, tested[0], final.kind)
        files = [
            save_head(SavedHead(recipe, arrays), folder / "head.npz"),
            plots_probe.paths(found.candidates, folder / "paths.png"),
            plots_probe.depth(found.methods, cache.layers, backbone_label(experiment), folder / "depth.png"),
        ]
    details: dict[str, Any] = {
        "data": dataset.title,
        "backbone": backbone_label(experiment),
        "images_per_second": extraction_speed(run_folder(home, experiment.name, "features"), cache.key),
        "methods": [method.as_json() for method in tested],
        "scored_on": final.kind,
        "test_scorings": final.scorings if final.kind == "test" else 0,
        "table": [method.as_json() for method in found.methods],
        "paths": [_path_json(one) for one in found.candidates],
        "pairs": final.comparisons(),
        "duplicates": ground.duplicates.as_json(),
        "predictions": save_predictions(final.predictions(dataset.splits[ground.part.split].ids), folder),
        "files": [str(file) for file in files],
    }
    warnings = (
        *data_warnings(experiment, dataset),
        *ground.duplicates.warnings(details["methods"]),
        *((SPATIAL,) if is_spatial(cache) else ()),
    )
    result = Result("probe", experiment_json(experiment), cache.key, clock.seconds, warnings, details, folder)
    write_result(result)
    return result


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
) -> tuple[list[Method], dict[str, np.ndarray]]:
    """Score the best of each family once; return them by validation accuracy with the arrays of the first."""
    best: dict[str, Method] = {}
    for method in found.methods:
        best.setdefault(method.name, method)
    tested: list[Method] = []
    kept: dict[str, np.ndarray] = {}
    for name, method in best.items():
        chosen = _keras_final(found, method, cache) if name == "head" else _fitted(found, method, cache, ground, team)
        kept = kept or dict(chosen.arrays())
        tested.append(_scored(chosen, ground))
    return tested, kept


def _scored(chosen: Final, ground: Ground) -> Method:
    if chosen.probabilities:
        return ground.final.score_probabilities(chosen.method, chosen.probabilities)
    return ground.final.score(chosen.method, chosen.predict)


def _fitted(found: Found, method: Method, cache: Features, ground: Ground, team: Workers) -> Final:
    chosen = next(one for one in found.candidates if one.method is method)
    return finished(chosen, cache, ground.held, ground.part, team)


def _keras_final(found: Found, method: Method, cache: Features) -> Final:
    trained = next(one for one in found.heads if one.method is method)

    def arrays() -> dict[str, np.ndarray]:
        kernel, bias = trained.model.get_layer("classes").get_weights()
        return {"coefficients": kernel.T.astype(np.float64), "intercept": bias.astype(np.float64)}

    def probabilities(part: Part) -> np.ndarray:
        return predict_head(trained.model, cache, method.layers[0], part)

    return Final(method, lambda part: probabilities(part).argmax(axis=1), arrays, probabilities)


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


def _recipe(experiment: Experiment, cache: Features, method: Method, kind: str) -> dict[str, Any]:
    row = method.as_json()
    return {
        "method": method.name,
        "layers": list(method.layers),
        "pooling": dict(zip(cache.layers, _poolings(experiment, cache), strict=True)),
        "views": list(cache.identity["input.views"]),
        "classes": list(cache.class_names),
        "hyperparameters": dict(method.hyperparameters),
        "standardisation": "inside the coefficients" if method.name != "knn" else "mean and scale",
        "cache_identity": cache.identity,
        "cache_key": cache.key,
        "scored_on": kind,
        "n": row["n"],
        "accuracy": row["accuracy"],
        "interval": row["interval"],
        "experiment": experiment_json(experiment),
    }


def _poolings(experiment: Experiment, cache: Features) -> tuple[str, ...]:
    pooling = experiment.features.pooling
    return pooling if len(pooling) == len(cache.layers) else pooling * len(cache.layers)
