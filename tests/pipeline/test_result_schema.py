"""The documented schema of result.json; that every result of every test is as it says is held by `tests/conftest.py`."""

import json
import sys
from pathlib import Path

import pytest
from described import undescribed
from jsonschema import Draft202012Validator

from bottleneck_features.pipeline.result_schema import RECORDS, json_schema

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def pages():
    sys.path.insert(0, str(DOCS))
    try:
        import result_page
    finally:
        sys.path.pop(0)
    return result_page


@pytest.fixture
def head(trained) -> dict:
    """The result of `train-head`, as its file says."""
    return json.loads((trained / "runs" / "digits" / "train-head" / "result.json").read_text(encoding="utf-8"))


def test_the_page_and_the_schema_are_what_the_code_says(pages):
    advice = "is stale. Type: make reference-pages"
    assert pages.PAGE.read_text(encoding="utf-8") == pages.page(), f"docs/reference/result.md {advice}"
    assert pages.SCHEMA.read_text(encoding="utf-8") == pages.schema_text(), (
        f"docs/reference/result.schema.json {advice}"
    )


def test_it_is_a_schema_in_which_every_key_is_explained():
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    for name, record in schema["$defs"].items():
        assert record["description"].endswith("."), name
        for key, value in record["properties"].items():
            assert value.get("description", "").endswith("."), f"{name}.{key}"


def test_every_command_is_in_the_schema_and_on_the_page(pages):
    assert json_schema()["properties"]["command"]["enum"] == list(RECORDS)
    assert all(f"`{command}`" in pages.page() for command in RECORDS)


def test_a_result_that_was_written_fits_the_stored_schema(head, pages):
    stored = json.loads(pages.SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator(stored).validate(head)
    assert undescribed(head) == []


def test_keys_of_a_later_release_are_passed_over(head, pages):
    head["methods"][0]["robustness"] = 0.5
    stored = json.loads(pages.SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator(stored).validate({**head, "energy": 3})


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda result: result.pop("methods"), "$: 'methods' is a required property"),
        (lambda result: result["methods"][0].update(parameters="many"), "$.methods[0].parameters:"),
        (lambda result: result["methods"][0]["accuracy"].update(test=1.5), "$.methods[0].accuracy.test:"),
        (lambda result: result.update(command="training"), "$.command:"),
        (lambda result: result["methods"][0].update(robustness=0.5), "('robustness' was unexpected)"),
    ],
)
def test_a_result_that_no_command_writes_is_refused_at_its_place(head, change, place):
    change(head)
    assert place in "\n".join(undescribed(head))
