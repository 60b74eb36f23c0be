"""Every command that the documentation names is one that the command line takes, and runs where it can."""

import re
import tomllib
from importlib.util import find_spec

import click
import pytest
from documented import (
    COMMAND,
    FENCE,
    LANGUAGES,
    NO_COMMAND,
    PAGES,
    ROOT,
    SCRIPT,
    Documented,
    blocks,
    commands,
    in_blocks,
    lines,
    made_by,
    plain,
)

from bottleneck_features.pipeline.commandline.cli import main
from bottleneck_features.pipeline.commandline.parsed import parsed_formats, parsed_part, parsed_sizes
from bottleneck_features.pipeline.experiment_file import load_experiment, restored_experiment

ABBREVIATED = re.compile(r"…(?!/)|\bCOMMAND\b|\bEXPERIMENT( |$)|\bI/N\b")
OWN = "natural-images"  # stands for an experiment file of the user's, and for data that a page has opened before
OPENED = ("held-out", "photographs", "pictures", "pets")


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
        own = given["experiment"].endswith(".toml") or given["experiment"] in OPENED
        name = OWN if own else given["experiment"]
        load_experiment(name, given["overrides"])
    for name, parse in (("shard", parsed_part), ("formats", parsed_formats), ("sizes", parsed_sizes)):
        if given.get(name) is not None:
            parse(given[name])


def test_the_documentation_names_commands():
    pages = {one.page for one in whole()}
    assert {
        "README.md",
        "docs/tutorial.md",
        "docs/results.md",
        "docs/how-to/cluster.md",
        "docs/how-to/backbones.md",
    } <= pages
    assert len(whole()) > 60


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_kind_that_is_tested_or_shows_what_is_printed(page):
    kinds = [kind for kind, _ in FENCE.findall((ROOT / page).read_text(encoding="utf-8"))]
    assert not [kind for kind in kinds if kind not in LANGUAGES]


@pytest.mark.parametrize("page", PAGES)
def test_every_line_of_a_shell_is_a_command_that_is_tested(page):
    typed = [plain(line) for body in blocks(page, "bash") for line in lines(body)]
    assert not [line for line in typed if not (COMMAND.match(line) or NO_COMMAND.match(line))]


def test_no_command_in_a_block_is_abbreviated():
    assert not [str(one) for one in in_blocks() if ABBREVIATED.search(one.text)]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_python_is_python(page):
    for body in blocks(page, "python"):
        compile(body, page, "exec")


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


def test_the_page_of_commands_is_what_the_command_line_says(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    from commands_page import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "docs/reference/commands.md is stale. Type: make reference-pages"


def test_the_reports_of_the_gallery_are_made_by_its_commands():
    text = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    linked = re.findall(r"<!-- reports: (\S+) -->", text)
    assert linked == ["photo-patches", "digits", "unequal"]
    assert linked == re.findall(r"^bottleneck run (\S+)", text, re.MULTILINE)
