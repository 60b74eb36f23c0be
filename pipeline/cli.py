"""The command line: it parses, calls one stage and prints its result."""

import functools
import logging
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

import features
import models
from pipeline.cli_cache import DEFAULT_HOME, cache, home_option, json_option
from pipeline.errors import NoCache, PipelineError, RequestError
from pipeline.experiment import Experiment, load_experiment
from pipeline.output import calibration_sentence, fail, print_json, print_methods, print_table, print_warnings
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

STOPPED = {
    "features": "Stopped. Every finished shard is kept: the same command continues where this one stopped.",
    "fine-tune": "Stopped. Every finished epoch is kept: the same command continues after the last one.",
}


class Commands(click.Group):
    """A group whose commands end with one clear message and the exit codes 0 (done), 1 (failed) or 2 (wrong request)."""

    def invoke(self, ctx: click.Context) -> Any:
        if ctx.params.get("debug"):
            return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fail(STOPPED.get(ctx.invoked_subcommand or "", "Stopped."), 1)
        except PipelineError as error:
            fail(str(error), error.exit_code)
        except (features.CacheError, models.ModelError) as error:
            fail(str(error), 2 if isinstance(error, WRONG_REQUESTS) else 1)
        except MemoryError:
            fail("The machine ran out of memory. Lower compute.batch_size or dataset.limit by --set.", 1)
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(1)
        except OSError as error:
            fail(
                f"{error.strerror or error}: {error.filename or 'unknown file'}. Check that it may be read and written.",
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
    """Give a command the options every stage has, load what computes, and call it with the `Request` they make."""

    def run(request: Request, **others: Any) -> None:
        import_tensorflow()
        function(request, **others)

    return asked(functools.update_wrapper(run, function))


def asked(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options every stage has, and call it with the `Request` they make."""

    def run(experiment: str, overrides: tuple[str, ...], home: Path, as_json: bool, **others: Any) -> None:
        options = ("-e", experiment, *(word for value in overrides for word in ("--set", value)))
        if home != DEFAULT_HOME:
            options += ("--home", str(home))
        request = Request(load_experiment(experiment, overrides), usable_home(home), as_json, options)
        try:
            function(request, **others)
        except NoCache as error:
            raise NoCache(f"{error}\nType first: bottleneck features {shlex.join(options)}") from error

    functools.update_wrapper(run, function)
    for option in (
        json_option,
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
@json_option
def experiments(as_json: bool) -> None:
    """List the ready-made experiments.

    \b
    Example: bottleneck experiments
    """
    from pipeline.experiment import ready_made

    found = {name: load_experiment(name).description for name in ready_made()}
    if as_json:
        print_json([{"name": name, "description": text} for name, text in found.items()])
        return
    for name, text in found.items():
        click.echo(f"{name:<20}{text}")


@main.command("inspect")
@asked
def inspect_command(request: Request) -> None:
    """Look at the images before anything else: what is in them, and what is wrong with them.

    Class balance, sizes, repeated images within and across the splits, conflicting labels, groups in several splits, and
    shortcuts: labels that can be told without looking at the picture. Writes result.json and inspect.html with a contact
    sheet a class; needs no features.

    \b
    Example: bottleneck inspect -e natural-images --set dataset.path=pictures
    """
    from pipeline.inspect_data import inspect
    from pipeline.inspect_page import COLUMNS, shortcut_rows

    content = inspect(request.experiment, request.home, request.options).as_json()
    if request.as_json:
        print_json(content)
        return
    print_warnings(content)
    print_table(COLUMNS, shortcut_rows(content["shortcuts"]))
    repeats = content["repeats"]
    click.echo(
        f"{repeats['sets']:,} sets of repeated images ({repeats['across_splits']:,} across splits, "
        f"{repeats['conflicting_labels']:,} with conflicting labels); near ones: {repeats['near_ones']}"
    )
    click.echo(f"page: {content['files'][-1]}")


@main.command("features")
@stage
@click.option(
    "--rehash", is_flag=True, help="Read all data again for their fingerprint, even files that look unchanged."
)
@click.option(
    "--wait", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="Wait for another run on this cache."
)
def features_command(request: Request, rehash: bool, wait: float) -> None:
    """Stage one: extract the bottleneck features of every image, once.

    An interrupted run continues at its last finished shard. Settings that change a number get a cache of their own.

    \b
    Example: bottleneck features -e photo-patches
             bottleneck features -e cifar10 --set dataset.path=~/cifar-10-batches-py --set dataset.limit=5000
    """
    from pipeline.extract import extract_features
    from pipeline.fingerprints import forget_fingerprints

    if rehash:
        forget_fingerprints(request.home)
    result = extract_features(request.experiment, request.home, wait).as_json()
    if request.as_json:
        print_json(result)
        return
    print_warnings(result)
    if result["images"]:
        click.echo(
            f"{result['images']:,} images at {result['images_per_second']:,.1f} images/s "
            f"({result['engine']}, {result['precision']}), peak memory {result['peak_memory_mib']:,.0f} MiB"
        )
    else:
        click.echo("Every feature is there already: nothing to do.")
    click.echo(f"cache: {result['cache']} ({result['cache_mib']:,.1f} MiB)")
    click.echo(f"next:  bottleneck train-head {shlex.join(request.options)}")


@main.command("train-head")
@stage
def train_head_command(request: Request) -> None:
    """Stage two: train the walk-through's head on the last cached layer, in seconds.

    Also says how far its confidence may be trusted, before and after temperature scaling on validation images.

    \b
    Example: bottleneck train-head -e photo-patches --set head.epochs=100 --set head.dropout=0.5
    """
    from pipeline.train_head import train_head

    result = train_head(request.experiment, request.home).as_json()
    if request.as_json:
        print_json(result)
        return
    print_warnings(result)
    print_methods(result)
    click.echo(calibration_sentence(result))
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
    from pipeline.report import answer

    content = compare(request.experiment, request.home, request.options).as_json()
    if request.as_json:
        print_json(content)
        return
    print_warnings(content)
    print_methods(content)
    click.echo(answer(content))
    click.echo(f"report: {content['files'][-1]}")


@main.command("fine-tune")
@stage
@click.option(
    "--method",
    type=click.Choice(["fine-tune", "from-pretrained", "from-scratch"]),
    default="fine-tune",
    show_default=True,
    help="What is trained; see above.",
)
def fine_tune_command(request: Request, method: str) -> None:
    """Train the network itself, with a new last layer, on the splits of the frozen methods.

    \b
    fine-tune        trains on from the pre-trained weights. The new layer starts from a linear probe on
                     the cached features. Batch norm is kept as pre-trained: statistics of a small batch
                     are noise. --set finetune.from_layer=conv5_block1 keeps all layers before that one.
    from-pretrained  trains the whole network, batch norm too, from the pre-trained weights.
    from-scratch     the same from random weights.

    A checkpoint is kept after every epoch: the same command continues a run that was killed.
    With pip install 'bottleneck-features[tensorboard]', tensorboard --logdir artifacts/runs follows it.

    \b
    Example: bottleneck fine-tune -e photo-patches --set finetune.epochs=3
             bottleneck fine-tune -e cifar10 --method from-pretrained --set finetune.learning_rate=1e-3
    """
    from pipeline.fine_tune import fine_tune

    result = fine_tune(request.experiment, request.home, method).as_json()
    if request.as_json:
        print_json(result)
        return
    print_warnings(result)
    print_methods(result)
    for file in result["files"]:
        click.echo(file)


@main.command("bench")
@stage
@click.option(
    "--quick", is_flag=True, help="Fewer images, repeats and precisions: about two minutes on two idle cores."
)
def bench_command(request: Request, quick: bool) -> None:
    """Measure stage one on this machine: the walk-through's script, the bare forward pass, and the full stage.

    \b
    Example: bottleneck bench -e cifar10 --quick
    """
    from pipeline.bench import COLUMNS, FULL, QUICK, bench, table_rows

    result = bench(request.experiment, request.home, QUICK if quick else FULL).as_json()
    if request.as_json:
        print_json(result)
        return
    print_warnings(result)
    print_table(COLUMNS, table_rows(result["variants"]))
    for file in result["files"]:
        click.echo(file)


main.add_command(cache)
