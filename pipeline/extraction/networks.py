"""The network of a recipe: opened as it was kept in the home, without TensorFlow, or built, and then kept."""

import errno
import hashlib
import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from bottleneck_features import models
from bottleneck_features.errors import first_line
from bottleneck_features.features.manifest import seal
from bottleneck_features.features.storage import remove_stale, sha256_of, workshop
from bottleneck_features.foreign import problem_of, read_json
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.opened import OpenedExperiment
from bottleneck_features.pipeline.input_fit import graph_fit
from bottleneck_features.pipeline.machine import machine_kind, versions
from bottleneck_features.pipeline.resolved_experiment import asked_preprocessing
from bottleneck_features.quiet import import_tensorflow

logger = logging.getLogger(__name__)

NETWORKS, DESCRIPTION = "networks", "network.json"
FILES = ("network.xml", "network.bin")
FORMAT: Final = 2  # of the description and of what is traced; networks of another one are built again
MAKERS = ("bottleneck-features", "tensorflow", "keras", "numpy", "openvino", "nncf")


@dataclass(frozen=True, eq=False)
class WantedNetwork:
    """The network of a recipe, which may have been kept in a home.

    Attributes:
        experiment: its `backbone`, `input`, `features` and `compute` sections.
        image_shape: `(height, width, 3)` of the uint8 images to come.
        home: the artifacts folder.
        recipe_key: SHA-256 of all that the features of an image depend on besides the image and the machine.
        calibration: uint8 images `(n, *image_shape)`, which int8 needs; else None.
    """

    experiment: Experiment
    image_shape: tuple[int, int, int]
    home: Path
    recipe_key: str
    calibration: np.ndarray | None = None

    @property
    def folder(self) -> Path:
        """Where the network is kept: images of other sizes need another one for the same recipe."""
        return kept_in(self.home, self.recipe_key, self.image_shape)

    @property
    def can_be_kept(self) -> bool:
        """Whether it is one of those that are written: those of OpenVINO."""
        compute = self.experiment.compute
        return models.backbone_engine(self.experiment.backbone.name, compute.engine, compute.precision)[0] == "openvino"


class KeptNetwork(BaseModel):
    """What is written beside a kept network: whose it is, who made it, and what an extractor says of itself."""

    format: Literal[2]
    recipe_key: str
    made_by: dict[str, str]
    files: dict[str, str]
    recipe: models.Recipe
    precision: Annotated[str, Field(pattern="^(float32|bfloat16|int8)$")]
    output_shapes: dict[str, Annotated[tuple[int, ...], Field(min_length=1)]]
    check: dict[str, dict[str, float]]
    gflop_per_image: Annotated[float, Field(ge=0)]


def kept_in(home: Path, recipe_key: str, image_shape: tuple[int, int, int]) -> Path:
    """Return the folder in which a home keeps the network of a recipe for images of a shape."""
    height, width, _ = image_shape
    return home / NETWORKS / f"{recipe_key[:16]}-{height}x{width}"


def network_of(opened: OpenedExperiment) -> WantedNetwork:
    """Return the network of an experiment."""
    return WantedNetwork(
        opened.experiment, opened.dataset.image_shape, opened.home, opened.recipe_key, opened.calibration
    )


def opened_or_built(wanted: WantedNetwork) -> models.Extractor:
    """Return what extracts the layers of a recipe, from the network that was kept for it if it can be used."""
    return open_network(wanted) or build_network(wanted)


def describe_network(wanted: WantedNetwork) -> KeptNetwork | None:
    """Return what is known of the network that was kept for a recipe; None: there is none, or other versions made it."""
    if not wanted.can_be_kept:
        return None
    try:
        known = described(wanted.folder, wanted.recipe_key)
    except (OSError, ValueError):
        return None
    return known if known.made_by == _makers(known.precision) else None


def open_network(wanted: WantedNetwork) -> models.Extractor | None:
    """Open the network that was kept for a recipe.

    Returns:
        An extractor that gives the features of the one that was built, bit for bit; None where no network was kept, or it is
        damaged, or other versions made it.
    """
    known = describe_network(wanted)
    if known is None:
        return None
    try:
        return open_kept(wanted.folder, known, known.precision, wanted.experiment.compute.batch_size)
    except (OSError, ValueError):
        return None


def described(folder: Path, recipe_key: str) -> KeptNetwork:
    """Return what is written beside a kept network, whoever made it.

    Args:
        folder: in which it is.
        recipe_key: of the features that it must give.

    Raises:
        FileNotFoundError: none is kept there.
        OSError: its description cannot be read.
        ValueError: saying why it cannot be used: it is damaged, or the network of other features.
    """
    content = read_json(folder / DESCRIPTION)
    try:
        known = KeptNetwork.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{DESCRIPTION}: {problem_of(error)}") from None
    if content.get("sha256") != seal(content):
        raise ValueError(f"{DESCRIPTION} is damaged")
    if known.recipe_key != recipe_key:
        raise ValueError("it is the network of other features")
    return known


