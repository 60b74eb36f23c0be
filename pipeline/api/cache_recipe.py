"""The recipe of a cache, to make more features exactly like it; refused where it cannot be followed here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bottleneck_features import features, models
from bottleneck_features.pipeline.dataset_settings import FILE_SOURCES
from bottleneck_features.pipeline.datasets.assembly import resizing_of, resizing_to
from bottleneck_features.pipeline.datasets.pixels.decoding import DECODING, RECIPE
from bottleneck_features.pipeline.datasets.pixels.value_ranges import kept_ranges
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.experiment_file import as_made, restored_experiment
from bottleneck_features.pipeline.extraction.calibration import kept_calibration
from bottleneck_features.pipeline.extraction.identity import pixels_of
from bottleneck_features.pipeline.machine import hardware, versions
from bottleneck_features.pipeline.use.image_features import ImageRecipe
from bottleneck_features.plain import one_line

CALIBRATION = "compute.calibration"
MAKERS = ("tensorflow", "keras", "numpy", "openvino")


def recipe_of_cache(cache: features.Features, home: Path) -> ImageRecipe:
    """Return how the features of a cache were made.

    Args:
        cache: the open cache.
        home: the artifacts folder, where the images are kept that an int8 network was calibrated on.

    Raises:
        RequestError: the cache was imported, or was made by what is not here: other weights, another decoder, an engine or a
            precision that this machine lacks; names each field with both values.
    """
    experiment = _experiment(cache)
    _require_engine(experiment, cache)
    pixels = pixels_of(cache.identity, cache)
    shape = _image_shape(experiment, cache)
    calibration = None
    if CALIBRATION in cache.identity:
        calibration = kept_calibration(experiment, pixels, shape, home)
        if calibration is None:
            raise RequestError(
                f"The images that the int8 network of {cache.path} was calibrated on are not in {home}/calibrations. Give the "
                "artifacts folder in which the cache was made, as home."
            )
    found = ImageRecipe(experiment, pixels, resizing_to(experiment, shape, kept_ranges(cache.identity)), calibration)
    _require_same(found, cache)
    return found


def another_machine(cache: features.Features) -> str:
    """Return what computes here that did not make a cache, so that the low bits of new features may differ; empty: nothing."""
    made = {"processor": _part(cache, "hardware").get("processor"), **_part(cache, "versions")}
    here = {"processor": hardware()["processor"], **versions(MAKERS)}
    changed = [
        f"{name} {made[name]} there, {here[name]} here" for name in here if made.get(name, here[name]) != here[name]
    ]
    if not changed:
        return ""
    return (
        f"{cache.path.name} was made on another kind of machine, so the low bits of new features may differ: "
        f"{one_line('; '.join(changed))}."
    )


def _part(cache: features.Features, name: str) -> Mapping[str, Any]:
    found = cache.provenance.get(name)
    return found if isinstance(found, Mapping) else {}


def _experiment(cache: features.Features) -> Experiment:
    """Return the settings of a cache, with the engine and the precision that made it."""
    settings = cache.provenance.get("settings")
    if not isinstance(settings, Mapping) or "backbone.name" not in cache.identity:
        raise RequestError(
            f"{cache.path} does not say how its features were made (they were imported, or are of an earlier release), so no "
            "others can be made like them."
        )
    table = as_made(settings)
    table.pop("compare", None)  # methods may have had other names
    table["compute"] |= {key: cache.identity[f"compute.{key}"] for key in ("engine", "precision", "batch_size")}
    return restored_experiment(table, str(cache.path))


def _require_engine(experiment: Experiment, cache: features.Features) -> None:
    compute = experiment.compute
    try:
        models.backbone_engine(experiment.backbone.name, compute.engine, compute.precision)
    except models.EngineUnavailable as reason:
        raise RequestError(
            f"The features of {cache.path} were made by {compute.engine} in {compute.precision}, which this machine cannot do: "
            f"{reason}"
        ) from reason


def _image_shape(experiment: Experiment, cache: features.Features) -> tuple[int, int, int]:
    if experiment.dataset.source in FILE_SOURCES:
        return (*resizing_of(experiment).size, 3)
    try:
        height, width, channels = map(int, cache.provenance["image_shape"])
    except (KeyError, TypeError, ValueError):
        raise RequestError(
            f"{cache.path} does not say how large its images are (it is of an earlier release). Extract its features again: "
            "bottleneck cache rm, then bottleneck features."
        ) from None
    return height, width, channels


def _require_same(found: ImageRecipe, cache: features.Features) -> None:
    ours: dict[str, Any] = dict(found.fields)
    if DECODING in ours:
        ours[DECODING] = RECIPE
    splits = {f"dataset.{name}" for name in (*cache, "labels")}
    theirs = {key: value for key, value in cache.identity.items() if key not in splits}
    if differences := features.differences(ours, theirs):
        lines = "\n".join(f"  {one.field}: {one.theirs} then, {one.ours} now" for one in differences)
        raise RequestError(f"The features of {cache.path} cannot be made here as they were made:\n{lines}")
