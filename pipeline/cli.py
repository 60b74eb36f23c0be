"""The command line: it parses, calls one stage and prints its result."""

import json
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

import features
import models
from pipeline.errors import PipelineError, RequestError
from pipeline.experiment import Experiment, load_experiment
from pipeline.quiet import import_tensorflow

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

WRONG_REQUESTS = (
    features.CacheMissing,
    features.CacheMismatch,
    models.BackboneFileError,
    models.EngineUnavailable,
    models.InvalidSetting,
    models.UnknownBackbone,
    models.UnknownLayer,
    models.WeightsMismatch,
)


class Commands(click.Group):
    """A group whose commands end with one clear message and the exit codes 0 (done), 1 (failed) or 2 (wrong request)."""

    def invoke(self, ctx: click.Context) -> Any:
        if ctx.params.get("debug"):
            return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _fail("Stopped. What was finished is kept: the same command continues where this one stopped.", 1)
        except PipelineError as error:
            _fail(str(error), error.exit_code)
        except (features.CacheError, models.ModelError) as error:
            _fail(str(error), 2 if isinstance(error, WRONG_REQUESTS) else 1)
        except MemoryError:
            _fail("The machine ran out of memory. Lower compute.batch_size or dataset.limit by --set.", 1)
        except OSError as error:
            _fail(
                f"{error.strerror or error}: {error.filename or 'unknown file'}. Check the folder, or choose another by --home.",
                1,
            )


@dataclass(frozen=True)
class Request:
    """What the common options ask for."""

    experiment: Experiment
    home: Path
    as_json: bool
    options: tuple[str, ...]


def stage(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options every stage has, and call it with the `Request` they make."""

    def run(experiment: str, overrides: tuple[str, ...], home: Path, as_json: bool, **others: Any) -> None:
        options = ("-e", experiment, *(word for value in overrides for word in ("--set", value)))
        request = Request(load_experiment(experiment, overrides), usable_home(home), as_json, options)
        import_tensorflow()
        function(request, **others)

    run.__doc__ = function.__doc__
    run.__name__ = function.__name__
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the result object on stdout, and nothing else."),
        home_option,
        click.option(
            "--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE",
            help="Override a setting of the experiment; may be repeated. Lists: a,b",
        ),
        click.option(
            "-e", "--experiment", default="cifar10", show_default=True, metavar="NAME_OR_FILE",
            help="A ready-made experiment (see `bottleneck experiments`) or the path of a .toml file.",
        ),
    ):  # fmt: skip
        run = option(run)
    return run


home_option = click.option(
    "--home", type=click.Path(path_type=Path, file_okay=False), envvar="BOTTLENECK_HOME", default="artifacts",
    show_default=True, help="Folder of caches and results; also $BOTTLENECK_HOME.",
)  # fmt: skip


def usable_home(home: Path) -> Path:
    """Return the artifacts folder, made if missing, or say why it cannot be written to."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"--home '{home}' cannot be made ({error.strerror}). Name a folder you may write to."
        ) from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise RequestError(f"--home '{home}' cannot be written to. Name a folder you may write to.")
    return home


@click.group(cls=Commands, context_settings=SETTINGS)
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
@click.version_option(version("bottleneck-features"), prog_name="bottleneck")
def main(debug: bool) -> None:
    """What is a pre-trained ConvNet worth on your images?

    Run the frozen network over the images once, keep its bottleneck features, then train and compare in seconds:

    \b
      bottleneck features   -e photo-patches
      bottleneck train-head -e photo-patches --set head.epochs=100
      bottleneck compare    -e photo-patches

    Exit codes: 0 done, 1 the work failed, 2 the request was wrong.
    """
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s: %(message)s")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print them as a JSON list.")
def experiments(as_json: bool) -> None:
    """List the ready-made experiments.

    \b
    Example: bottleneck experiments
    """
    from pipeline.experiment import ready_made

    found = {name: load_experiment(name).description for name in ready_made()}
    if as_json:
        click.echo(json.dumps([{"name": name, "description": text} for name, text in found.items()], indent=2))
        return
    for name, text in found.items():
        click.echo(f"{name:<16}{text}")


