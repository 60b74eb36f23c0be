"""The record of each command's result, by which a result is checked and described."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from bottleneck_features.foreign import problem_of
from bottleneck_features.pipeline.method_names import COMPARE_BACKBONES, NETWORKS
from bottleneck_features.pipeline.result_schema.data import (
    AdviseResult,
    BenchResult,
    FeaturesResult,
    InspectResult,
    LabelCurveResult,
)
from bottleneck_features.pipeline.result_schema.every import ResultRecord
from bottleneck_features.pipeline.result_schema.scored import (
    CompareBackbonesResult,
    CompareResult,
    FineTuneResult,
    ProbeResult,
    TrainHeadResult,
)
from bottleneck_features.pipeline.result_schema.use import (
    EvaluateResult,
    ExportResult,
    PredictResult,
    ReportResult,
    RunResult,
)

RECORDS: Mapping[str, type[ResultRecord]] = {
    "run": RunResult,
    "inspect": InspectResult,
    "features": FeaturesResult,
    "probe": ProbeResult,
    "train-head": TrainHeadResult,
    "compare": CompareResult,
    COMPARE_BACKBONES: CompareBackbonesResult,
    "label-curve": LabelCurveResult,
    "advise": AdviseResult,
    **dict.fromkeys(NETWORKS, FineTuneResult),
    "report": ReportResult,
    "evaluate": EvaluateResult,
    "predict": PredictResult,
    "export": ExportResult,
    "bench": BenchResult,
}


def missing_keys(command: str, content: Mapping[str, Any]) -> list[str]:
    """Return the keys that the result of a command must have and this one lacks, its own before those of every result."""
    needed = [name for name, field in RECORDS[command].model_fields.items() if field.is_required()]
    return sorted((name for name in needed if name not in content), key=lambda name: name in ResultRecord.model_fields)


def require_result(command: str, content: Mapping[str, Any]) -> None:
    """Check the result of a command.

    Raises:
        ValueError: naming the first place that is missing or cannot be right.
    """
    try:
        found = RECORDS[command].model_validate(content)
    except ValidationError as error:
        raise ValueError(problem_of(error)) from None
    if found.command != command:
        raise ValueError(f"command: it is the result of {found.command!r}")


class _Untitled(GenerateJsonSchema):
    """A schema without the titles that only repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def json_schema() -> dict[str, Any]:
    """Return the JSON schema (2020-12) of every result.json: `command` says which record the rest has to fit.

    What must fit together, such as an accuracy with its interval, is not in it: no schema can say that.
    """
    records = dict.fromkeys(RECORDS.values())
    names, definitions = models_json_schema([(one, "validation") for one in records], schema_generator=_Untitled)
    by_command = [
        {
            "if": {"properties": {"command": {"const": command}}, "required": ["command"]},
            "then": names[record, "validation"],
        }
        for command, record in RECORDS.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "result.json of bottleneck-features",
        "description": "The result of one command. Keys that are not named may be there: a later version can add some.",
        "type": "object",
        "required": ["command"],
        "properties": {"command": {"enum": list(RECORDS)}},
        "allOf": by_command,
        "$defs": definitions["$defs"],
    }
