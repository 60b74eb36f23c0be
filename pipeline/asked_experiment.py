"""Which experiment a command is about: DATA that is given, a name that is kept or ready-made, or a file."""

from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from bottleneck_features import models
from bottleneck_features.models.sources.hub_downloads import is_remote
from bottleneck_features.models.weights import require_backbone
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.datasets.given_data import WHAT_DATA_IS, recognise
from bottleneck_features.pipeline.datasets.paths import local_path
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.experiment_file import (
    flat,
    load_experiment,
    override_text,
    ready_made,
    restored_experiment,
    setting_of,
)
from bottleneck_features.pipeline.kept_experiments import (
    begun,
    contents_of,
    is_place,
    keep,
    kept_file,
    kept_names,
    known_contents,
    name_of,
    own_settings,
    read_kept,
)
from bottleneck_features.pipeline.results import experiment_json

KEPT = "settings kept in"  # how the sentence begins that names settings of earlier calls


@dataclass(frozen=True)
class Asked:
    """The experiment that a command is about.

    Attributes:
        experiment: the experiment.
        words: those that name it on the command line.
        said: what the user should know of how it was found; empty where there is nothing.
    """

    experiment: Experiment
    words: tuple[str, ...]
    said: tuple[str, ...] = ()


def asked_experiment(
    data: str | None,
    experiment: str | None,
    name: str | None,
    overrides: tuple[str, ...],
    home: Path,
    *,
    replaces: bool,
) -> Asked:
    """Find the experiment that the words of a command line mean.

    Args:
        data: DATA; its settings are kept in the home.
        experiment: what `-e` names.
        name: what `--name` calls the data.
        overrides: what `--set` gives.
        home: the artifacts folder.
        replaces: whether the command would replace models or results of the experiment.

    Raises:
        RequestError: neither is given, or both; there is no such thing; or the name is that of other data.
    """
    if data is not None and experiment is not None:
        raise RequestError(f"Give DATA or -e, not both. Received: {data!r} and -e {experiment!r}")
    if data is None and name is not None:
        raise RequestError("--name calls DATA by a name: give DATA too.")
    if experiment is not None:
        named = named_experiment(experiment, overrides, home)
        if replaces:
            _require_its_own_place(named, home)
        return Asked(named, ("-e", experiment, *set_words(overrides)))
    if data is None:
        raise RequestError(what_there_is(home))
    if name is None and not local_path(data).exists() and data in (*kept_names(home), *ready_made()):
        return Asked(named_experiment(data, overrides, home), ("-e", data, *set_words(overrides)))
    return _of_data(data, name, overrides, home, replaces=replaces)


def own_experiment(experiment: Experiment, home: Path, *, replaces: bool) -> Asked:
    """Return an experiment that a caller has made, with the words that name it; one of a new name is kept in the home.

    Args:
        experiment: the experiment.
        home: the artifacts folder.
        replaces: whether models or results of the experiment would be replaced.

    Raises:
        RequestError: its name is that of other data.
    """
    name, settings = experiment.name, experiment_json(experiment)
    if name not in (*ready_made(), *kept_names(home)):
        keep(home, name, settings)
        return Asked(experiment, ("-e", name), (f"The experiment is kept in {kept_file(home, name)}.",))
    if replaces:
        _require_its_own_place(experiment, home)
    known = dict(flat(experiment_json(named_experiment(name, (), home))))
    own = (override_text(key, value) for key, value in flat(settings) if value is not None and known.get(key) != value)
    return Asked(experiment, ("-e", name, *set_words(tuple(own))))


def named_experiment(name: str, overrides: tuple[str, ...], home: Path) -> Experiment:
    """Return the experiment that is kept under a name, else the ready-made one, or that of a file."""
    if kept_file(home, name).is_file() and name not in ready_made():
        return restored_experiment(read_kept(home, name), str(kept_file(home, name)), overrides)
    return load_experiment(name, overrides, kept_names(home))


def measured_data(data: str, overrides: tuple[str, ...], home: Path) -> tuple[DatasetSettings, tuple[str, ...]]:
    """Return the settings of data that a model is measured on, with what was found out about them; nothing is kept.

    Args:
        data: DATA: a place, or the name of data that are kept or embedded, or an experiment's .toml file.
        overrides: of the `dataset` section, what `--set` gives.
        home: the artifacts folder; what is kept there of the same place holds here too.

    Raises:
        RequestError: there is no such thing, or a setting cannot be right.
    """
    named = data in (*kept_names(home), *ready_made()) and not local_path(data).exists()
    if named or (data.endswith(".toml") and local_path(data).is_file()):
        return named_experiment(data, overrides, home).dataset, ()
    _require_no_place(overrides, data)
    given = recognise(data, _named_settings(overrides))
    kept = _name_of_place(home, str(given.settings["path"]), "")
    table = read_kept(home, kept) if kept else begun(given.settings, "data")
    settings = restored_experiment(table, data, overrides).dataset
    return settings, () if kept else (f"{data}: {given.said}",)


def _named_settings(overrides: tuple[str, ...]) -> list[str]:
    """Return the settings of the `dataset` section that `--set` gives."""
    keys = map(setting_of, overrides)
    return [key.removeprefix("dataset.") for key in keys if key.startswith("dataset.")]