@main.command("features")
@stage
def features_command(request: Request) -> None:
    """Stage one: extract the bottleneck features of every image, once.

    An interrupted run continues at its last finished shard. Settings that change a number get a cache of their own.

    \b
    Example: bottleneck features -e photo-patches
             bottleneck features -e cifar10 --set dataset.path=~/cifar-10-batches-py --set dataset.limit=5000
    """
    from pipeline.extract import extract_features

    result = extract_features(request.experiment, request.home).as_json()
    if request.as_json:
        _print_json(result)
        return
    _print_warnings(result)
    if result["images"]:
        click.echo(
            f"{result['images']:,} images at {result['images_per_second']:,.1f} images/s "
            f"({result['engine']}, {result['precision']}), peak memory {result['peak_memory_mib']:,.0f} MiB"
        )
    else:
        click.echo("Every feature is there already: nothing to do.")
    click.echo(f"cache: {result['cache']} ({result['cache_mib']:,.1f} MiB)")
    click.echo(f"next:  bottleneck train-head {' '.join(request.options)}")


@main.command("train-head")
@stage
def train_head_command(request: Request) -> None:
    """Stage two: train the walk-through's head on the last cached layer, in seconds.

    \b
    Example: bottleneck train-head -e photo-patches --set head.epochs=100 --set head.dropout=0.5
    """
    from pipeline.train_head import train_head

    result = train_head(request.experiment, request.home).as_json()
    if request.as_json:
        _print_json(result)
        return
    _print_warnings(result)
    _print_table(result)
    for file in result["files"]:
        click.echo(file)


@main.command("compare")
@stage
def compare_command(request: Request) -> None:
    """Compare heads on the cached features with ConvNets trained from scratch on the same images.

    Writes result.json, pictures and report.html.

    \b
    Example: bottleneck compare -e digits
    """
    from pipeline.compare import compare
    from pipeline.report import answer, write_report

    result = compare(request.experiment, request.home)
    content = result.as_json()
    report = write_report(content, request.options, result.folder / "report.html")
    if request.as_json:
        _print_json(content)
        return
    _print_warnings(content)
    _print_table(content)
    click.echo(answer(content))
    click.echo(f"report: {report}")


@main.group()
def cache() -> None:
    """List and export the caches of features."""


@cache.command("ls")
@home_option
@click.option("--json", "as_json", is_flag=True, help="Print them as a JSON list.")
def cache_ls(home: Path, as_json: bool) -> None:
    """List the caches: what is in them, how large and how old they are, and whether they are complete.

    \b
    Example: bottleneck cache ls
    """
    from pipeline.cache_commands import list_rows

    rows = list_rows(home)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo(f"No cache in {home}. Make one: bottleneck features -e photo-patches")
        return
    columns = ("cache", "layers", "dtype", "images", "MiB", "age", "state")
    _print_rows(columns, [tuple(str(row.get(column, "")) for column in columns) for row in rows])
    for row in rows:
        if row["problem"]:
            click.echo(f"! {row['problem']}", err=True)


@cache.command("export")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--format", "kind", type=click.Choice(["npz", "npy", "parquet"]), default="npz", show_default=True)
@click.option(
    "--to", "target", type=click.Path(path_type=Path, file_okay=False), help="Folder; default: beside the cache."
)
@click.option("--layer", help="Which layer; default: the last one.")
def cache_export(path: Path, kind: str, target: Path | None, layer: str | None) -> None:
    """Write a cache's features and labels for other programs, one file a split.

    \b
    Example: bottleneck cache export artifacts/features/cifar10-resnet50-1a2b3c4d --format npz
    """
    for file in features.export_features(path, target or path.parent, path.name, kind, layer):
        click.echo(file)


def _print_json(content: dict[str, Any]) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False))


def _print_warnings(content: dict[str, Any]) -> None:
    for warning in content["warnings"]:
        click.echo(f"! {warning}", err=True)


def _print_table(content: dict[str, Any]) -> None:
    from pipeline.report import COLUMNS, table_rows

    _print_rows(COLUMNS, table_rows(content["methods"]))
    tested = max(method["n"]["test"] for method in content["methods"])
    click.echo(f"top-1 accuracy with its 95 % Wilson interval; {tested:,} test images, scored once")


def _print_rows(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False).print(table)


def _fail(message: str, code: int) -> None:
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)
