"""Trains the network itself, on the same splits as the methods on frozen features."""

from typing import Any

from bottleneck_features import models
from bottleneck_features.features.storage import workshop
from bottleneck_features.models.downloads import file_digest
from bottleneck_features.pipeline.evaluation.scored import score_method, scored_details, scored_pictures
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.experiment import with_random_weights
from bottleneck_features.pipeline.extraction.cache import data_warnings
from bottleneck_features.pipeline.extraction.identity import backbone_label
from bottleneck_features.pipeline.methods.network import starts_from_probe, train_network
from bottleneck_features.pipeline.methods.pixels import pixels_on_disk
from bottleneck_features.pipeline.results import Result

MODEL = "model.keras"


def fine_tune(study: Study) -> Result:
    """Train the network and score the test split once, if there is one.

    Args:
        study: the experiment, opened for one of `NETWORKS`, see `train_network`; its `finetune` section is the recipe, and the
            new last layer stands on the last of its `backbone.layers`.

    Returns:
        The `Result`, with `methods`, `history`, `scored_on`, `confusion` (rows: true classes), `calibration`,
        `pixels` (how images were decoded) and `files`.

    Raises:
        NoCache: there is no cache, which the linear probe needs that `fine-tune` starts from.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: a class has too few samples, or too few groups, to train and to validate.
        models.ModelError: the backbone, `finetune.from_layer` or the weights are not available, or another setting is wrong.
        PipelineError: the loss became NaN.
    """
    experiment, method = study.experiment, study.command
    models.require_trainable(experiment.backbone.name)
    cache = study.cache if starts_from_probe(experiment, method) else study.cache_if_any
    _ = study.evaluation  # classes too small to be split are named before anything is trained
    with pixels_on_disk(study.dataset, study.home) as pixels:
        with study.clock.phase("train"):
            trained = train_network(study, pixels, method)
        with study.clock.phase("evaluate"):
            found = score_method(study, trained)
    with workshop(study.folder / MODEL) as making:
        with study.clock.phase("write"):
            trained.model.save(making / MODEL)
            pictures = scored_pictures(study, found)
        started = with_random_weights(experiment) if method == "from-scratch" else experiment
        details: dict[str, Any] = {
            "data": study.dataset.title,
            "backbone": backbone_label(started),
            "pixels": dict(study.dataset.identity),
            **scored_details(study, found),
            "images_per_second": None,
            "model_sha256": file_digest(making / MODEL),
            "files": [str(file) for file in (study.folder / MODEL, *pictures)],
        }
        warnings = (
            *data_warnings(started, study.dataset),
            *study.evaluation_warnings(),
            *study.duplicates.warnings(details["methods"]),
        )
        (making / MODEL).replace(study.folder / MODEL)
    return study.write(details, warnings, cache.key if cache else "")
