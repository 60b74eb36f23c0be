"""The network of an experiment: opened as it was kept in the home, without TensorFlow, or built, and then kept."""

import errno
import hashlib
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, Field

from bottleneck_features import models
from bottleneck_features.features.manifest import seal
from bottleneck_features.features.storage import remove_stale, sha256_of, workshop
from bottleneck_features.foreign import read_json
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.opened import OpenedExperiment
from bottleneck_features.pipeline.machine import machine_kind, versions
from bottleneck_features.quiet import import_tensorflow

logger = logging.getLogger(__name__)

NETWORKS, DESCRIPTION = "networks", "network.json"
FILES = ("network.xml", "network.bin")
FORMAT: Final = 1  # of the description and of what is traced; networks of another one are built again
MAKERS = ("bottleneck-features", "tensorflow", "keras", "numpy", "openvino", "nncf")


class KeptNetwork(BaseModel):
    """What is written beside a kept network: whose it is, who made it, and what an extractor says of itself."""

    format: Literal[1]
    recipe_key: str
    made_by: dict[str, str]
    files: dict[str, str]
    recipe: models.Recipe
    precision: str
    output_shapes: dict[str, tuple[int, ...]]
    check: dict[str, dict[str, float]]
    gflop_per_image: Annotated[float, Field(ge=0)]


def network_folder(opened: OpenedExperiment) -> Path:
    """Return where the network of an experiment is kept: images of other sizes need another one for the same recipe."""
    height, width, _ = opened.dataset.image_shape
    return opened.home / NETWORKS / f"{opened.recipe_key[:16]}-{height}x{width}"


def opened_or_built(opened: OpenedExperiment) -> models.Extractor:
    """Return what extracts the layers of an experiment, from the network that was kept for it if it can be used."""
    return open_network(opened) or build_network(opened)


def describe_network(opened: OpenedExperiment) -> KeptNetwork | None:
    """Return what is known of the network that was kept for an experiment; None: there is none, or other versions made it."""
    if opened.identity["compute.engine"] != "openvino":
        return None
    try:
        content = read_json(network_folder(opened) / DESCRIPTION)
        known = KeptNetwork.model_validate(content)
    except (OSError, ValueError):
        return None
    own = known.recipe_key == opened.recipe_key and known.made_by == _makers(known.precision)
    return known if own and content.get("sha256") == seal(content) else None


def open_network(opened: OpenedExperiment) -> models.Extractor | None:
    """Open the network that was kept for an experiment.

    Returns:
        An extractor that gives the features of the one that was built, bit for bit; None where no network was kept, or it is
        damaged, or other versions made it.
    """
    known = describe_network(opened)
    if known is None:
        return None
    folder = network_folder(opened)
    try:
        xml, weights = ((folder / name).read_bytes() for name in FILES)
        found = {name: hashlib.sha256(part).hexdigest() for name, part in zip(FILES, (xml, weights), strict=True)}
        if known.files != found:
            return None
        return models.open_extractor(
            xml,
            weights,
            known.recipe,
            precision=known.precision,
            batch_size=opened.experiment.compute.batch_size,
            output_shapes=known.output_shapes,
            check=known.check,
            gflop_per_image=known.gflop_per_image,
        )
    except (OSError, ValueError, RuntimeError):
        return None


def _makers(precision: str) -> dict[str, str]:
    """Return what decides the bits of a network that is made here; int8 is calibrated by computing, so the machine does too."""
    machine = {"machine": machine_kind("openvino")} if precision == "int8" else {}
    return {**{name: found for name, found in versions(MAKERS).items() if name != "python"}, **machine}


def build_network(opened: OpenedExperiment) -> models.Extractor:
    """Load the backbone of an experiment and compile what extracts its layers; OpenVINO's network is kept, if it can be written.

    Raises:
        models.ModelError: see `experiment_extractor`.
    """
    if opened.identity["compute.engine"] != "openvino":
        return experiment_extractor(opened.experiment, opened.dataset.image_shape, opened.calibration)
    folder, extractor = network_folder(opened), None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(folder.parent, folder.name)
        with workshop(folder) as making:
            extractor = experiment_extractor(
                opened.experiment, opened.dataset.image_shape, opened.calibration, making / FILES[0]
            )
            (making / DESCRIPTION).write_text(json.dumps(_described(making, extractor, opened.recipe_key), indent=1))
            _give_name(making, folder)
    except OSError as error:
        logger.warning("The compiled network is not kept in %s (%s): the next run compiles it again.", folder, error)
    return extractor or experiment_extractor(opened.experiment, opened.dataset.image_shape, opened.calibration)


def _described(folder: Path, extractor: models.Extractor, recipe_key: str) -> dict[str, Any]:
    kept = KeptNetwork(
        format=FORMAT,
        recipe_key=recipe_key,
        made_by=_makers(extractor.precision),
        files={name: sha256_of(folder / name) for name in FILES},
        recipe=extractor.recipe,
        precision=extractor.precision,
        output_shapes=extractor.output_shapes,
        check=extractor.check,
        gflop_per_image=extractor.gflop_per_image,
    )
    content = kept.model_dump(mode="json")
    return {**content, "sha256": seal(content)}


def _give_name(making: Path, folder: Path) -> None:
    """Put a finished folder in the place of what could not be used; of processes that do so at once one succeeds."""
    with workshop(folder) as aside:
        with suppress(FileNotFoundError):
            folder.replace(aside / folder.name)
        try:
            making.replace(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def experiment_extractor(
    experiment: Experiment,
    image_shape: tuple[int, int, int],
    calibration: np.ndarray | None = None,
    network_file: Path | None = None,
) -> models.Extractor:
    """Compile what turns images into the features of an experiment.

    Args:
        experiment: its `backbone`, `input`, `features` and `compute` sections.
        image_shape: of the uint8 images to come.
        calibration: uint8 images `(n, *image_shape)` of the training split; int8 needs them.
        network_file: where OpenVINO's network is written too, see `models.build_extractor`.

    Raises:
        models.ModelError: the backbone, a layer, the weights or the engine are not available, or another setting is wrong.
        OSError: `network_file` cannot be written.
    """
    import_tensorflow()
    backbone = models.load_backbone(
        experiment.backbone.name, experiment.backbone.weights, experiment.input.size, experiment.seed
    )
    return models.build_extractor(
        backbone,
        layers=experiment.backbone.layers,
        pooling=experiment.features.pooling,
        input_shape=image_shape[:2],
        resize=experiment.input.resize,
        antialias=experiment.input.antialias,
        views=experiment.input.views,
        engine=experiment.compute.engine,
        precision=experiment.compute.precision,
        batch_size=experiment.compute.batch_size,
        calibration=calibration,
        network_file=network_file,
    )
