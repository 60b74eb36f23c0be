"""Stage two: train the walk-through's head on cached features."""

from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.evaluation.scored import score_method, scored_details, scored_pictures
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.methods.head import fit_head
from bottleneck_features.pipeline.methods.kept_head import build_saved_head, head_classifier, seen_images
from bottleneck_features.pipeline.methods.saved_head import save_head
from bottleneck_features.pipeline.results import Result
from bottleneck_features.pipeline.use.keeping import keep_network


def train_head(study: Study) -> Result:
    """Train the head on the last cached layer and score the test split once, if there is one.

    Args:
        study: the experiment, opened; its cache must be complete.

    Returns:
        The `Result`, with `methods`, `history`, `scored_on` (`test` or `validation`), `confusion` on it (rows: true
        classes), `calibration` (before and after temperature scaling), `duplicates` across splits, `network` (kept beside the
        head) and `files`.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: a class has too few samples, or too few groups, to train and to validate.
        PipelineError: the loss became NaN.
    """
    cache, evaluation = study.cache, study.evaluation
    with study.clock.phase("train"):
        trained = fit_head(study, cache.layers[-1:])
    with study.clock.phase("evaluate"):
        method = score_method(study, trained)
        details = scored_details(study, method)
    warnings = study.scored_warnings(details["methods"])
    seen = seen_images(study)
    with study.clock.phase("write"):
        title = f"{method.row.title} on {len(study.scored_images):,} {evaluation.kind} images; T fitted on validation"
        calibration = method.calibration
        diagram = plots.reliability_diagram(calibration.as_json(), title)
        pictures = [*scored_pictures(study, method), plots.save_figure(diagram, study.folder / "reliability.png")]
        head = build_saved_head(study, method.row, head_classifier(trained.model), calibration.temperature, seen)
        files = [save_head(head, study.folder / "head.npz"), *pictures]
        network = keep_network(study, [head], study.folder)
    details |= {
        "backbone": study.backbone,
        "images_per_second": study.images_per_second,
        "network": network.kept,
        "files": [str(file) for file in files],
    }
    return study.write(details, (*warnings, *network.warnings), cache.key)
