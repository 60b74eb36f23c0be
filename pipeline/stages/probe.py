"""The probe: which layer and which cheap classifier give the best accuracy on cached features."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bottleneck_features.features.storage import publish_link
from bottleneck_features.models.parallel import workers
from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.evaluation.scored import (
    curves_of,
    keep_predictions,
    score_details,
    score_method,
)
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.method_names import BEST_PROBE
from bottleneck_features.pipeline.methods.best_probe import (
    final_probe,
    heads_of_layers,
    probes_of_fold,
    probes_of_seed,
    search_with_progress,
)
from bottleneck_features.pipeline.methods.cross_validation import Folding, cross_validate
from bottleneck_features.pipeline.methods.kept_head import build_saved_head, seen_images
from bottleneck_features.pipeline.methods.layer_rows import is_spatial
from bottleneck_features.pipeline.methods.probe_search import Candidate
from bottleneck_features.pipeline.methods.saved_head import SavedHead, save_head
from bottleneck_features.pipeline.methods.seeds import Seeds, spread_details
from bottleneck_features.pipeline.results import Result
from bottleneck_features.pipeline.use.keeping import keep_network

SPATIAL = (
    "Spatial maps (pooling none) were averaged over their positions before the probes; the Keras head pools as well."
)


def probe(study: Study, folding: Folding | None = None, seeds: Seeds | None = None) -> Result:
    """Probe each cached layer, and layers side by side, with logistic regression, ridge, k-NN and the walk-through's head.

    Settings and layers are chosen on validation samples. The best of each family is fitted again on training and
    validation samples together (except the Keras head, whose epoch was chosen on the validation samples) and scored once
    on the test split. Every family's classifier is kept in `head-FAMILY.npz`, the best one's in `head.npz` too; where k-NN,
    which cannot be exported, is not significantly better, the best of the others is taken.

    Args:
        study: the experiment, opened; its cache must be complete.
        folding: how the training images are cross-validated: beside the test split, or in its place where there is none. The
            walk-through's head is left out where nothing else is scored.
        seeds: the other splits and trainings that the spread of each family, and of the choice among them, is measured over.

    Returns:
        The `Result`, with `methods` (one per family, scored), `table` (all, by validation accuracy), `paths`, `pairs`,
        `confusion` (by label), `calibration` (of the best family), `scored_on`, `test_scorings`, `network` (kept beside the
        heads), `files` and, where asked for, `seeds`.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: a class has too few samples, or too few groups, to train and to validate.
        PipelineError: the Keras head's loss became NaN.
    """
    with workers() as pool:
        with study.clock.phase("cross-validate"):
            folded = cross_validate(study, folding, probes_of_fold(pool)) if folding else None
        alone = folded is not None and "test" not in study.dataset.splits
        if folded and alone:
            study = study.cross_validated(folded)
        with study.clock.phase("search"):
            found = search_with_progress(study, pool, [] if alone else heads_of_layers(study))
        with study.clock.phase("evaluate"):
            kept, *others = [final_probe(study, one, pool) for one in found.best_of_families()]
            finals = [replace(kept, method=replace(kept.method, kept=True)), *others]
            tested = [score_method(study, final, folded) for final in finals]
        rows = [one.row for one in tested]
        present = {**{row.name: row for row in rows}, BEST_PROBE: rows[0]}
        spread = {"seeds": spread_details(seeds, probes_of_seed(pool), present)} if seeds else {}
    seen = seen_images(study)
    with study.clock.phase("write"):
        select = study.target.select
        searched = [_path_json(one) for one in found.candidates]
        heads = [
            build_saved_head(study, one.row, one.trained.model, one.calibration.temperature, seen) for one in tested
        ]
        network = keep_network(study, heads, study.folder)
        depth = plots.depth(found.methods, study.cache.layers, study.backbone, select)
        files = [
            *_save_heads(heads, study.folder),
            plots.save_figure(plots.paths(searched, select), study.folder / "paths.png"),
            plots.save_figure(depth, study.folder / "depth.png"),
        ]
    details: dict[str, Any] = {
        "data": study.dataset.title,
        "backbone": study.backbone,
        "classes": list(study.classes),
        "images_per_second": study.images_per_second,
        "methods": [row.as_json() for row in rows],
        **score_details(study, folded),
        "test_scorings": study.evaluation.scorings if study.evaluation.kind == "test" else 0,
        "table": [method.as_json() for method in found.methods],
        "paths": searched,
        **spread,
        "pairs": study.evaluation.comparisons(rows[0].label),
        "curves": curves_of(study, rows),
        "confusion": {one.row.label: one.confusion.tolist() for one in tested},
        "calibration": tested[0].calibration.as_json(),
        "duplicates": study.duplicates.as_json(),
        "predictions": keep_predictions(study, tested),
        "network": network.kept,
        "files": [str(file) for file in files],
    }
    spatial = (SPATIAL,) if is_spatial(study.cache) else ()
    warnings = (*study.scored_warnings(details["methods"]), *found.warnings(), *spatial, *network.warnings)
    return study.write(details, warnings, study.cache.key)


def _save_heads(heads: Sequence[SavedHead], folder: Path) -> list[Path]:
    """Keep the head of every family, and the first once more as the one that `predict` takes."""
    files = [save_head(head, folder / f"head-{head.recipe['method']}.npz") for head in heads]
    publish_link(folder / "head.npz", files[0])
    return [folder / "head.npz", *files]


def _path_json(candidate: Candidate) -> dict[str, Any]:
    path = candidate.path
    return {
        "family": candidate.method.name,
        "layers": list(candidate.method.layers),
        path.setting: path.values.tolist(),
        "accuracy": path.accuracy.tolist(),
        "criterion": path.criterion.tolist(),
        "chosen": path.chosen,
    }
