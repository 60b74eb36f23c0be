"""What all commands share: their options, the request these make, and how a failure ends."""

from __future__ import annotations

import errno
import functools
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from bottleneck_features.errors import BottleneckError
from bottleneck_features.pipeline.arguments import text
from bottleneck_features.pipeline.commandline.completion import complete_experiment, complete_setting
from bottleneck_features.pipeline.commandline.output import (
    MOST_ROWS,
    fail,
    print_answer,
    print_json,
    print_next,
    print_warnings,
    say,
)
from bottleneck_features.pipeline.home import DEFAULT_HOME, HOME_VARIABLE, home_words, usable_home
from bottleneck_features.stopping import stopping_at_once, stopping_is_heard

if TYPE_CHECKING:
    from bottleneck_features.pipeline.experiment import Experiment
    from bottleneck_features.pipeline.results import Result

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
READY_OR_FILE = "A ready-made experiment (see `bottleneck experiments`), one that is kept in --home, or a .toml file."
# what would replace or show models, results and settings of an experiment
REPLACING = ("init", "train-head", "probe", "compare", "fine-tune", "advise", "report", "run")
CLICK_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

SPREAD = (
    "Also measure the spread of test figures: over N draws of the test split, where it is drawn, everything learned anew, and "
    "over N trainings on the same split. Each is a look at test images."
)

INTERRUPT_MESSAGES = {
    "features": "Stopped. Every finished shard is kept: the same command continues where this one stopped.",
    "run": "Stopped. Every finished step is kept: the same command continues there.",
    "predict": "Stopped. With --out every prediction is kept: the same command continues after the last one.",
    "probe": "Stopped. With --seeds every finished split and training is kept: the same command continues after the last one.",
    "compare": "Stopped. With --seeds every finished split and training is kept, of networks every finished epoch, and with "
    "--backbones every finished shard of features: the same command continues there.",
    "fine-tune": "Stopped. Every finished epoch is kept: the same command continues after the last one.",
}


class Commands(click.Group):
    """A group whose commands end with one clear message and the exit codes 0 (done), 1 (failed) or 2 (wrong request)."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; with --debug errors keep their traceback."""
        if ctx.params.get("debug"):
            return super().invoke(ctx)
        try:
            with stopping_is_heard(), _early_stops_in_words():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            fail(INTERRUPT_MESSAGES.get(ctx.invoked_subcommand or "", "Stopped."), 1)
        except BottleneckError as error:
            fail(str(error), error.exit_code)
        except MemoryError:
            fail("The machine ran out of memory. Lower compute.batch_size or dataset.limit with --set.", 1)
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(1)
        except OSError as error:
            fail(_what_the_system_refused(error), 1)


@contextmanager
def _early_stops_in_words() -> Iterator[None]:
    """Show a fit that stopped before its optimum as commands show what a reader must know, without a line of code."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **others: Any) -> None:
        if category.__name__ == "ConvergenceWarning":  # scikit-learn's, which is not loaded for its name
            say(str(message), "! ", "  ", err=True)
        else:
            usual(message, category, *place, **others)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


def _what_the_system_refused(error: OSError) -> str:
    if error.errno in FULL:
        where = f" ('{error.filename}')" if error.filename else ""
        return (
            f"{error.strerror}{where}. Free some space where --home and the temporary folder are, then type the same command "
            "again: what was finished is kept."
        )
    if error.filename:
        return f"{error.strerror or error}: {error.filename}. Check that it may be read and written."
    return f"{error.strerror or error}."


home_option = click.option(
    "--home", type=click.Path(file_okay=False), envvar=HOME_VARIABLE, default=str(DEFAULT_HOME), show_default=True,
    callback=lambda _, __, given: Path(text("--home", given, "the path of a folder")),
    help="Folder of caches and results; also $BOTTLENECK_HOME.",
)  # fmt: skip
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result object on stdout, and nothing else."
)

all_option = click.option(
    "--all",
    "everything",
    is_flag=True,
    help=f"Print everything: all rows of tables (else {MOST_ROWS}) and the details.",
)


class Shown(Protocol):
    """What asks for a result."""

    @property
    def as_json(self) -> bool:
        """Whether it is printed as JSON."""


@dataclass(frozen=True)
class Request:
    """What the common options ask for."""

    experiment: Experiment
    home: Path
    as_json: bool
    options: tuple[str, ...]
    overrides: tuple[str, ...] = ()

    @property
    def of_models(self) -> tuple[str, ...]:
        """The words that name the experiment's trained models."""
        return ("-e", self.experiment.name, *home_words(self.home))


