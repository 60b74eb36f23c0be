"""The probe: which layer and which cheap classifier give the best accuracy on cached features."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bottleneck_features.models.parallel import workers
from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.evaluation.calibration import Calibration
from bottleneck_features.pipeline.evaluation.scored import keep_predictions
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.trained import TrainedMethod
from bottleneck_features.pipeline.method_row import Method
from bottleneck_features.pipeline.methods.best_probe import final_probe, search_probes
from bottleneck_features.pipeline.methods.kept_head import build_saved_head
from bottleneck_features.pipeline.methods.layer_rows import is_spatial
from bottleneck_features.pipeline.methods.probe_search import Candidate
from bottleneck_features.pipeline.methods.saved_head import linked, save_head
from bottleneck_features.pipeline.results import Result

SPATIAL = (
    "Spatial maps (pooling none) were averaged over their positions before the probes; the Keras head pools as well."
)


def probe(study: Study) -> Result:
    """Probe each cached layer, and layers side by side, with logistic regression, ridge, k-NN and the walk-through's head.

    Settings and layers are chosen on validation samples. The best of each family is fitted again on training and
    validation samples together (except the Keras head, whose epoch was chosen on the validation samples) and scored once
    on the test split. Every family's classifier is kept in `head-FAMILY.npz`, the best one's in `head.npz` too; where k-NN,
    which cannot be exported, is not significantly better, the best of the others is taken.

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
        found = search_probes(study)
    with study.clock.phase("evaluate"), workers() as pool:
        finals = [final_probe(study, one, pool) for one in found.best_of_families()]
        tested = [evaluation.score(final) for final in finals]
    tested[0] = replace(tested[0], kept=True)
    searched = [_path_json(one) for one in found.candidates]
    with study.clock.phase("write"):
        heads, calibrations = _save_heads(study, finals, tested)
        files = [
            *heads,
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
        "calibration": calibrations[0].as_json(),
        "duplicates": study.duplicates.as_json(),
        "predictions": keep_predictions(study),
        "files": [str(file) for file in files],
    }
    spatial = (SPATIAL,) if is_spatial(cache) else ()
    return study.write(details, (*study.scored_warnings(details["methods"]), *found.warnings(), *spatial), cache.key)


def _save_heads(
    study: Study, finals: Sequence[TrainedMethod], rows: Sequence[Method]
) -> tuple[list[Path], list[Calibration]]:
    """Keep the head of every family, and the first once more as the one that `predict` takes.

    Returns:
        The files, and the calibration of each.
    """
    labels = study.labels(study.holdout.validation)
    calibrations = [
        study.evaluation.calibration(row.label, (labels, final.validation_probabilities))
        for final, row in zip(finals, rows, strict=True)
    ]
    files = []
    for final, row, calibration in zip(finals, rows, calibrations, strict=True):
        head = build_saved_head(study, row, final.model, calibration.temperature)
        files.append(save_head(head, study.folder / f"head-{row.name}.npz"))
    return [linked(files[0], study.folder / "head.npz"), *files], calibrations


def _path_json(candidate: Candidate) -> dict[str, Any]:
    path = candidate.path
    return {
        "family": candidate.method.name,
        "layers": list(candidate.method.layers),
        path.setting: path.values.tolist(),
        "accuracy": path.accuracy.tolist(),
        "chosen": path.chosen,
    }
