"""Writes docs/reference/commands.md from the command line itself, as `make reference-pages` does."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path

import click

from bottleneck_features.pipeline.commandline.cli import main

PAGE = Path(__file__).parent / "reference" / "commands.md"
COMMON = 10  # an option of so many commands is described once
BEGINNING = """# Commands

Written by `make reference-pages` from the help of the command line. Each command is `bottleneck COMMAND` (or `python
-m bottleneck_features COMMAND`); most are a `make` target too (`make help`), those of an experiment with
`EXPERIMENT=…` and `ARGS="…"`.

Without `--json` a command prints its verdict, then at most eight rows with the best method marked (`--all`:
everything), warnings with the gravest first, and after `next:` what to type next. A table leaves out columns that do
not fit; names are never cut. Output that is piped is plain text of 80 columns. Exit codes: 0 done, 1 the work failed,
2 the request was wrong.

`--set section.key=value` overrides any [setting](settings.md): `--set head.epochs=50 --set
backbone.layers=block5c_add`. An experiment of your own is a TOML file (`-e mine.toml`), like those in
`pipeline/experiments`.
"""


@dataclass(frozen=True)
class Entry:
    """A command and its name, such as `cache ls`."""

    name: str
    command: click.Command

    @property
    def context(self) -> click.Context:
        """What the command would be started with."""
        return click.Context(self.command, info_name=f"bottleneck {self.name}")

    @property
    def anchor(self) -> str:
        """Return where its section begins."""
        return self.name.replace(" ", "-")

    def options(self) -> list[tuple[str, str]]:
        """Return what its help says of each option, `--help` left out."""
        records = (one.get_help_record(self.context) for one in self.command.params if isinstance(one, click.Option))
        return [record for record in records if record]


def entries(group: click.Group = main, before: str = "") -> Iterator[Entry]:
    """Yield every command by its full name."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from entries(command, f"{before}{name} ")
        else:
            yield Entry(before + name, command)


def page() -> str:
    """Return the page as Markdown."""
    listed = sorted(entries(), key=lambda one: one.name)
    counts = Counter(option for one in listed for option in one.options())
    common = [option for option, count in counts.items() if count >= COMMON]
    overview = "\n".join(f"| [`{one.name}`](#{one.anchor}) | {_first_sentence(one)} |" for one in listed)
    return "\n".join(
        [
            BEGINNING,
            f"| command | what it does |\n|---|---|\n{overview}\n",
            f"## Options of most commands\n\n{_table(common)}",
            *(_section(one, common) for one in listed),
        ]
    )


def _section(one: Entry, common: list[tuple[str, str]]) -> str:
    usage = " ".join(one.command.collect_usage_pieces(one.context))
    parts = [f"## {one.name}\n", f"```text\nbottleneck {one.name} {usage}\n```\n", *map(_paragraph, _paragraphs(one))]
    own = [option for option in one.options() if option not in common]
    return "\n".join([*parts, *([_table(own)] if own else [])])


def _paragraphs(one: Entry) -> list[str]:
    return re.split(r"\n\s*\n", cleandoc(one.command.help or ""))


def _first_sentence(one: Entry) -> str:
    return _escaped(re.split(r"(?<=[.?])\s", " ".join(_paragraphs(one)[0].split()))[0])


def _paragraph(text: str) -> str:
    """Return one paragraph; lines that click may not fill are a block, of a shell where they are examples."""
    if not text.startswith("\b"):
        return f"{_escaped(' '.join(text.split()))}\n"
    lines = text.removeprefix("\b\n").splitlines()
    if not lines[0].startswith("Example:"):
        return "```text\n{}\n```\n".format("\n".join(lines))
    return "```bash\n{}\n```\n".format("\n".join(line.removeprefix("Example:").strip() for line in lines))


def _table(options: list[tuple[str, str]]) -> str:
    rows = "\n".join(f"| `{_cell(name)}` | {_escaped(meaning)} |" for name, meaning in options)
    return f"| option | meaning |\n|---|---|\n{rows}\n"


def _escaped(text: str) -> str:
    """Return prose with options as code, in which Markdown finds no tags or emphasis."""
    pieces = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return _cell("".join(piece if piece.startswith("`") else _plain(piece) for piece in pieces))


def _plain(text: str) -> str:
    return re.sub(r"(?<![\w-])--[a-z][\w-]*", r"`\g<0>`", re.sub(r"[*<\[]", r"\\\g<0>", text))


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
