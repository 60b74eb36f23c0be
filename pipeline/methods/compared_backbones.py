"""The networks that `compare --backbones` sets against one another: what each is asked for, and the experiment it stands for."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bottleneck_features import models
from bottleneck_features.pipeline.errors import DownloadError, RequestError
from bottleneck_features.pipeline.experiment import BackboneSettings, CompareSettings, Experiment, FeatureSettings
from bottleneck_features.pipeline.experiment_file import setting_of
from bottleneck_features.pipeline.extraction.identity import backbone_label
from bottleneck_features.pipeline.resolved_experiment import resolved
from bottleneck_features.pipeline.setting_kinds import LARGEST_SIDE, SMALLEST_SIDE

WHAT = "--backbones takes two or more networks, such as resnet18,efficientnet-lite0,mine.keras@96"
_SIZE = re.compile(r"(?P<height>\d{1,6})(?:x(?P<width>\d{1,6}))?")


@dataclass(frozen=True)
class ComparedBackbone:
    """A network that is compared with others.

    Attributes:
        asked: as it was asked for, such as `resnet18@96`.
        label: what tells it from the others of the comparison.
        experiment: the experiment whose features are compared.
    """

    asked: str
    label: str
    experiment: Experiment


@dataclass(frozen=True)
class _Wanted:
    """A network by its text, its name, and the size that the text ends with, if it does."""

    text: str
    name: str
    size: tuple[int, int] | None = None
    ending: str = ""


def compared_backbones(experiment: Experiment, asked: Sequence[str]) -> tuple[ComparedBackbone, ...]:
    """Return the networks that are compared, once all of them and their weights are found; what is not here is downloaded.

    The experiment's own network is taken as its settings have it, with its layers and its weights; every other one has its
    default layers, or its last feature, and its published weights. All see images of `input.size`, but those that are asked
    for with a size; with `input.fit = "auto"` each network sees them as it was published.

    Args:
        experiment: the experiment.
        asked: names of networks or paths of files, each with `@SIZE` or `@HEIGHTxWIDTH` where it has a size of its own.

    Raises:
        RequestError: there are fewer than two, one is named twice, or its settings cannot be right.
        models.ModelError: there is no such network or file; the message names the nearest.
        DownloadError: weights are neither here nor to be had; all such networks are named.
    """
    wanted = [_parted(text.strip()) for text in asked]
    if len(wanted) < 2 or not all(one.name for one in wanted):
        raise RequestError(f"{WHAT}. Received: {','.join(asked)!r}.")
    networks = Counter((_place(one.name), one.size or experiment.input.size) for one in wanted)
    for one in wanted:
        if networks[_place(one.name), one.size or experiment.input.size] > 1:
            raise RequestError(f"--backbones names {one.text!r} twice. Received: {','.join(asked)!r}.")
    _require_weights(experiment, wanted)
    found = [_experiment_of(one, experiment) for one in wanted]
    labels = [backbone_label(own) + one.ending for one, own in zip(wanted, found, strict=True)]
    if len(set(labels)) < len(labels):  # files of one name in several folders
        labels = [one.text for one in wanted]
    return tuple(map(ComparedBackbone, [one.text for one in wanted], labels, found))


def require_alone(experiment: Experiment, asked: Sequence[str], overrides: Sequence[str]) -> None:
    """Refuse settings that a comparison of networks does not use.

    Args:
        experiment: the experiment.
        asked: the networks.
        overrides: what `--set` gives.

    Raises:
        RequestError: naming the setting.
    """
    own, given = experiment.backbone.name, [setting_of(one) for one in overrides]
    if "compare.methods" in given:
        raise RequestError(
            "--backbones compares the best probe of each network, and compare.methods names methods of one network: leave one "
            "of them out."
        )
    if "backbone.name" in given or own in [_parted(text.strip()).name for text in asked]:
        return
    for setting in given:
        if setting in ("backbone.layers", "backbone.weights"):
            raise RequestError(
                f"{setting} is for the experiment's own network, {own!r}, which --backbones does not name: name it too, or "
                f"leave {setting} out."
            )


def _require_weights(experiment: Experiment, wanted: Iterable[_Wanted]) -> None:
    problems = {}
    for one in wanted:
        try:
            models.weights_identity(one.name, _weights(one, experiment), experiment.seed)
        except models.WeightsUnavailable as error:
            problems[one.text] = str(error)
    if problems:
        said = "\n".join(f"{text}: {problem}" for text, problem in problems.items())
        raise DownloadError(f"{said}\nNothing was computed. Or leave {', '.join(problems)} out of --backbones.")


def _experiment_of(one: _Wanted, experiment: Experiment) -> Experiment:
    own = experiment.backbone
    network = own if one.name == own.name else BackboneSettings(one.name, models.default_layers(one.name))
    asked = replace(
        experiment,
        backbone=network,
        input=replace(experiment.input, size=one.size or experiment.input.size),
        features=_features(experiment.features, len(network.layers) or 1, one.text),
        compare=CompareSettings(),
    )
    return resolved(asked)


def _weights(one: _Wanted, experiment: Experiment) -> str:
    own = experiment.backbone
    return own.weights if one.name == own.name else "imagenet"


def _features(settings: FeatureSettings, layers: int, text: str) -> FeatureSettings:
    """Return how a network's layers are read: all in one way, or each in its own where there are as many."""
    pooling = settings.pooling
    if len(pooling) == layers:
        return settings
    if len(set(pooling)) > 1:
        raise RequestError(
            f"features.pooling names {len(pooling)} poolings ({', '.join(pooling)}), and {text} is compared by {layers} of its "
            "layers: give one pooling for all networks."
        )
    return replace(settings, pooling=pooling[:1])


def _parted(text: str) -> _Wanted:
    name, at, size = text.rpartition("@")
    found = _SIZE.fullmatch(size) if at else None
    if not found:
        return _Wanted(text, text)
    height = int(found["height"])
    sides = height, int(found["width"] or height)
    if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in sides):
        raise RequestError(
            f"The size of a network in --backbones is from {SMALLEST_SIDE} to {LARGEST_SIDE} pixels a side, such as "
            f"{name}@96. Received: {text!r}."
        )
    return _Wanted(text, name, sides, f"@{size}")


def _place(name: str) -> str:
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() and name not in models.backbone_names() else name
