"""What every command prints by: lines, tables, JSON, warnings, what to type next, and the one line of an error."""

import io
import json
import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click
from rich.console import Console, RenderableType
from rich.text import Text

from bottleneck_features.figure_text import INTERVAL
from bottleneck_features.pipeline.commandline.layout import prose, table, width
from bottleneck_features.plain import one_line, visible

MOST_ROWS = 8  # of a table, where --all is not given


def echo(text: object, err: bool = False) -> None:
    """Print a line on stdout or, with `err`, on the error stream, as a terminal may show it."""
    click.echo(visible(str(text)), err=err)


class VisibleFormatter(logging.Formatter):
    """Warnings as a terminal may show them: they name what others chose, such as what a cache says of its machine."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return visible(super().format(record))


def print_json(content: Any) -> None:
    """Print an object as JSON on stdout."""
    echo(json.dumps(content, indent=2, ensure_ascii=False))


def say(text: str, first: str = "", rest: str = "", err: bool = False) -> None:
    """Print sentences in lines that fit, the first of which begins with `first` and the others with `rest`."""
    for line in prose(text, width(), first, rest):
        echo(line, err=err)


def print_answer(text: str, err: bool = False) -> None:
    """Print what was found, its figures bold."""
    for line in prose(visible(text), width()):
        shown = Text(line)
        shown.highlight_regex(INTERVAL, "bold")
        _print_styled(shown, err)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], needed: int = 2) -> None:
    """Print rows of text under their column names, see `table`."""
    _print_styled(table([*map(one_line, columns)], [[*map(one_line, row)] for row in rows], width(), needed))


def _print_styled(shown: RenderableType, err: bool = False) -> None:
    stream = sys.stderr if err else sys.stdout
    console = Console(file=io.StringIO(), force_terminal=stream.isatty(), width=width())
    with console.capture() as captured:
        console.print(shown, soft_wrap=isinstance(shown, Text), crop=False)
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), err=err)


def print_left_out(**more: int) -> None:
    """Print how much of what only `--all` shows, if there is any."""
    named = ", ".join(f"{count:,} more {what.replace('_', ' ')}" for what, count in more.items() if count > 0)
    if named:
        echo(f"… {named}: --all")


def print_files(result: Mapping[str, Any], everything: bool) -> None:
    """Print where a result's files are; all of them by name only where everything is to be shown."""
    for file in result["files"] if everything else ():
        echo(file)
    if not everything:
        echo(f"files: {result['folder']}")


def print_warnings(result: Mapping[str, Any]) -> None:
    """Print a result's warnings on the error stream, each once, and then its notes."""
    for warning in dict.fromkeys(result["warnings"]):
        say(warning, "! ", "  ", err=True)
    for note in dict.fromkeys(result.get("notes", ())):
        say(f"note: {note}", rest="  ", err=True)


def print_next(commands: Sequence[Sequence[str]], err: bool = False) -> None:
    """Print what may be typed next, each command on one line as a shell takes it."""
    for words in commands:
        echo(f"next:  {shlex.join(words)}", err=err)


def fail(message: str, code: int) -> NoReturn:
    """Print an error and end with its exit code."""
    echo(f"Error: {message}", err=True)
    sys.exit(code)
