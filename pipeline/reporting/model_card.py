"""The model card: what an exported model is, how good it is, what it is not for, and how to run it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bottleneck_features import models
from bottleneck_features.models.fitting import cropped_from
from bottleneck_features.pipeline.machine import versions
from bottleneck_features.pipeline.method_row import CROSS_VALIDATED
from bottleneck_features.pipeline.reporting.page import environment
from bottleneck_features.pipeline.tables import SPLIT_TITLES, accuracy_text
from bottleneck_features.pipeline.use.saved_model import SavedModel
from bottleneck_features.plain import markdown, one_line

CARD = "model-card.md"
_KERNELS = {
    "nearest": "NEAREST",
    "bilinear": "BILINEAR",
    "bicubic": "BICUBIC",
    "lanczos3": "LANCZOS",
    "area": "BOX",
}


def model_card(model: SavedModel, details: Mapping[str, Any], warnings: Sequence[str]) -> str:
    """Return the card in Markdown.

    Args:
        model: what was exported.
        details: `exported`, `checked_images` and `against_pipeline` of the export's result.
        warnings: what a reader must know about the data and the weights.
    """
    templates = environment(autoescape=False)
    templates.filters |= {"thousands": lambda n: f"{n:,}", "plain": lambda text: markdown(str(text)), "code": _code}
    backbone, known = model.experiment.backbone, model.known
    splits = [split for split in ("validation", "test", CROSS_VALIDATED) if known["accuracy"].get(split) is not None]
    return templates.get_template(CARD).render(
        name=model.experiment.name,
        model=model,
        classes=[markdown(name) for name in model.classes],
        known=known,
        scores=[(SPLIT_TITLES.get(split, split), known["n"][split], accuracy_text(known, split)) for split in splits],
        warnings=[one_line(warning) for warning in warnings],
        weights=models.weights_identity(backbone.name, backbone.weights, model.experiment.seed),
        resizing=model.resizing,
        kernel=_KERNELS[model.resizing.kernel],
        whole=cropped_from(model.resizing.size, model.resizing.crop_share),
        exported=[one for one in details["exported"] if one["path"]],
        against=details["against_pipeline"],
        checked=details["checked_images"],
        versions=", ".join(f"{name} {version}" for name, version in versions().items()),
        date=datetime.now(UTC).date().isoformat(),
    )


def _code(text: object) -> str:
    """Return text for inside a pair of backticks."""
    return one_line(str(text)).replace("`", "'")
