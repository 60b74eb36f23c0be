"""What features of a network cost, and where it comes from: speed, size, work for one image, licence."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bottleneck_features import models
from bottleneck_features.models.sources.runtime_file import RuntimeFile
from bottleneck_features.pipeline.extraction.filling import NetworkOnDemand
from bottleneck_features.pipeline.extraction.networks import trainable_backbone
from bottleneck_features.pipeline.extraction.opened import OpenedExperiment
from bottleneck_features.quiet import import_tensorflow

NOT_KNOWN = "its features were copied from other caches, or made in another home"
BYTES_OF_A_WEIGHT = 4
IN_A_FOLDER = (".safetensors", ".h5")


@dataclass(frozen=True)
class NetworkCosts:
    """What is known of a network whose features are whole.

    Attributes:
        backbone: its name as asked for: registered, or the path of a file.
        weights: `imagenet`, `random` or `file`.
        notice: origin and licence of published weights; empty for files of the user's own.
        input_size: height and width, in pixels.
        megabytes: of its file of weights; of random weights what they take in float32.
        gflop_per_image: a multiply-add counted as two; None where it is not known.
        images_per_second: over all runs in this home; None where it is not known.
        speed_of: `this run`, `earlier runs`, or why the speed is not known.
        images: forward passes of this run.
        features: how many numbers each kept layer has.
        cache: the folder of the features.
        cache_key: of them.
    """

    backbone: str
    weights: str
    notice: str
    input_size: tuple[int, int]
    megabytes: float
    gflop_per_image: float | None
    images_per_second: float | None
    speed_of: str
    images: int
    features: Mapping[str, int]
    cache: str
    cache_key: str

    @property
    def milliseconds_per_image(self) -> float | None:
        """The inverse of the speed."""
        return 1000 / self.images_per_second if self.images_per_second else None

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        content = asdict(self) | {"input_size": list(self.input_size), "features": dict(self.features)}
        return content | {"milliseconds_per_image": self.milliseconds_per_image}


def network_costs(opened: OpenedExperiment, network: NetworkOnDemand, images: int) -> NetworkCosts:
    """Return what is known of a network.

    Args:
        opened: its experiment; the features are whole.
        network: the network, which need not be here.
        images: forward passes of this run.
    """
    settings, rate = opened.experiment, opened.images_per_second
    backbone = settings.backbone
    weights = models.weights_identity(backbone.name, backbone.weights, settings.seed)
    split = next(iter(opened.cache.values()))
    return NetworkCosts(
        backbone=backbone.name,
        weights=weights.source,
        notice=weights.notice,
        input_size=settings.input.size,
        megabytes=round((_bytes_of(backbone.name, weights.path) if weights.path else _random_bytes(opened)) / 1e6, 4),
        gflop_per_image=network.gflop_per_image,
        images_per_second=rate,
        speed_of="this run" if images else "earlier runs" if rate else NOT_KNOWN,
        images=images,
        features={layer: split.features[layer].shape[-1] for layer in opened.cache.layers},
        cache=str(opened.cache_path),
        cache_key=opened.cache_key,
    )


def _bytes_of(name: str, weights: Path) -> int:
    """Return the size of a network's files, or of those in its folder that hold weights."""
    source = models.named_source(name)
    files: Sequence[Path] = [weights]
    if isinstance(source, RuntimeFile):
        files = source.files
    elif weights.is_dir():
        files = [one for one in weights.iterdir() if one.suffix in IN_A_FOLDER]
    return sum(file.stat().st_size for file in files)


def _random_bytes(opened: OpenedExperiment) -> int:
    """Return what weights that no file has take in float32."""
    import_tensorflow()
    built = trainable_backbone(opened.experiment, opened.experiment.backbone.weights)
    return BYTES_OF_A_WEIGHT * built.model.count_params()
