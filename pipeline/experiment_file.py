"""Reading an experiment: a TOML file, with typed overrides of its settings."""

import dataclasses
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from bottleneck_features import models
from bottleneck_features.errors import first_line, nearest
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment, PreprocessingSettings
from bottleneck_features.pipeline.method_names import METHODS
from bottleneck_features.pipeline.setting_kinds import LONGEST_VALUE, shown

READY_MADE = Path(__file__).parent / "experiments"
_TABLE = PreprocessingSettings.__name__  # in the place of an error, where a setting is a table or a word
_TABLES = {
    "score.class_weight": "{cat = 2.0}",
    "backbone.preprocessing": "{mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5]}",
}


def ready_made() -> list[str]:
    """Return the names of the experiments that ship with the package, sorted."""
    return sorted(path.stem for path in READY_MADE.glob("*.toml"))


def load_experiment(name_or_file: str, overrides: tuple[str, ...] = (), kept: Sequence[str] = ()) -> Experiment:
    """Read an experiment and apply overrides.

    Args:
        name_or_file: the name of a ready-made experiment, or the path of a `.toml` file.
        overrides: strings of the form `section.key=value`; lists may be written `a,b` or as in TOML.
        kept: other names that a message may mean.

    Returns:
        The `Experiment`.

    Raises:
        RequestError: the experiment, a key or a value is unknown or of the wrong type; the message names the nearest.
    """
    path = Path(name_or_file) if name_or_file.endswith(".toml") else READY_MADE / f"{name_or_file}.toml"
    if not path.is_file():
        raise RequestError(
            f"There is no experiment {name_or_file!r}. Nearest: {', '.join(nearest(name_or_file, (*kept, *ready_made())))}. "
            "`bottleneck experiments` lists them; your own is the path of a .toml file."
        )
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # of TOML, of UTF-8, of numbers that are too long, of nesting
        raise RequestError(f"{path} is not valid TOML: {first_line(error, 200)}") from error
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}.") from error
    return restored_experiment(table, str(path), overrides)


def restored_experiment(table: dict[str, Any], source: str, overrides: tuple[str, ...] = ()) -> Experiment:
    """Return the experiment that tables of settings describe, such as a result keeps them.

    Args:
        table: by section; it is changed by the overrides.
        source: where it comes from, for messages.
        overrides: as in `load_experiment`.

    Raises:
        RequestError: see `load_experiment`.
    """
    _leave_other_network(table, overrides)
    for override in overrides:
        _apply(table, override)
    try:
        text = json.dumps(table, default=str)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{source} has a value that no setting can have: {first_line(error, 200)}") from error
    try:
        return TypeAdapter(Experiment).validate_json(text, strict=True)
    except ValidationError as error:
        details = [
            detail
            for detail in error.errors()
            if not _follows(detail, error.errors()) and not _of_the_other_kind(detail)
        ]
        raise RequestError("\n".join(_explain(detail, source, overrides) for detail in details)) from None


def _leave_other_network(table: dict[str, Any], overrides: tuple[str, ...]) -> None:
    """Where overrides name another network, drop what is of the one before: its layers, their readings, its files."""
    given = {setting_of(override): override.partition("=")[2].strip() for override in overrides}
    backbone, name = table.get("backbone"), given.get("backbone.name")
    if name is None or not isinstance(backbone, dict) or backbone.get("name") is None:
        return
    if Path(str(backbone["name"])).absolute() == Path(name).expanduser().absolute():
        return
    if "backbone.layers" not in given:
        backbone["layers"] = list(models.default_layers(name))
    own = table.get("input")
    if isinstance(own, dict) and backbone["name"] not in models.backbone_names():  # what its publisher says of sizes
        for key in ("size", "resize"):
            if f"input.{key}" not in given:
                own.pop(key, None)
    for key in ("preprocessing", *(("weights",) if backbone.get("weights") != "random" else ())):
        backbone.pop(key, None)
    of_features, tuning = table.get("features"), table.get("finetune")
    if isinstance(of_features, dict) and len(of_features.get("pooling", ())) > 1:
        of_features.pop("pooling")
    if isinstance(tuning, dict):
        tuning.pop("from_layer", None)