def short_words(backbone: str | None, size: str | None) -> tuple[str, ...]:
    """Return the settings that `--backbone` and `--size` stand for: the network, its own layers, weights, size and kernel.

    Raises:
        models.ModelError: there is no such network, or its files cannot be had.
    """
    found = []
    if backbone:
        found += [f"backbone.name={backbone}", "backbone.weights=imagenet"]
        if backbone not in models.backbone_names():  # of which size and kernel are the experiment's
            published = models.find_source(backbone).protocol
            found.append(f"input.resize={published.kernel}")
            size = size or ",".join(map(str, published.size))
        found.append(f"backbone.layers={','.join(models.default_layers(backbone))}")
    if size:
        found.append(f"input.size={size if ',' in size else f'{size},{size}'}")
    return tuple(found)


def set_words(overrides: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words that give settings on the command line."""
    return tuple(word for value in overrides for word in ("--set", value))


def what_there_is(home: Path) -> str:
    """Return what to say where neither DATA nor an experiment is given."""
    kept = kept_names(home)
    own = f"Kept in {home}: {', '.join(kept)}. " if kept else ""
    return (
        f"Which images? {WHAT_DATA_IS}\n"
        f"{own}Ready-made: {', '.join(ready_made())} (-e NAME).\n"
        "  bottleneck run pictures/\n  bottleneck run train.csv --name birds\n  bottleneck run photo-patches"
    )


def _of_data(data: str, name: str | None, overrides: tuple[str, ...], home: Path, *, replaces: bool) -> Asked:
    _require_no_place(overrides, data)
    given = recognise(data, _named_settings(overrides))
    path = str(given.settings["path"])
    likely = name or name_of(path)
    own = name or _name_of_place(home, path, likely) or likely
    if own in ready_made():
        raise RequestError(f"{own!r} is a ready-made experiment: call your data otherwise by --name NAME.")
    words = (data, *(("--name", name) if name else ()))
    if not kept_file(home, own).exists():
        return _kept(home, own, begun(given.settings, own), overrides, words, (f"{data}: {given.said}",))
    table = read_kept(home, own)
    if is_place(table, path):
        return _kept(home, own, table, overrides, words, ())
    before = known_contents(home, own)
    moved = restored_experiment(begun(given.settings, own), data, overrides)
    if before is not None and contents_of(open_dataset(moved, home)) == before:
        same_kind = table["dataset"].get("source") == given.settings["source"]
        table["dataset"] = {**(table["dataset"] if same_kind else {}), **given.settings}
        return _kept(home, own, table, overrides, words, (f"The images of {own!r} are at {path} now.",))
    if replaces or name:
        raise RequestError(_other_images(own, table["dataset"].get("path"), path))
    other = _free_name(home, own)
    called = f"{own!r} is kept for {table['dataset'].get('path')}: these images are called {other!r}."
    return _kept(home, other, begun(given.settings, other), overrides, words, (f"{data}: {given.said}", called))


def _require_no_place(overrides: tuple[str, ...], data: str) -> None:
    for word in overrides:
        if setting_of(word) in ("dataset.path", "dataset.source"):
            raise RequestError(f"DATA says where the images are: give {data!r} or --set {word}, not both.")


def _require_its_own_place(experiment: Experiment, home: Path) -> None:
    """Refuse a kept experiment whose data are said to be elsewhere: its models and results are of others."""
    name = experiment.name
    if name in ready_made() or not kept_file(home, name).is_file():
        return
    table = read_kept(home, name)
    if table.get("dataset", {}).get("path") and not is_place(table, experiment.dataset.path):
        raise RequestError(_other_images(name, table["dataset"]["path"], experiment.dataset.path))


def _other_images(name: str, kept: object, given: str) -> str:
    return (
        f"{name!r} is the name of other images, those of {kept}; its models and results would be replaced by those of {given}. "
        "Give these images a name of their own: --name NAME."
    )


def _free_name(home: Path, name: str) -> str:
    taken = (*kept_names(home), *ready_made())
    return next(f"{name}-{number}" for number in count(2) if f"{name}-{number}" not in taken)


def _name_of_place(home: Path, path: str, likely: str) -> str:
    """Return the name under which the data at a path are kept, the likely one before others; empty where they are not."""
    found = []
    for name in kept_names(home):
        with suppress(RequestError):  # a broken file of other data is no reason to stop
            if is_place(read_kept(home, name), path):
                found.append(name)
    return likely if likely in found else next(iter(found), "")


def _kept(
    home: Path,
    name: str,
    table: dict[str, Any],
    overrides: tuple[str, ...],
    words: tuple[str, ...],
    said: tuple[str, ...],
) -> Asked:
    """Keep the settings of an experiment once its data can be opened, and return it; what is kept of earlier is said."""
    before = deepcopy(table)
    if "label_column" in _named_settings(overrides):
        table["dataset"].pop("label_columns", None)  # which were guessed, and would be preferred
    experiment = restored_experiment(table, str(kept_file(home, name)), overrides)  # which applies them to the table
    earlier = own_settings(before)
    if not kept_file(home, name).exists() or table != read_kept(home, name):
        require_backbone(experiment.backbone.name)
        open_dataset(experiment, home)
        keep(home, name, _found_from_anywhere(table))
    if earlier:
        said = (*said, f"{KEPT} {kept_file(home, name)}: {', '.join(earlier)}")
    return Asked(experiment, words, said)


def _found_from_anywhere(table: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with the whole paths of the network's files: they are read in other folders too."""
    backbone = dict(table.get("backbone", {}))
    words = {"name": models.backbone_names(), "weights": ("imagenet", "random")}
    for key, known in words.items():
        text = str(backbone.get(key, ""))
        if text and text not in known and not is_remote(text) and local_path(text).exists():
            backbone[key] = str(local_path(text).absolute())
    return {**table, "backbone": backbone} if backbone else table