def open_kept(folder: Path, known: KeptNetwork, precision: str, batch_size: int) -> models.Extractor:
    """Open a kept network.

    Args:
        folder: in which it is.
        known: from `described`.
        precision: what it computes in; of one in int8 it must be that.
        batch_size: images per call.

    Raises:
        OSError: a file cannot be read.
        ValueError: saying why it cannot be used: it is damaged, or OpenVINO cannot run it.
    """
    xml, weights = _whole(folder, known)
    try:
        return models.open_extractor(
            xml,
            weights,
            known.recipe,
            precision=precision,
            batch_size=batch_size,
            output_shapes=known.output_shapes,
            check=known.check,
            gflop_per_image=known.gflop_per_image,
        )
    except RuntimeError as error:
        raise ValueError(f"OpenVINO cannot run it: {first_line(error)}") from error


def require_whole(folder: Path, known: KeptNetwork) -> None:
    """Check that the files of a network are those that were kept, and that OpenVINO reads them; errors as in `open_kept`."""
    try:
        models.require_readable(*_whole(folder, known))
    except RuntimeError as error:
        raise ValueError(f"OpenVINO cannot read it: {first_line(error)}") from error


def _whole(folder: Path, known: KeptNetwork) -> tuple[bytes, bytes]:
    try:
        xml, weights = ((folder / name).read_bytes() for name in FILES)
    except FileNotFoundError as error:
        raise ValueError(f"{Path(error.filename).name} is missing") from None
    for name, content in zip(FILES, (xml, weights), strict=True):
        if known.files.get(name) != hashlib.sha256(content).hexdigest():
            raise ValueError(f"{name} is damaged")
    return xml, weights


def _makers(precision: str) -> dict[str, str]:
    """Return what decides the bits of a network that is made here; int8 is calibrated by computing, so the machine does too."""
    machine = {"machine": machine_kind("openvino")} if precision == "int8" else {}
    return {**{name: found for name, found in versions(MAKERS).items() if name != "python"}, **machine}


def build_network(wanted: WantedNetwork) -> models.Extractor:
    """Load the backbone of a recipe and compile what extracts its layers; OpenVINO's network is kept, if it can be written.

    Raises:
        models.ModelError: see `experiment_extractor`.
    """
    if not wanted.can_be_kept:
        return experiment_extractor(wanted.experiment, wanted.image_shape, wanted.calibration)
    folder, extractor = wanted.folder, None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(folder.parent, folder.name)
        with workshop(folder) as making:
            extractor = experiment_extractor(
                wanted.experiment, wanted.image_shape, wanted.calibration, making / FILES[0]
            )
            (making / DESCRIPTION).write_text(json.dumps(_described(making, extractor, wanted.recipe_key), indent=1))
            give_name(making, folder)
    except OSError as error:
        logger.warning("The compiled network is not kept in %s (%s): the next run compiles it again.", folder, error)
    return extractor or experiment_extractor(wanted.experiment, wanted.image_shape, wanted.calibration)


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


def give_name(making: Path, folder: Path) -> None:
    """Put a finished folder in the place of what could not be used; of processes that do so at once one succeeds."""
    with workshop(folder) as aside:
        with suppress(FileNotFoundError):
            folder.replace(aside / folder.name)
        try:
            making.replace(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def trainable_backbone(experiment: Experiment, weights: str) -> "models.Backbone":
    """Load the network of an experiment as a Keras model, with its own weights or others.

    Raises:
        models.ModelError: it, its weights or the size of its images cannot be had, or it is no Keras model.
    """
    asked = asked_preprocessing(experiment.backbone)
    return models.load_keras_backbone(experiment.backbone.name, weights, experiment.input.size, experiment.seed, asked)


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
    fit, crop_share = graph_fit(experiment)
    settings, asked = experiment.backbone, asked_preprocessing(experiment.backbone)
    backbone = models.load_backbone(settings.name, settings.weights, experiment.input.size, experiment.seed, asked)
    return models.build_extractor(
        backbone,
        layers=experiment.backbone.layers,
        pooling=experiment.features.pooling,
        input_shape=image_shape[:2],
        resize=experiment.input.resize,
        antialias=experiment.input.antialias,
        views=experiment.input.views,
        fit=fit,
        crop_share=crop_share,
        engine=experiment.compute.engine,
        precision=experiment.compute.precision,
        batch_size=experiment.compute.batch_size,
        calibration=calibration,
        network_file=network_file,
    )
