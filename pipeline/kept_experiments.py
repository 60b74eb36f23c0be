"""Experiments that a home keeps: the settings of a data set that was given once, and whether its images are still the same."""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from bottleneck_features import features
from bottleneck_features.foreign import read_json
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.paths import local_path
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.experiment_file import READY_MADE, flat, override_text, restored_experiment
from bottleneck_features.pipeline.results import experiment_json, write_text

FOLDER = "experiments"
CONTENTS = ".contents.json"
_GUESSED = ("image_column", "label_column", "label_columns", "split_column", "header")  # by the content of a table
_BASES = {"csv": "csv"}  # the ready-made experiment that each source begins with; `folder` for the others


@dataclass(frozen=True)
class Contents:
    """The images of a data set, whatever their order, names and labels: how many, and the SHA-256 of all."""

    images: int
    sha256: str


def kept_file(home: Path, name: str) -> Path:
    """Return where the experiment of a name is kept, whether it is there or not."""
    return home / FOLDER / f"{name}.toml"


def kept_names(home: Path) -> list[str]:
    """Return the names of the experiments that a home keeps, sorted."""
    return sorted(path.stem for path in (home / FOLDER).glob("*.toml"))


def name_of(path: str) -> str:
    """Return the name that an experiment has after the place of its data, of letters, digits, `.`, `_` and `-`.

    Args:
        path: a folder, a file, a pattern, or a URL.

    Raises:
        RequestError: the path has none of these; says to give a name.
    """
    last = path.rstrip("/").rpartition("/")[2] or path
    stem = last if local_path(path).is_dir() else re.sub(r"(\.tar)?\.[A-Za-z0-9]+$", "", last)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem or last).strip("-.")
    if not name:
        raise RequestError(f"'{path}' gives an experiment no name of Latin letters or digits: add --name NAME.")
    return name


def own_settings(table: Mapping[str, Any]) -> list[str]:
    """Return the settings of a kept experiment, as `section.key=value`, that are not those it begins with."""
    place = {key: table.get("dataset", {}).get(key) for key in ("source", "path")}
    first = restored_experiment(begun(place, str(table.get("name"))), str(place["path"]))
    known = dict(flat(experiment_json(first)))
    unsaid = ("name", "description", *(f"dataset.{key}" for key in (*_GUESSED, *place)))
    return [
        override_text(name, value) for name, value in flat(table) if value != known.get(name) and name not in unsaid
    ]


def begun(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the tables of a new experiment: those of a ready-made one with the data that were given.

    Args:
        settings: of the `dataset` section.
        name: of the experiment.
    """
    base = _BASES.get(str(settings["source"]), "folder")
    table = tomllib.loads((READY_MADE / f"{base}.toml").read_text(encoding="utf-8"))
    table |= {"name": name, "description": f"images of {settings['path']}"}
    table["dataset"] = {**table.get("dataset", {}), **settings}
    return table


def read_kept(home: Path, name: str) -> dict[str, Any]:
    """Return the tables of an experiment that is kept.

    Raises:
        RequestError: it cannot be read.
    """
    path = kept_file(home, name)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(f"{path} cannot be read ({error}). Mend or remove it.") from error


def keep(home: Path, name: str, table: Mapping[str, Any]) -> Path:
    """Write an experiment into a home, without the settings that are None, and return the file."""
    path = kept_file(home, name)
    write_text(path, tomli_w.dumps(_given(table)))
    return path


def _given(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _given(value) if isinstance(value, Mapping) else value for key, value in table.items() if value is not None
    }


def is_place(table: Mapping[str, Any], path: str) -> bool:
    """Return whether the data of an experiment are at a path or URL."""
    own = str(table.get("dataset", {}).get("path", ""))
    if features.is_url(own) or features.is_url(path):
        return own.rstrip("/") == path.rstrip("/")
    return bool(own) and local_path(own).resolve() == local_path(path).resolve()


def contents_of(dataset: Dataset) -> Contents:
    """Return what the images of a data set are."""
    splits = [dataset.contents(split, np.arange(len(samples))) for split, samples in dataset.splits.items()]
    hashes = sorted(map(bytes, np.concatenate(splits)))
    return Contents(len(hashes), hashlib.sha256(b"".join(hashes)).hexdigest())


def known_contents(home: Path, name: str) -> Contents | None:
    """Return what the images of an experiment were when it was last used; None where that is not known."""
    try:
        content = read_json(home / FOLDER / f"{name}{CONTENTS}")
        return Contents(int(content["images"]), str(content["sha256"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note_contents(home: Path, experiment: Experiment, dataset: Dataset) -> tuple[str, ...]:
    """Remember what the images of a kept experiment are, and say whether that has changed since it was last used."""
    name = experiment.name
    if not kept_file(home, name).exists() or not is_place(read_kept(home, name), experiment.dataset.path):
        return ()
    before, now = known_contents(home, name), contents_of(dataset)
    if before == now:
        return ()
    write_text(home / FOLDER / f"{name}{CONTENTS}", json.dumps({"images": now.images, "sha256": now.sha256}))
    if before is None:
        return ()
    return (f"Data: the images have changed since {name!r} was last used: {before.images:,} then, {now.images:,} now.",)
