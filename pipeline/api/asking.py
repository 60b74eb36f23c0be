"""What a function is asked about: DATA or an experiment with settings, and what it must leave as it was."""

import shlex
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict, Unpack

from bottleneck_features.errors import BottleneckError, nearest
from bottleneck_features.pipeline import arguments
from bottleneck_features.pipeline.api.undisturbed import undisturbed
from bottleneck_features.pipeline.asked_experiment import KEPT, Asked, asked_experiment, own_experiment, short_words
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.experiment_file import override_text, restored_experiment, setting_names
from bottleneck_features.pipeline.home import chosen_home, home_words, usable_home
from bottleneck_features.pipeline.results import experiment_json
from bottleneck_features.pipeline.setting_kinds import shown

Data = str | PathLike[str] | Experiment
Section = Mapping[str, Any]
WHAT_A_BACKBONE_IS = "is the name of a network, such as 'resnet50', or the path of a .keras file"
SIZE = "a height and a width in pixels, or one number for both"


class Settings(TypedDict, total=False):
    """What every function of a stage takes besides its own arguments; sections are those of an experiment's file.

    Attributes:
        name: calls DATA by a name; default: that of its folder or file.
        home: the folder of caches and results; None: $BOTTLENECK_HOME, else `artifacts`.
        size: height and width that images are resized to; one number: both.
        backbone: the name of a network, with its default layers and ImageNet weights, or the path of a `.keras` file; or the
            section, with `name`, `layers` and `weights`.
        seed: of the validation split and of all that is trained.
        dataset, input, features, compute, score, head, convnet, finetune, compare: sections, such as
            `head={"epochs": 30, "dropout": 0.5}`.
    """

    name: str
    home: str | PathLike[str] | None
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
        overrides: the settings that were given with the call, as `--set` takes them.
        said: what a caller should know of how the experiment was found.
    """

    experiment: Experiment
    home: Path
    options: tuple[str, ...]
    overrides: tuple[str, ...]
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
    home, name = usable_home(chosen_home(settings.pop("home", None))), settings.pop("name", None)
    if name is not None:
        arguments.text("name", name, "what DATA are called, of letters, digits, '.', '_' and '-'")
    words = setting_words(settings)
    with undisturbed():
        found = _found(data, name, words, home, replaces=replaces)
        _warn_of_kept_settings(found.said)
        options = (*found.words, *home_words(home))
        try:
            yield Request(found.experiment, home, options, words, found.said)
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
    place = data_text(data, ", or an Experiment")
    if place.endswith(".toml"):
        return asked_experiment(None, place, name, words, home, replaces=replaces)
    return asked_experiment(place, None, name, words, home, replaces=replaces)


def data_text(data: Any, others: str = "") -> str:
    """Return DATA as the command line takes it.

    Args:
        data: what was received.
        others: what a function takes besides, in words.

    Raises:
        RequestError: it is no text and no path, or is empty.
    """
    if not isinstance(data, str | PathLike):
        raise RequestError(
            f"DATA is the path of a folder, a table or an archive, or the name of embedded data{others}. Received: "
            f"{type(data).__name__}. Arrays: np.savez('images.npz', x=images, y=labels), then 'images.npz'."
        )
    return arguments.text("DATA", data, "the path of a folder, a table or an archive, or the name of embedded data")


def setting_words(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return settings by section, with `backbone` and `size` in their short forms, as `--set` takes them.

    Raises:
        RequestError: there is no such section, or a setting's name or value is none that can be typed.
    """
    given = dict(settings)
    size, backbone = given.pop("size", None), given.get("backbone")
    if isinstance(backbone, str | PathLike):
        backbone = arguments.text("backbone", given.pop("backbone"), "the name of a network")
    short = short_words(backbone if isinstance(backbone, str) else None, _size(size))
    own = (override_text(name, value) for key, one in given.items() for name, value in _settings(key, one))
    return (*short, *own)


def _settings(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Give what `--set` calls the settings of a section, with their values, or one that is in no section."""
    known = [field.name for field in fields(Experiment)]
    if key not in known:
        raise RequestError(
            f"There is no setting {key!r}. Nearest: {', '.join(nearest(key, [*known, 'home', 'size']))}. Settings are given by "
            f"section, such as head={{'epochs': 30}}."
        )
    if key == "backbone" and not isinstance(value, Mapping):
        raise RequestError(
            f"backbone {WHAT_A_BACKBONE_IS}, or a section such as {{'name': …}}. Received: {shown(value)}"
        )
    if key in setting_names():
        yield key, _plain(key, value)
    elif isinstance(value, Mapping):
        yield from _in_section(key, value)
    else:
        raise RequestError(
            f"{key} takes the settings of a section, such as head={{'epochs': 30}}. Received: {shown(value)}"
        )


def _in_section(section: str, settings: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        name = f"{section}.{key}"
        if not isinstance(key, str) or not key.isidentifier():
            own = [one.removeprefix(f"{section}.") for one in setting_names() if one.startswith(f"{section}.")]
            raise RequestError(
                f"There is no setting {shown(key)} in {section}. Nearest: {', '.join(nearest(str(key), own))}."
            )
        if isinstance(value, Mapping) and name not in setting_names():
            yield from _in_section(name, value)
        else:
            yield name, _plain(name, value)


def _size(size: Any) -> str | None:
    if size is None:
        return None
    plain = _plain("size", size)
    return ",".join(map(str, plain)) if isinstance(plain, list) else arguments.text("size", str(plain), SIZE)


def _plain(name: str, value: Any) -> Any:
    """Return a value as TOML can have it."""
    value = arguments.plain(value)
    if isinstance(value, list):
        return [_plain(name, one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(f"{name}[{key!r}]", one) for key, one in value.items()}
    if not isinstance(value, str | bool | int | float):
        raise RequestError(
            f"{name} takes a text, a number, true or false, or a list of these. Received: {shown(value)}"
        )
    return value
