"""The network of a saved head, as it is kept beside it or in the home: found, checked against the head, and opened."""

from dataclasses import dataclass
from pathlib import Path

from bottleneck_features import models
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.identity import recipe_key_of
from bottleneck_features.pipeline.extraction.networks import (
    KeptNetwork,
    described,
    kept_in,
    open_kept,
    require_whole,
)
from bottleneck_features.pipeline.methods.saved_head import SavedHead

BESIDE = "network"  # the folder beside heads in which their network is


@dataclass(frozen=True)
class FoundNetwork:
    """A kept network that gives the features of a head.

    Attributes:
        folder: in which it is.
        known: its description.
    """

    folder: Path
    known: KeptNetwork

    def serves(self, experiment: Experiment) -> bool:
        """Whether it computes by the engine and in the precision of an experiment: int8 is in the file, others are not."""
        compute = experiment.compute
        return compute.engine == "openvino" and (compute.precision == "int8") == (self.known.precision == "int8")

    def open(self, experiment: Experiment) -> models.Extractor:
        """Compile it.

        Raises:
            PipelineError: OpenVINO cannot, or it was changed since it was found.
        """
        compute = experiment.compute
        try:
            return open_kept(self.folder, self.known, compute.precision, compute.batch_size)
        except (OSError, ValueError) as error:
            raise PipelineError(
                f"The network in '{self.folder}' cannot be used ({error}). Remove that folder: the network is then built from "
                "the backbone's weights."
            ) from error


def found_network(head: SavedHead, file: Path, home: Path) -> tuple[FoundNetwork | None, tuple[str, ...]]:
    """Find the network of a head: beside it, else in the home.

    Args:
        head: the head.
        file: where it is.
        home: the artifacts folder.

    Returns:
        The network, or None where there is none that can be used; and a warning where one is beside the head that cannot.
    """
    if not models.has_openvino():
        return None, ()
    warnings: tuple[str, ...] = ()
    key = recipe_key_of(head.recipe["cache_identity"])
    for folder in (file.with_name(BESIDE), kept_in(home, key, head.recipe["image_shape"])):
        try:
            return _checked(folder, key, head), warnings
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            if folder.parent == file.parent:
                warnings = (f"The network in '{folder}', beside the head, is not used: {error}.",)
    return None, warnings


def _checked(folder: Path, key: str, head: SavedHead) -> FoundNetwork:
    """Raise an OSError or a ValueError that says why a network cannot be that of a head."""
    known = described(folder, key)
    shapes, layers = known.output_shapes, head.recipe["layers"]
    fits = set(layers) <= set(shapes) and sum(shapes[layer][-1] for layer in layers) == head.classifier.features
    if not fits or [*known.recipe.input_shape, 3] != list(head.recipe["image_shape"]):
        raise ValueError("it is the network of other features")
    require_whole(folder, known)
    return FoundNetwork(folder, known)
