"""What a function is asked about: DATA or an experiment with settings, and what it must leave as it was."""

import shlex
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from bottleneck_features.errors import BottleneckError, nearest
from bottleneck_features.pipeline.api.undisturbed import undisturbed
from bottleneck_features.pipeline.asked_experiment import KEPT, Asked, asked_experiment, own_experiment, short_words
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.experiment_file import flat, override_text, restored_experiment
from bottleneck_features.pipeline.home import default_home, home_words, usable_home
from bottleneck_features.pipeline.results import experiment_json

Data = str | PathLike[str] | Experiment
Section = Mapping[str, Any]
WHAT_A_BACKBONE_IS = "is the name of a network, such as 'resnet50', or the path of a .keras file"


class Settings(TypedDict, total=False):
    """What every function of a stage takes besides its own arguments; sections are those of an experiment's file.

    Attributes:
        name: calls DATA by a name; default: that of its folder or file.
        home: the folder of caches and results; default: $BOTTLENECK_HOME, else `artifacts`.
        size: height and width that images are resized to; one number: both.
        backbone: the name of a network, with its default layers and ImageNet weights, or the path of a `.keras` file; or the
            section, with `name`, `layers` and `weights`.
        seed: of the validation split and of all that is trained.
        dataset, input, features, compute, score, head, convnet, finetune, compare: sections, such as
            `head={"epochs": 30, "dropout": 0.5}`.
    """

    name: str
    home: str | PathLike[str]
    size: int | tuple[int, int]
    backbone: str | PathLike[str] | Section
    seed: int
    dataset: Section
    input: Section
    features: Section
    compute: Section
    score: Section
    head: Section
    convnet: Section
    finetune: Section
    compare: Section


@dataclass(frozen=True)
class Request:
    """What a function is asked about.

    Attributes:
        experiment: the experiment.
        home: the artifacts folder.
        options: the words that name the experiment on the command line.
        given: whether settings were given with the call.
        said: what a caller should know of how the experiment was found.
    """

    experiment: Experiment
    home: Path
    options: tuple[str, ...]
    given: bool
    said: tuple[str, ...]


@contextmanager
def asking(data: Data, *, replaces: bool, **settings: Unpack[Settings]) -> Iterator[Request]:
    """Find the experiment that a function is asked about, and leave random numbers as they were.

    Args:
        data: DATA as the command line takes it, the name or the .toml file of an experiment, or an `Experiment`.
        replaces: whether models or results of the experiment would be replaced.
        settings: see `Settings`.

    Raises:
        RequestError: there are no such data, or a setting is unknown or cannot be right; the message names the nearest.
    """
    home = usable_home(Path(settings.pop("home", default_home()))).absolute()
    words = _words(dict(settings))
    with undisturbed():
        found = _found(data, settings.get("name"), words, home, replaces=replaces)
        _warn_of_kept_settings(found.said)
        options = (*found.words, *home_words(home))
        try:
            yield Request(found.experiment, home, options, bool(words), found.said)
        except BottleneckError as error:
            if not error.remedy:
                raise
            typed = f"{error.remedy} {shlex.join(options)}"
            raise type(error)(f"{error}\n{typed}, or call bf.extract with the same arguments.") from error


def _warn_of_kept_settings(said: Iterable[str]) -> None:
    """Say which settings of earlier calls hold: the command line prints it."""
    for text in said:
        if text.startswith(KEPT):
            warnings.warn(text, UserWarning, stacklevel=5)


def _found(data: Data, name: str | None, words: tuple[str, ...], home: Path, *, replaces: bool) -> Asked:
    if isinstance(data, Experiment):
        if name is not None:
            raise RequestError(f"name is for DATA, and an Experiment has one: {data.name!r}. Leave it out.")
        changed = restored_experiment(experiment_json(data), f"the experiment {data.name!r}", words)
        return own_experiment(changed, home, replaces=replaces)
    if not isinstance(data, str | PathLike):
        raise RequestError(
            "DATA is the path of a folder, a table or an archive, the name of embedded data, or an Experiment. Received: "
            f"{type(data).__name__}. Arrays: np.savez('images.npz', x=images, y=labels), then 'images.npz'."
        )
    place = fspath(data)
    if place.endswith(".toml"):
        return asked_experiment(None, place, name, words, home, replaces=replaces)
    return asked_experiment(place, None, name, words, home, replaces=replaces)


def _words(settings: dict[str, Any]) -> tuple[str, ...]:
    """Return settings as `--set` takes them."""
    settings.pop("name", None)
    size, backbone = settings.pop("size", None), settings.get("backbone")
    named = fspath(settings.pop("backbone")) if isinstance(backbone, str | PathLike) else None
    short = short_words(named, _size(size))
    known = [field.name for field in fields(Experiment)]
    for key, value in settings.items():
        _require_known(key, value, [*known, "home", "size"])
    own = (override_text(name, _plain(name, value)) for name, value in flat(settings))
    return (*short, *own)


def _require_known(key: str, value: Any, known: Sequence[str]) -> None:
    if key not in known:
        raise RequestError(
            f"There is no setting {key!r}. Nearest: {', '.join(nearest(key, known))}. Settings are given by section, such as "
            f"head={{'epochs': 30}}."
        )
    if key == "backbone" and not isinstance(value, Mapping):
        raise RequestError(f"backbone {WHAT_A_BACKBONE_IS}, or a section such as {{'name': …}}. Received: {value!r}")
    if _is_section(key) and not isinstance(value, Mapping):
        raise RequestError(f"{key} takes the settings of a section, such as head={{'epochs': 30}}. Received: {value!r}")


def _is_section(key: str) -> bool:
    kind = next(field.type for field in fields(Experiment) if field.name == key)
    return is_dataclass(kind)


def _size(size: Any) -> str | None:
    if size is None:
        return None
    return ",".join(map(str, size)) if isinstance(size, list | tuple) else str(size)


def _plain(name: str, value: Any) -> Any:
    """Return a value as TOML can have it."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, list | tuple):
        return [_plain(name, one) for one in value]
    if not isinstance(value, str | bool | int | float):
        raise RequestError(f"{name} takes a text, a number, true or false, or a list of these. Received: {value!r}")
    return value
