"""The commands that say what can be asked for: `experiments` and `settings`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bottleneck_features.pipeline.commandline.cli_frame import home_option, json_option
from bottleneck_features.pipeline.commandline.completion import (
    complete_experiment,
    complete_section,
    complete_setting,
)
from bottleneck_features.pipeline.commandline.next_steps import typed
from bottleneck_features.pipeline.commandline.output import echo, print_json, print_next, say
from bottleneck_features.pipeline.errors import RequestError

if TYPE_CHECKING:
    from bottleneck_features.pipeline.setting_list import Setting


@click.command("experiments")
@json_option
def experiments_command(as_json: bool) -> None:
    """List the ready-made experiments.

    \b
    Example: bottleneck experiments
    """
    from bottleneck_features.pipeline.experiment_file import load_experiment, ready_made

    found = {name: load_experiment(name).description for name in ready_made()}
    if as_json:
        print_json([{"name": name, "description": text} for name, text in found.items()])
        return
    for name, text in found.items():
        say(text, f"{name:<20}", " " * 20)
    print_next(typed("run", ("photo-patches",)))


@click.command("settings")
@click.argument("section", default="", metavar="[SECTION]", shell_complete=complete_section)
@click.option(
    "-e", "--experiment", metavar="NAME_OR_FILE", shell_complete=complete_experiment,
    help="Show the values of this experiment, and the default beside each that differs.",
)  # fmt: skip
@click.option(
    "--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", shell_complete=complete_setting,
    help="Override a setting of the experiment; may be repeated.",
)  # fmt: skip
@home_option
@json_option
def settings_command(
    section: str, experiment: str | None, overrides: tuple[str, ...], home: Path, as_json: bool
) -> None:
    """List every setting with its value, type and meaning, or those of a section, or one.

    The value is the default or, with -e, that of an experiment. Every command takes them as `--set head.epochs=50`; a file of
    your own has them below `[head]`. The same table: docs/reference/settings.md.

    \b
    Example: bottleneck settings
             bottleneck settings head
             bottleneck settings dataset -e folder --set dataset.path=pictures
             bottleneck settings score.select
    """
    from bottleneck_features.pipeline import setting_list
    from bottleneck_features.pipeline.asked_experiment import named_experiment

    chosen = setting_list.settings_of(section)
    if overrides and not experiment:
        raise RequestError(
            "--set changes a setting of an experiment: name it by -e (`bottleneck experiments` lists them)."
        )
    own = named_experiment(experiment, overrides, home) if experiment else None
    rows = [(one, setting_list.value_in(own, one) if own else one.default) for one in chosen]
    if as_json:
        print_json([setting_list.as_json(one, value) for one, value in rows])
        return
    meanings = setting_list.section_meanings()
    for name, group in groupby(rows, lambda row: row[0].section):
        say(f"[{name}] {meanings[name]}" if name else "At the top of the file:", "", "")
        for one, value in group:
            say(_value_line(one, value, required=one.required and own is None), "  ", "    ")
            sources = f" For {', '.join(one.sources)}." if one.sources else ""
            say(f"{one.type}. {one.meaning}{sources}", "      ", "      ")
        echo("")


def _value_line(setting: Setting, value: Any, *, required: bool) -> str:
    from bottleneck_features.pipeline.setting_kinds import value_text

    if required:
        return f"{setting.name}  (every experiment gives it)"
    own = f"{setting.name} = {value_text(value)}"
    if setting.required or value == setting.default:
        return own
    return f"{own}  (default: {value_text(setting.default)})"
