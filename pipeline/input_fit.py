"""How images of another aspect are brought to the network's size: the one place where `input.fit = "auto"` is decided."""

from dataclasses import replace
from typing import Final

from bottleneck_features import models
from bottleneck_features.models.fitting import Fit
from bottleneck_features.pipeline.dataset_settings import FILE_SOURCES
from bottleneck_features.pipeline.experiment import Experiment

STRETCH: Final = "stretch"
CROP: Final = "crop"


def resolved_fit(experiment: Experiment) -> tuple[Fit, float]:
    """Return `stretch`, `crop` or `pad`, and the share of the shorter side that a crop keeps (1 for the others).

    `auto` is the backbone's published protocol for image files, and `stretch` for arrays. It goes by the source and not by the
    sizes of the images, so that one image more never changes what becomes of the others.

    Raises:
        models.ModelError: what the backbone was published with is asked for, and there is no such backbone.
    """
    asked = experiment.input
    if asked.fit == "auto" and experiment.dataset.source not in FILE_SOURCES:
        return STRETCH, 1.0
    if asked.fit != "auto" and (asked.fit != CROP or asked.crop_share):
        return asked.fit, asked.crop_share if asked.fit == CROP else 1.0
    published = models.find_source(experiment.backbone.name).protocol
    fit = published.fit if asked.fit == "auto" else asked.fit
    return fit, (asked.crop_share or published.crop_share) if fit == CROP else 1.0


def graph_fit(experiment: Experiment) -> tuple[Fit, float]:
    """Return the same of what is left to the network's graph: files are fitted when they are decoded."""
    return (STRETCH, 1.0) if experiment.dataset.source in FILE_SOURCES else resolved_fit(experiment)


def with_resolved_fit(experiment: Experiment) -> Experiment:
    """Return the experiment with what `auto` stands for, as results, caches and models keep it."""
    fit, share = resolved_fit(experiment)
    return replace(experiment, input=replace(experiment.input, fit=fit, crop_share=share if fit == CROP else 0.0))
