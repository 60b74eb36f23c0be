"""Whether a result is as the JSON schema says, by a validator that is not ours, and has no key that the schema leaves out."""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from bottleneck_features.pipeline.result_schema import json_schema


def undescribed(result: dict[str, Any]) -> list[str]:
    """What is wrong with a result, such as a key at any depth that the schema does not describe; nothing is if empty."""
    return [f"{error.json_path}: {error.message[:300]}" for error in _validator().iter_errors(result)]


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(_sealed(json_schema()))


def _sealed(schema: Any) -> Any:
    """The schema with keys that it does not name refused, but where it says that there may be others."""
    if isinstance(schema, list):
        return [_sealed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    within = {key: _sealed(value) for key, value in schema.items()}
    is_record = schema.get("type") == "object" and isinstance(schema.get("properties"), dict) and "title" in schema
    return {"additionalProperties": False, **within} if is_record and "$defs" not in schema else within
