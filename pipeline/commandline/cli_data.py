"""The commands that begin with images: `inspect` and `features`."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import click

from bottleneck_features import features
from bottleneck_features.pipeline.commandline.cli_frame import Request, asked, show
from bottleneck_features.pipeline.commandline.output import echo, print_extraction, print_inspection
from bottleneck_features.pipeline.commandline.parsed import parsed_part
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.results import Result


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


@click.command("inspect")
@asked
def inspect_command(request: Request) -> None:
    """Inspect the images before training: what the data set contains, and which problems it has.

    Class balance, sizes, repeated images within and across the splits, conflicting labels, groups in several splits, and
    shortcuts: properties that predict the label without the picture. Writes result.json and inspect.html with a contact
    sheet per class; needs no features.

    \b
    Example: bottleneck inspect -e natural-images --set dataset.path=pictures
    """
    from bottleneck_features.pipeline.stages.inspect import inspect, overview

    def say(content: Mapping[str, Any]) -> None:
        echo(overview(content))
        print_inspection(content)

    show(request, inspect(request.experiment, request.home, request.options), say)


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
             bottleneck features -e cifar10 --shard 3/16     (see docs/scaling.md)
             bottleneck features -e cifar10 --engine-on ray --workers 2
             bottleneck features -e cifar10 --set features.store=s3://bucket/caches
    """
    from bottleneck_features.pipeline.datasets.scan_memory import forget_scans

    part = parsed_part(shard)
    extract = on_local(part, on_ray) if engine_on == "local" else on_cluster(part, on_ray)
    if rehash:
        forget_scans(request.home)
    result = extract(request.experiment, request.home, wait_seconds=wait, reuse=reuse)
    show(request, result, lambda content: print_extraction(content, request.options))
