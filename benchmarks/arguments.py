"""The arguments that several of these scripts take."""

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
NEW = click.Path(path_type=Path)

real_data = click.option(
    "--data", type=FOLDER, envvar="BOTTLENECK_REAL_DATA", show_envvar=True, required=True, help="The real data."
)
