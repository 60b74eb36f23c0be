"""Every command that the documentation names is one that the command line takes, and runs where it can."""

import re
import tomllib
from importlib.util import find_spec

import click
import pytest
from documented import PAGES, ROOT, SCRIPT, Documented, blocks, commands, made_by

from bottleneck_features.pipeline.commandline.cli import main
from bottleneck_features.pipeline.commandline.parsed import parsed_formats, parsed_part, parsed_sizes
from bottleneck_features.pipeline.experiment_file import load_experiment, restored_experiment

ABBREVIATED = re.compile(r"…(?!/)| …|\bCOMMAND\b|\bEXPERIMENT( |$)|\bI/N\b")
OWN = "natural-images"  # an experiment file of the user's is taken for one of image folders


def whole() -> list[Documented]:
    return [one for one in commands() if not ABBREVIATED.search(one.text)]


def require_understood(words: tuple[str, ...]) -> None:
    """Parse the words of a `bottleneck` command and load its settings; nothing is run. A command's bare name is fine."""
    command, rest = main, list(words[1:])
    while isinstance(command, click.Group):
        command = command.commands[rest.pop(0)]
    if not rest:
        return
    given = command.make_context(words[1], rest).params
    if given.get("experiment"):
        name = OWN if given["experiment"].endswith(".toml") else given["experiment"]
        load_experiment(name, given["overrides"])
    for name, parse in (("shard", parsed_part), ("formats", parsed_formats), ("sizes", parsed_sizes)):
        if given.get(name) is not None:
            parse(given[name])


def test_the_documentation_names_commands():
    pages = {one.page for one in whole()}
    assert {"README.md", "docs/tutorial.md", "docs/results.md", "docs/scaling.md", "docs/own-backbone.md"} <= pages
    assert len(whole()) > 60


@pytest.mark.parametrize("documented", [one for one in whole() if one.words[0] == "bottleneck"], ids=str)
def test_the_command_line_takes_every_documented_command(documented):
    require_understood(documented.words)


@pytest.mark.parametrize("documented", [one for one in whole() if one.words[0] == "make"], ids=str)
def test_make_knows_every_documented_target_and_the_command_line_what_it_runs(documented):
    for words in made_by(documented.words):
        require_understood(words)


@pytest.mark.parametrize("page", PAGES)
def test_every_documented_script_is_there(page):
    named = set(SCRIPT.findall((ROOT / page).read_text(encoding="utf-8")))
    assert not [script for script in named if not (ROOT / script).is_file()]


def test_every_module_that_a_page_or_the_notebook_starts_is_there():
    files = [*(ROOT / page for page in PAGES), *(ROOT / "examples").glob("*.ipynb")]
    way = re.compile(r"""(?<![\w-])-m(?: |\\?", \\?")([a-z_]\w*)""")
    started = {name for file in files for name in way.findall(file.read_text(encoding="utf-8"))}
    assert "bottleneck_features" in started
    assert not started & {"pipeline", "features", "models"}  # found from the checkout's root, and refused there
    assert not {name for name in started - {"slow"} if find_spec(name) is None}


@pytest.mark.parametrize("page", PAGES)
def test_every_documented_experiment_file_loads(page):
    for body in blocks(page, "toml"):
        restored_experiment(tomllib.loads(body), page)


def test_every_command_stands_in_the_table_of_commands():
    table = re.findall(r"^\| (`.+?) \|", (ROOT / "docs/commands.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = {word for row in table for word in re.findall(r"`([a-z -]+)`", row)}
    below = {f"cache {name}" for name in main.commands["cache"].commands}
    assert (set(main.commands) - {"cache"}) | below <= named


@pytest.mark.parametrize("page", PAGES)
def test_a_list_stands_after_an_empty_line_or_the_site_shows_none(page):
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(r"^(?![-#\d ]|$).*\n(?:- |1\. ).*", text, re.MULTILINE)
