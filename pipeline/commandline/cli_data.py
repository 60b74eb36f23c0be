"""The commands that begin with images: `run`, `init`, `inspect` and `features`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import click

from bottleneck_features import features
from bottleneck_features.pipeline.commandline.cli_frame import Request, all_option, asked, show
from bottleneck_features.pipeline.commandline.next_steps import after_extraction, after_run, typed
from bottleneck_features.pipeline.commandline.output import echo, print_json, print_next
from bottleneck_features.pipeline.commandline.parsed import parsed_part
from bottleneck_features.pipeline.commandline.printed_results import (
    print_extraction,
    print_inspection,
    print_run,
)
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.results import Result, experiment_json
from bottleneck_features.quiet import import_tensorflow


def on_local(part: features.Partition, on_ray: Mapping[str, Any]) -> Callable[..., Result]:
    """Return stage one for this process; options that only a cluster has are refused."""
    from bottleneck_features.pipeline.stages.features import extract_features

    given = [f"--{name.replace('_', '-')}" for name, value in on_ray.items() if value is not None]
    if given:
        raise RequestError(f"{', '.join(given)}: only with --engine-on ray. Add it, or leave the option out.")
    return partial(extract_features, part=part)


def on_cluster(part: features.Partition, on_ray: Mapping[str, Any]) -> Callable[..., Result]:
    """Return stage one for a Ray cluster."""
    from bottleneck_features.pipeline.extraction.ray_workers import Cluster
    from bottleneck_features.pipeline.stages.features import extract_on_ray

    if part != features.WHOLE:
        raise RequestError(
            f"--shard {part} and --engine-on ray cannot be combined: Ray distributes all shards itself. Give one of them."
        )
    cluster = Cluster(on_ray["address"] or "", on_ray["workers"] or 0, on_ray["devices_per_worker"])
    return partial(extract_on_ray, cluster=cluster)


@click.command("run")
@asked
@click.option(
    "--minutes",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Time for all that follows the extraction; what does not fit is named, and more minutes add it.",
)
@click.option("--backbone", metavar="NAME", help="The pre-trained network; default: efficientnet-lite0.")
@click.option("--size", metavar="HEIGHT[,WIDTH]", help="What images are resized to; default: 224.")
@click.option("--open", "opens", is_flag=True, help="Open the report in the browser.")
@all_option
def run_command(request: Request, minutes: float, opens: bool, everything: bool) -> None:
    """Answer in one line what a pre-trained network is worth on your images, and keep the trained model.

    Inspects the images, extracts their features, probes every layer, trains the walk-through's head, compares with a small
    ConvNet trained from scratch and with fine-tuning where there is time, and writes a report. Typed again, it goes on where
    it was, and takes what it has.

    DATA is a folder with a folder of images for each class, a table that names images, .tar or .parquet files, an .npz of
    images, or the name of embedded data. Its settings are kept in HOME/experiments/NAME.toml.

    \b
    Example: bottleneck run pictures/
             bottleneck run train.csv --name birds --minutes 30
             bottleneck run photo-patches
    """
    if not math.isfinite(minutes):
        raise RequestError(f"--minutes takes a number of minutes. Received: {minutes}")
    import_tensorflow()
    from bottleneck_features.pipeline.stages.run import run

    result = run(request.experiment, request.home, request.options, minutes)
    show(
        request,
        result,
        lambda content: print_run(content, request.of_models, everything),
        lambda content: after_run(content, request.options, request.of_models),
    )
    if opens:
        click.launch(result.details["report"])


@click.command("init")
@asked
def init_command(request: Request) -> None:
    """Write the settings for DATA to HOME/experiments/NAME.toml without running anything: to be read and edited.

    \b
    Example: bottleneck init pictures/
             bottleneck init train.csv --name birds --set backbone.name=resnet50
    """
    from bottleneck_features.pipeline.kept_experiments import kept_file

    name = request.experiment.name
    path = kept_file(request.home, name)
    if not path.is_file() or request.options[0] == "-e":
        raise RequestError(
            f"init writes the settings for DATA, and {name!r} is an experiment that has settings already. Give DATA of your own."
        )
    if request.as_json:
        print_json({"name": name, "file": str(path), "experiment": experiment_json(request.experiment)})
        return
    echo(path)
    print_next(typed("run", request.options))


@click.command("inspect")
@asked
@all_option
def inspect_command(request: Request, everything: bool) -> None:
    """Inspect the images before training: what the data set contains, and which problems it has.

    Class balance, sizes, repeated images within and across the splits, conflicting labels, groups in several splits, and
    shortcuts: properties that predict the label without the picture, and frames or stamps on one class. Writes result.json
    and inspect.html with a contact sheet per class; needs no features.

    \b
    Example: bottleneck inspect -e natural-images --set dataset.path=pictures
    """
    from bottleneck_features.pipeline.stages.inspect import inspect, overview

    show(
        request,
        inspect(request.experiment, request.home, request.options),
        lambda content: print_inspection(content, overview(content), everything),
        lambda _: typed("features", request.options),
    )


@click.command("features")
@asked
@click.option("--rehash", is_flag=True, help="Read and hash all data again, even files that look unchanged.")
@click.option(
    "--reuse/--no-reuse",
    default=True,
    help="Copy what another cache has of the same images by the same recipe, or compute all.  [default: reuse]",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Wait so long for another run that uses this cache.",
)
@click.option(
    "--shard",
    default="1/1",
    metavar="I/N",
    help="Compute only part I of N: every N-th shard of the cache, starting with shard I (I = 1 … N). "
    "N such commands, on one or several machines, make one cache; the last one to finish completes it.",
)
@click.option(
    "--engine-on", type=click.Choice(["local", "ray"]), default="local", show_default=True,
    help="Where to compute: in this process, or in the workers of a Ray cluster.",
)  # fmt: skip
@click.option(
    "--address", metavar="HOST:PORT", help="With ray: address of the cluster. Default: start one on this machine."
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="With ray: number of workers. Default: one per accelerator; without accelerators, one per node.",
)
@click.option(
    "--devices-per-worker",
    type=click.IntRange(min=0),
    help="With ray: accelerators per worker. Default: 1 if the cluster has any.",
)
def features_command(
    request: Request, rehash: bool, reuse: bool, wait: float, shard: str, engine_on: str, **on_ray: Any
) -> None:
    """Stage one: extract the bottleneck features of every image, once.

    An interrupted run continues after its last finished shard. Settings that change the features have a cache of their own.

    \b
    Example: bottleneck features -e photo-patches
             bottleneck features -e cifar10 --set dataset.path=~/cifar-10-batches-py --set dataset.limit=5000
             bottleneck features -e cifar10 --shard 3/16     # one of 16 machines: docs/how-to/cluster.md
             bottleneck features -e cifar10 --engine-on ray --workers 2
             bottleneck features -e cifar10 --set features.store=s3://bucket/caches
    """
    from bottleneck_features.pipeline.datasets.scan_memory import forget_scans

    part = parsed_part(shard)
    extract = on_local(part, on_ray) if engine_on == "local" else on_cluster(part, on_ray)
    if rehash:
        forget_scans(request.home)
    result = extract(request.experiment, request.home, wait_seconds=wait, reuse=reuse)
    show(request, result, print_extraction, lambda content: after_extraction(content, request.options))