def asked(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command DATA and the options every stage has, and call it with the `Request` they make."""

    def run(
        data: str | None, name: str | None, experiment: str | None, overrides: tuple[str, ...], home: Path, as_json: bool,
        backbone: str | None = None, size: str | None = None, **others: Any,
    ) -> None:  # fmt: skip
        with stopping_at_once():
            from bottleneck_features.pipeline.asked_experiment import asked_experiment, short_words

        overrides = (*short_words(backbone, size), *overrides)
        command = click.get_current_context().info_name
        home = usable_home(home)
        found = asked_experiment(data, experiment, name, overrides, home, replaces=command in REPLACING)
        for line in found.said:
            say(line, rest="  ", err=True)
        request = Request(found.experiment, home, as_json, (*found.words, *home_words(home)), overrides)
        try:
            function(request, **others)
        except BottleneckError as error:
            if not error.remedy:
                raise
            raise type(error)(f"{error}\n{error.remedy} {shlex.join(request.options)}") from error

    wrapped = functools.update_wrapper(run, function)
    for option in (
        click.option("--name", metavar="NAME", help="Call DATA by this name; default: that of its folder or file."),
        click.argument("data", metavar="[DATA]", required=False),
    ):
        wrapped = option(wrapped)
    return with_options(wrapped, READY_OR_FILE)


def with_options(run: Callable[..., None], experiments: str) -> Callable[..., None]:
    """Add the options that every stage has; `experiments` is the help of `-e`."""
    for option in (
        json_option,
        home_option,
        click.option(
            "--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", shell_complete=complete_setting,
            help="Override a setting of the experiment; may be repeated. Write lists as a,b",
        ),
        click.option(
            "-e", "--experiment", metavar="NAME_OR_FILE", shell_complete=complete_experiment, help=experiments,
        ),
    ):  # fmt: skip
        run = option(run)
    return run


def show(
    request: Shown,
    result: Result,
    rest: Callable[[dict[str, Any]], None],
    following: Callable[[dict[str, Any]], Sequence[Sequence[str]]],
    to_errors: bool = False,
) -> None:
    """Print a result: its JSON if that is asked for, else its answer, the rest of it, its warnings and what to type next.

    Args:
        request: what the common options ask for.
        result: of the command.
        rest: prints what follows the answer.
        following: returns the commands that may follow.
        to_errors: whether answer and commands go to the error stream, since stdout is for other programs.
    """
    content = result.as_json()
    if request.as_json:
        print_json(content)
        return
    from bottleneck_features.pipeline.reporting.verdicts import verdict_of

    print_answer(verdict_of(content), to_errors)
    rest(content)
    print_warnings(content)
    print_next(following(content), to_errors)


_FOLDS = (
    click.option(
        "--folds",
        type=click.IntRange(min=0, max=1000),
        help="Cross-validate the training images in so many folds; 0: never. Default: 5 where there is no test split, none "
        "was asked for, and it would be under 100 images, and beside a test split of under 100 images.",
    ),
    click.option(
        "--repeats", type=click.IntRange(min=1, max=1000), help="How often the folds are drawn anew.  [default: 10]"
    ),
)


def cross_validated(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of cross-validation to a command."""
    for option in reversed(_FOLDS):
        command = option(command)
    return command


def seeded(help_text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what adds the option `--seeds` to a command."""
    return click.option("--seeds", type=click.IntRange(min=1, max=1000), metavar="N", help=help_text)
