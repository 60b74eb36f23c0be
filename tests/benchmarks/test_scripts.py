"""Every script of benchmarks/ starts, says how it is run, and stands in the README with where its figures are."""

import importlib
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(file.stem for file in FOLDER.glob("*.py") if file.stem != "arguments")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_starts_and_says_how_it_is_run(name):
    script = importlib.import_module(name)
    assert f"python benchmarks/{name}.py" in script.__doc__
    done = CliRunner().invoke(script.main, ["--help"])
    assert done.exit_code == 0, done.output


def test_the_readme_names_every_script_and_headings_that_there_are():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)\.py`", text, re.MULTILINE) == SCRIPTS
    for page, anchor in re.findall(r"\]\(([^)#]+)#?([^)]*)\)", text):
        headings = re.findall(r"^#+ (.+)", (FOLDER / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
