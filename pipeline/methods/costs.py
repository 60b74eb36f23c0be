"""How long methods take to train on this machine, estimated before they are."""

from collections.abc import Mapping
from typing import Any

from bottleneck_features import models
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.methods.cross_validation import Folding

SECONDS_A_PIXEL, SECONDS_A_STEP = (
    1e-6,
    0.01,
)  # of training the small ConvNet: 36 to 46 s of photo-patches, 17 s of digits
HEAD_SECONDS_A_STEP, HEAD_START = 0.003, 3.0
# A training step in float32 against a forward pass in the extraction's precision, per image; 17 s an epoch of 1,279 images of 96
# pixels through EfficientNet-Lite0 on two cores, whose bfloat16 pass takes 0.8 s. And what is spent before the first step.
TRAINING_COST, TRAINING_COST_REDUCED, SECONDS_TO_START = (
    6.0,
    20.0,
    8.0,
)  # against float32, and against a faster precision
DEFAULT, LARGER = "efficientnet-lite0", "resnet50"
# 240 photographs at 224 pixels, bfloat16, two cores with AMX: 430 to 444 images/s through the one, 114 to 115 through the other
LARGER_MEGABYTES, LARGER_COST = 98, 4.0


def larger_network(study: Study) -> dict[str, Any] | None:
    """Return what a larger network than the default one would cost: `backbone`, `download_mb`, `extraction_seconds`.

    Returns:
        None where another one was chosen; the seconds are None where the speed of stage one is not known.
    """
    if study.experiment.backbone.name != DEFAULT:
        return None
    own = study.extraction_seconds
    seconds = None if own is None else round(LARGER_COST * own, 1)
    return {"backbone": LARGER, "download_mb": LARGER_MEGABYTES, "extraction_seconds": seconds}


def estimated_seconds(study: Study, folding: Folding | None = None) -> Mapping[str, float | None]:
    """Return about how long each of `head`, `convnet-small` and `fine-tune` takes to train; None where it is not known.

    Args:
        study: the experiment, opened.
        folding: how they are cross-validated: each is trained once a fold.
    """
    alone = _once(study)
    if folding is None:
        return alone
    share = (folding.folds - 1) / folding.folds * len(study.dataset.splits["train"]) / len(study.holdout.train)
    return {name: None if one is None else one * folding.folds * share for name, one in alone.items()}


def _once(study: Study) -> dict[str, float | None]:
    experiment, count = study.experiment, len(study.holdout.train)
    steps = -(-count // experiment.head.batch_size)
    return {
        "head": HEAD_START + experiment.head.epochs * steps * HEAD_SECONDS_A_STEP,
        "convnet-small": small_convnet_seconds(study),
        "fine-tune": fine_tune_seconds(study),
    }


def can_be_trained(study: Study) -> bool:
    """Return whether the network itself can be trained; a file that OpenVINO runs as it is cannot."""
    return not models.find_source(study.experiment.backbone.name).trainable


def fine_tune_seconds(study: Study) -> float | None:
    """Return about how long fine-tuning takes; None where the speed of stage one is not known."""
    rate, precision = study.images_per_second, study.cache.identity["compute.precision"]
    if not rate:
        return None
    passes = study.experiment.finetune.epochs * len(study.holdout.train)
    cost = TRAINING_COST if precision == "float32" else TRAINING_COST_REDUCED
    return SECONDS_TO_START + cost * passes / rate


def small_convnet_seconds(study: Study) -> float:
    """Return about how long the small ConvNet takes to train."""
    height, width, _ = study.dataset.image_shape
    settings, count = study.experiment.convnet, len(study.holdout.train)
    steps_an_epoch = -(-count // settings.batch_size)
    return settings.epochs * (height * width * count * SECONDS_A_PIXEL + steps_an_epoch * SECONDS_A_STEP)
