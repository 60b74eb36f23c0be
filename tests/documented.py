"""The commands that the pages name, as words that the command line could be given."""

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parents[1]
FIRST = ("README.md", "docs/start.md", "docs/tutorial.md", "CONTRIBUTING.md", "benchmarks/README.md")
OTHERS = sorted({str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md")} - set(FIRST))
PAGES = (*FIRST, *OTHERS)
NOTEBOOKS = tuple(sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("examples/*.ipynb")))
LANGUAGES = ("bash", "python", "toml", "text", "{eval-rst}", "{toctree}")  # of fenced blocks
COMMAND = re.compile(r"(bottleneck|make|python) ")
NO_COMMAND = re.compile(r"#|wait$|pip install |export PATH=|[A-Z]\w*=")  # the other lines that blocks of a shell have
SCRIPT = re.compile(r"\b(?:benchmarks|tests)/[\w/]+\.py\b")
FENCE = re.compile(r"^```(\S*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`((?:bottleneck|make|python) [^`]+)`(?!`)")
REMARK = re.compile(r"\s+\((?:the same|on any|once|i\.e\.)[^)]*\)\s*$")


@dataclass(frozen=True)
class Documented:
    """A command as a page has it.

    Attributes:
        page: the file, relative to the repository.
        text: the line.
        words: what its shell would make of it.
    """

    page: str
    text: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a page in one language."""
    return [body for kind, body in FENCE.findall((ROOT / page).read_text(encoding="utf-8")) if kind == language]


def commands() -> list[Documented]:
    """Return every `bottleneck`, `make` and `python` command of all pages, in order: blocks first, then those inside text."""
    return [*in_blocks(), *in_text()]


def in_blocks() -> list[Documented]:
    """Return the commands of blocks."""
    return [
        Documented(page, text, words) for page in PAGES for body in blocks(page, "bash") for text, words in shell(body)
    ]


def in_text() -> list[Documented]:
    """Return the commands inside text."""
    found = []
    for page in PAGES:
        prose = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
        for text in INLINE.findall(prose):
            found += [Documented(page, one, words) for one, words in shell(" ".join(text.split()))]
    return found


def shell(body: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the commands in lines of a shell with their words: lines joined, remarks and redirections gone."""
    known: dict[str, str] = {}
    found = []
    for line in map(plain, lines(body)):
        assignment = re.fullmatch(r'([A-Z]\w*)="(.*)"', line)
        if assignment:
            known[assignment[1]] = assignment[2]
        if not COMMAND.match(line):
            continue
        meant = re.sub(r"\$\(\(.*?\)\)|\$\{?[A-Z]\w*\}?", lambda match: _value(match[0], known), line)
        words = shlex.split(meant, comments=True)
        found.append((line, tuple(_before(words, ("&", "|", ">", ">>")))))
    return found


def lines(body: str) -> list[str]:
    """Return the lines of a block, those that go on in the next one joined, without empty ones."""
    return [line for line in body.replace("\\\n", " ").splitlines() if line.strip()]


def plain(line: str) -> str:
    """Return a line without the remark at its end and the spaces that align it."""
    return " ".join(REMARK.sub("", line).split())


def _value(variable: str, known: dict[str, str]) -> str:
    """What a variable of the block holds; a number for what a scheduler sets."""
    return known.get(Template(variable).get_identifiers()[0], "1") if "((" not in variable else "1"


def _before(words: list[str], ends: tuple[str, ...]) -> list[str]:
    return words[: next((place for place, word in enumerate(words) if word in ends), len(words))]


@cache
def made_by(words: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the `bottleneck` commands that a `make` command would run.

    Raises:
        ValueError: make knows no such target.
    """
    own = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ARGS", "EXPERIMENT", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS")
    }
    said = subprocess.run([*words, "--dry-run"], cwd=ROOT, env=own, capture_output=True, text=True, check=False)
    if said.returncode:
        raise ValueError(said.stderr)
    lines = (shlex.split(line) for line in said.stdout.splitlines() if line.startswith(".venv/bin/bottleneck"))
    return tuple(("bottleneck", *line[1:]) for line in lines)
