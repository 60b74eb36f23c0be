"""Writes docs/reference/result.md and result.schema.json from the records of results, as `make reference-pages` does."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bottleneck_features.pipeline.result_schema import RECORDS, json_schema
from bottleneck_features.pipeline.result_schema.every import ResultRecord

PAGE = Path(__file__).parent / "reference" / "result.md"
SCHEMA = PAGE.with_name("result.schema.json")
BEGINNING = """# What result.json holds

Every command that works on an experiment writes one object to `HOME/runs/<experiment>/<command>/result.json`, and prints
the same object with `--json`. This page is written by `make reference-pages` from the
records that check a result when it is read.
The same as a JSON schema (2020-12): [result.schema.json](result.schema.json). Any validator reads it:

```python
import json
import jsonschema

schema = json.load(open("result.schema.json"))
result = json.load(open("artifacts/runs/photo-patches/compare/result.json"))
jsonschema.validate(result, schema)
for row in result["methods"]:
    print(row["name"], row["accuracy"][result["scored_on"]])
```

- Figures such as accuracies are shares, 0 to 1. An interval is a list of its lower and its upper end, at 95 %.
- "By split" means an object with a value for each of `train`, `validation`, `test` and, of folds, `cross_validated`.
- The *label* of a method is its name, with its layers if it is a probe: `head@top_activation`, `logistic@a+b`, `best-probe`.
- A key with a star is always there: without it a result is refused. Others are absent where there is nothing to say, and in
  results of earlier releases.
- A later release can add keys. Programs that read results should pass over those that they do not know.
"""
_WORDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}
_MANY = {"integer": "whole numbers", "number": "numbers", "string": "texts", "boolean": "true or false"}


def schema_text() -> str:
    """Return the schema as it is stored."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def page() -> str:
    """Return the page as Markdown."""
    definitions = json_schema()["$defs"]
    every = ResultRecord.model_json_schema()
    parts = [BEGINNING, f"## Every result\n{_table(every)}"]
    commands: dict[str, list[str]] = {}
    for command, record in RECORDS.items():
        commands.setdefault(record.__name__, []).append(command)
    for name, own in commands.items():
        title = ", ".join(f"`{command}`" for command in own)
        parts.append(f"## {title}\n{definitions[name]['description']}\n\n{_table(definitions[name], every)}")
    parts.append("## Parts\nWhat the tables above refer to.\n")
    parts += [_part(name, definitions[name]) for name in _parts(definitions, list(commands))]
    return "\n".join(parts)


def _parts(definitions: Mapping[str, Any], commands: list[str]) -> list[str]:
    """Return the names of the records that others refer to, in the order in which a reader meets them."""
    met = dict.fromkeys(["ResultRecord", *commands])
    waiting = [*commands]
    while waiting:
        referred = [name for name in _references(definitions[waiting.pop(0)]) if name not in met]
        met |= dict.fromkeys(referred)
        waiting += referred
    return [name for name in met if name not in ("ResultRecord", *commands)]


def _references(schema: Any) -> Iterator[str]:
    for key, value in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if key == "$ref":
            yield _named(value)
        elif isinstance(value, dict | list):
            yield from _references(value)


def _part(name: str, definition: Mapping[str, Any]) -> str:
    return f"### {_title(name)}\n{_linked(definition['description'])}\n\n{_table(definition)}"


def _table(definition: Mapping[str, Any], without: Mapping[str, Any] | None = None) -> str:
    known, needed = (without or {}).get("properties", {}), definition.get("required", ())
    rows = [
        f"| `{key}`{' *' if key in needed else ''} | {_type(schema)} | {_linked(schema['description'])} |"
        for key, schema in definition["properties"].items()
        if key not in known
    ]
    return "\n".join(("| key | type | meaning |", "|---|---|---|", *rows, ""))


def _type(schema: Mapping[str, Any], words: Mapping[str, str] = _WORDS) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(one, words) for one in schema["anyOf"])
    if "$ref" in schema:
        return f"[{_title(_named(schema['$ref']))}](#{_title(_named(schema['$ref'])).replace(' ', '-')})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if schema["type"] == "array":
        return f"{'lists' if words is _MANY else 'list'} of {_type(schema['items'], _MANY)}"
    if schema["type"] == "object":
        values = schema.get("additionalProperties")
        kind = "objects" if words is _MANY else "object"
        return f"{kind} of {_type(values, _MANY)}" if isinstance(values, dict) else kind
    return words.get(schema["type"], schema["type"])


def _linked(meaning: str) -> str:
    return meaning.replace("the list of settings", "[the list of settings](settings.md)")


def _named(reference: str) -> str:
    return reference.rpartition("/")[2]


def _title(name: str) -> str:
    """Return the name of a record in words: `MethodRecord` is "method"."""
    letters = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name.removesuffix("Record"))
    return letters.strip()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
