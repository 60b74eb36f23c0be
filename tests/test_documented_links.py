"""Every link from one page of the documentation to another leads somewhere, in the repository as on the site."""

import json
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from documented import NOTEBOOKS, PAGES, ROOT
from markdown_it import MarkdownIt
from markdown_it.token import Token

READ = (*PAGES, "CHANGELOG.md", *NOTEBOOKS)
ELSEWHERE = re.compile(r"[a-z]+:")
IN_HTML = re.compile(r'(?:src|srcset|href)="([^"]+)"')


@cache
def tokens(page: str) -> list[Token]:
    text = (ROOT / page).read_text(encoding="utf-8")
    if page.endswith(".ipynb"):
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return MarkdownIt().enable("table").parse(text)


def links(page: str) -> list[str]:
    """Return where the links and pictures of a page lead, those of raw HTML too."""
    inner = [child for token in tokens(page) for child in token.children or [token]]
    targets = [str(one.attrs[name]) for one in inner for name in ("href", "src") if name in one.attrs]
    raw = [target for one in inner if one.type.startswith("html") for target in IN_HTML.findall(one.content)]
    return [target for target in targets + raw if not ELSEWHERE.match(target)]


@cache
def anchors(page: str) -> set[str]:
    """Return the places that a forge gives the headings of a page: lower case, hyphens for spaces, no other signs."""
    every = tokens(page)
    heads = [following for token, following in pairwise(every) if token.type == "heading_open"]
    names = ("".join(child.content for child in head.children or ()) for head in heads)
    return {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in names}


def missing(page: str, target: str) -> bool:
    path, _, anchor = target.partition("#")
    place = (ROOT / page).parent / path if path else ROOT / page
    found = place.resolve()
    if not found.exists() or not found.is_relative_to(ROOT):
        return True
    return bool(anchor) and anchor not in anchors(str(found.relative_to(ROOT)))


@pytest.mark.parametrize("page", READ)
def test_links_lead_to_files_and_headings_that_are_there(page):
    assert not [target for target in links(page) if missing(page, target)]


def test_links_and_headings_are_found():
    assert "docs/results.md#two-answers-both-true" in links("README.md")
    assert "docs/pictures/report-dark.png" in links("README.md")
    assert "folders-datasetsource--folder" in anchors("docs/how-to/own-folder.md")
    assert missing("README.md", "docs/no-such-page.md")
    assert missing("README.md", "docs/results.md#no-such-heading")


def test_every_page_is_in_the_table_of_contents():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = {line for body in re.findall(r"```{toctree}\n(.*?)```", index, re.DOTALL) for line in body.splitlines()}
    named = {Path(page).with_suffix("").as_posix() for page in READ} - {"docs/index"}
    assert {page.removeprefix("docs/") if page.startswith("docs/") else f"../{page}" for page in named} <= listed