def as_made(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that features, a model or a result were made with, as a new table with all that decides the images.

    Before there was `input.fit` every image was stretched.

    Args:
        settings: as a result has them, perhaps one of an earlier release.
    """
    table: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    own = table.get("input")
    if isinstance(own, dict) and "fit" not in own:
        own |= {"fit": "stretch", "crop_share": 0.0}
    return table


def _apply(table: dict[str, Any], override: str) -> None:
    key, equals, raw = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise RequestError(f"--set takes section.key=value. Received: {shown(override)}")
    owner = table
    for part in parts[:-1]:
        owner = owner.setdefault(part, {})
        if not isinstance(owner, dict):
            raise RequestError(
                f"--set {override[:LONGEST_VALUE]}: {shown(part)} is not a section. Sections: {', '.join(_sections())}"
            )
    owner[parts[-1]] = _parse(raw.strip(), _type_of(parts))


def _parse(raw: str, kind: Any) -> Any:
    if kind is str:
        return raw
    if get_origin(kind) is tuple and not raw.startswith("["):
        words = [part.strip() for part in raw.split(",")] if raw else []
        return words if get_args(kind)[0] is str else [_scalar(word) for word in words]
    return _scalar(raw)


def _scalar(raw: str) -> Any:
    try:
        table = tomllib.loads(f"value = {raw}")
    except (ValueError, RecursionError):
        return raw
    return table["value"] if len(table) == 1 else raw  # of several lines


def _type_of(parts: list[str]) -> Any:
    owner: Any = Experiment
    for part in parts:
        if not dataclasses.is_dataclass(owner):
            return None
        owner = get_type_hints(owner).get(part)
    return owner


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give the settings of an experiment as results have it, with the names `--set` takes: `section.key`."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def override_text(name: str, value: Any) -> str:
    """Return a setting as `--set` takes it: `section.key=value`."""
    if isinstance(value, list | tuple):
        words = [*map(str, value)]
        return f"{name}={json.dumps(words) if any(',' in word for word in words) else ','.join(words)}"
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(key, ensure_ascii=False)} = {json.dumps(one)}" for key, one in value.items())
        return f"{name}={{{', '.join(pairs)}}}"
    return f"{name}={str(value).lower() if isinstance(value, bool) else value}"


def setting_of(override: str) -> str:
    """Return which setting an override names, such as `head.epochs`."""
    return override.partition("=")[0].strip()


def setting_names() -> list[str]:
    """Return every `key` and `section.key` that `--set` takes."""
    return _names_in(Experiment)


def _names_in(owner: Any) -> list[str]:
    kinds = get_type_hints(owner)
    return [
        name
        for field in dataclasses.fields(owner)
        for name in (
            [f"{field.name}.{inner}" for inner in _names_in(kinds[field.name])]
            if dataclasses.is_dataclass(kinds[field.name])
            else [field.name]
        )
    ]


def setting_choices(name: str) -> list[str]:
    """Return the words that a setting is one of, or a list of; empty where it may be anything."""
    if name == "compare.methods":  # with layers there are more of them than can be listed
        return list(METHODS)
    kind = _type_of(name.split("."))
    while kind is not None and get_origin(kind) is not Literal:
        inner = get_args(kind)
        kind = inner[0] if inner else None
    return [str(choice) for choice in get_args(kind)] if kind is not None else []


def _table_in(kind: Any) -> Any:
    """Return the class of the tables that a setting may be, which may be a word as well."""
    return next((one for one in (kind, *get_args(kind)) if dataclasses.is_dataclass(one)), Experiment)


def _sections() -> list[str]:
    return [field.name for field in dataclasses.fields(Experiment) if dataclasses.is_dataclass(_type_of([field.name]))]


def _follows(detail: Any, details: list[Any]) -> bool:
    """Whether a list is called too short only because a value of it is refused, which another line says."""
    place = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in details
    )


def _of_the_other_kind(detail: Any) -> bool:
    """Whether a setting that is a word or a table was given as a table and refused as a word, or the other way round."""
    word = any(str(part).startswith("literal[") for part in detail["loc"])
    table = detail["type"] == "dataclass_type" and _TABLE in detail["loc"]
    return detail["type"] == "dict_type" or table or (word and isinstance(detail["input"], dict))


def _explain(detail: Any, source: str, overrides: tuple[str, ...]) -> str:
    named = [str(part) for part in detail["loc"] if not isinstance(part, int)]
    parts = [part for part in named if not part.startswith(("literal[", "dict[", _TABLE))]
    key = ".".join(parts)
    received = f"Received: {shown(detail['input'])}."
    if detail["type"] == "unexpected_keyword_argument":
        owner = _table_in(_type_of(parts[:-1])) if parts[:-1] else Experiment
        valid = [field.name for field in dataclasses.fields(owner)]
        named_by = {word: f"{setting_of(word)}." for word in overrides}
        typed = [word for word, name in named_by.items() if name.startswith(f"{key}.") or f"{key}.".startswith(name)]
        where = f"--set {typed[-1][:LONGEST_VALUE]}" if typed else source
        return f"Unknown key {shown(key)} in {where}. Nearest: {', '.join(nearest(parts[-1], valid))}."
    if detail["type"] == "literal_error":
        table = f" or a table such as {_TABLES.get(key, '{…}')}" if parts != named else ""
        return f"{key}: unknown value. Valid: {detail['ctx']['expected']}{table}. {received}"
    if detail["type"] in ("missing", "missing_argument"):
        return (
            f"{key} has too few values. {received}"
            if isinstance(detail["loc"][-1], int)
            else f"{key} is missing in {source}."
        )
    message = detail["msg"].removeprefix("Value error, ")
    if message.partition(":")[0] in setting_names():  # of a setting that others decide on
        return message
    return f"{key or source}: {message}" + (f". {received}" if key and "Received:" not in message else "")
