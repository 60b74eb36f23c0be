import json
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest
from click.testing import CliRunner

from bottleneck_features.pipeline.commandline.cli import main
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.experiment_file import load_experiment, ready_made, setting_names
from bottleneck_features.pipeline.setting_kinds import value_text
from bottleneck_features.pipeline.setting_list import every_setting, section_meanings

ROOT = Path(__file__).parents[2]


def settings(*words: str) -> str:
    done = CliRunner().invoke(main, ["settings", *words])
    assert done.exit_code == 0, done.output
    return done.stdout


def rows(*words: str) -> dict[str, dict]:
    return {row["name"]: row for row in json.loads(settings(*words, "--json"))}


def test_every_setting_is_listed_once_with_its_meaning():
    assert sorted(one.name for one in every_setting()) == sorted(setting_names())
    assert all(one.meaning.endswith(".") and one.type for one in every_setting())
    assert all(section_meanings().values())


def test_defaults_are_those_of_the_fields():
    listed = {one.name: one for one in every_setting()}
    for section in fields(Experiment):
        kind = get_type_hints(Experiment)[section.name]
        for field in fields(kind) if is_dataclass(kind) else ():
            one = listed.get(f"{section.name}.{field.name}")
            if one and not one.required:
                assert json.loads(json.dumps(field.default)) == one.default, one.name


def test_the_page_is_what_the_code_says():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from settings_page import PAGE, page
    finally:
        sys.path.pop(0)
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/reference/settings.md is stale. Type: make reference-pages"


@pytest.mark.parametrize("words", [(), ("-e", "emergency-vehicles"), ("-e", "natural-images")])
def test_no_line_is_wider_than_a_terminal(words):
    assert max(map(len, settings(*words).splitlines())) <= 80


def test_the_value_in_force_is_that_of_the_experiment():
    listed = rows("head", "-e", "digits", "--set", "head.dropout=0.5")
    assert {name: row["value"] for name, row in listed.items()} == {
        "head.dropout": 0.5,
        "head.epochs": 60,
        "head.batch_size": 32,
        "head.learning_rate": 2e-3,
        "head.validation_split": 0.2,
    }
    assert listed["head.epochs"]["default"] == 10
    assert "head.epochs = 60  (default: 10)" in settings("head", "-e", "digits")
    assert "head.epochs = 10\n" in settings("head")


@pytest.mark.parametrize("name", ready_made())
def test_what_is_shown_of_an_experiment_can_be_typed(name):
    own = load_experiment(name)
    typed = [
        f"{setting}={value_text(row['value'])}"
        for setting, row in rows("-e", name).items()
        if not value_text(row["value"]).startswith("(")
    ]
    assert load_experiment(name, tuple(typed)) == own


def test_a_section_a_setting_and_a_key_can_be_asked_for():
    assert {row["section"] for row in rows("dataset").values()} == {"dataset", "dataset.splits"}
    assert list(rows("score.select")) == ["score.select"]
    assert list(rows("epochs")) == ["head.epochs", "convnet.epochs", "finetune.epochs"]
    assert rows("dataset.splits")["dataset.splits.train"]["sources"] == ["folder", "tar"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["finetun"], "There is no section or setting 'finetun'. Nearest: finetune"),
        (["epoch"], "Nearest: epochs"),
        (["🙂" * 200], "Sections: dataset, dataset.splits, backbone"),
        (["head", "--set", "head.epochs=3"], "name it by -e"),
        (["head", "-e", "digit"], "Nearest: digits"),
        (["head", "-e", "digits", "--set", "head.epoch=3"], "Nearest: epochs"),
    ],
)
def test_a_wrong_word_names_what_there_is(words, expected):
    done = CliRunner().invoke(main, ["settings", *words])
    assert done.exit_code == 2
    assert expected in done.stderr
    assert len(done.stderr) < 500


def test_listing_the_settings_loads_nothing_that_computes():
    heavy = ("sklearn", "scipy", "tensorflow", "keras", "matplotlib")
    code = (
        "import sys; from click.testing import CliRunner; from bottleneck_features.pipeline.commandline.cli import main; "
        f"CliRunner().invoke(main, ['settings', '-e', 'digits']); print([name for name in {heavy} if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
