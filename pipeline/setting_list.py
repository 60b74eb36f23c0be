"""Every setting of an experiment as a reader wants it: type, default and meaning, from the fields themselves."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from bottleneck_features.errors import nearest
from bottleneck_features.pipeline.dataset_settings import ONLY_FOR
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.setting_kinds import shown

_ENDLESS = 2**31 - 1  # a bound from which on none is said
_ONE = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
_MANY = {"integer": "whole numbers", "number": "numbers", "string": "texts"}


@dataclass(frozen=True)
class Setting:
    """One key of the experiment file.

    Attributes:
        name: as `--set` takes it, such as `head.epochs`.
        type: in words, such as `whole number from 1 to 100,000`.
        default: JSON; None where there is none.
        required: whether every experiment has to give it.
        meaning: one sentence or more.
        sources: the values of `dataset.source` that it is for; empty: all.
    """

    name: str
    type: str
    default: Any
    required: bool
    meaning: str
    sources: tuple[str, ...] = ()

    @property
    def section(self) -> str:
        """The table of the file that it stands in, such as `dataset.splits`; empty: none, it stands at the top."""
        return self.name.rpartition(".")[0]

    @property
    def key(self) -> str:
        """Its name in that table."""
        return self.name.rpartition(".")[2]


def every_setting() -> tuple[Setting, ...]:
    """Return all settings, section by section, those at the top of the file first."""
    schema = TypeAdapter(Experiment).json_schema()
    found = list(_settings_in(schema, "", schema["$defs"]))
    order = {section: place for place, section in enumerate(dict.fromkeys(["", *(one.section for one in found)]))}
    return tuple(sorted(found, key=lambda one: order[one.section]))


def section_meanings() -> dict[str, str]:
    """Return what each section is about, by its name; of the keys at the top of the file by an empty one."""
    schema = TypeAdapter(Experiment).json_schema()
    return dict(_meanings_in(schema, "", schema["$defs"]))


def settings_of(word: str) -> tuple[Setting, ...]:
    """Return the settings of a section and of those in it, the one of a full name, or all of a key; of no word all.

    Args:
        word: such as `head`, `head.epochs`, or `epochs`, which several sections have.

    Raises:
        RequestError: there is none; the message names the nearest.
    """
    every = every_setting()
    chosen = [one for one in every if not word or f"{one.name}.".startswith(f"{word}.")]
    chosen = chosen or [one for one in every if one.key == word]
    if not chosen:
        sections = [section for section in dict.fromkeys(one.section for one in every) if section]
        names = list(dict.fromkeys([*sections, *(one.key for one in every), *(one.name for one in every)]))
        close = nearest(word, names)
        advice = f" Nearest: {', '.join(close)}." if len(close) < len(names) else ""
        raise RequestError(f"There is no section or setting {shown(word)}.{advice} Sections: {', '.join(sections)}.")
    return tuple(chosen)


def value_in(experiment: Experiment, setting: Setting) -> Any:
    """Return the value of a setting in an experiment, as JSON has it."""
    value: Any = experiment
    for part in setting.name.split("."):
        value = getattr(value, part)
    return list(value) if isinstance(value, tuple) else value


def as_json(setting: Setting, value: Any) -> dict[str, Any]:
    """Return a setting with the value in force as an object of JSON."""
    return {**asdict(setting), "section": setting.section, "sources": list(setting.sources), "value": value}


def _settings_in(owner: Mapping[str, Any], prefix: str, known: Mapping[str, Any]) -> Iterator[Setting]:
    for key, schema in owner["properties"].items():
        name = f"{prefix}{key}"
        if "$ref" in schema:
            yield from _settings_in(_referred(schema, known), f"{name}.", known)
            continue
        part, _, rest = name.partition(".")
        sources = ONLY_FOR.get(rest.partition(".")[0], ()) if part == "dataset" else ()
        required = "default" not in schema
        yield Setting(name, _type_text(schema), schema.get("default"), required, schema["description"], sources)


def _meanings_in(owner: Mapping[str, Any], name: str, known: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield name, owner["description"].partition("\n")[0]
    for key, schema in owner["properties"].items():
        if "$ref" in schema:
            yield from _meanings_in(_referred(schema, known), f"{name}.{key}".lstrip("."), known)


def _referred(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = known[schema["$ref"].rpartition("/")[2]]
    return found


def _type_text(schema: Mapping[str, Any], words: Mapping[str, str] = MappingProxyType(_ONE)) -> str:
    if "anyOf" in schema:
        return " or ".join(_type_text(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "$ref" in schema:  # of a section that a word may stand for
        return "a table"
    if "enum" in schema:
        return ", ".join(schema["enum"])
    if schema["type"] == "object":
        return f"a table of {_type_text(schema['additionalProperties'], _MANY)}"
    if schema["type"] == "array":
        items = schema.get("items") or schema["prefixItems"][0]
        return f"{schema['minItems'] if 'prefixItems' in schema else 'list of'} {_type_text(items, _MANY)}"
    return words[schema["type"]] + _bounds_text(schema)


def _bounds_text(schema: Mapping[str, Any]) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum", _ENDLESS), schema.get("exclusiveMaximum")
    lowest = f" from {low:,}" if low is not None else f" above {above:,}" if above is not None else ""
    if below is not None:
        return f"{lowest}, below {below:,}"
    if high < _ENDLESS:
        return f"{lowest} to {high:,}"
    return f"{lowest} on" if low is not None else lowest
