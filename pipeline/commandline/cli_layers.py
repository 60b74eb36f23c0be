"""The command `layers`."""

from __future__ import annotations

import click

from bottleneck_features.pipeline.commandline.cli_frame import all_option, json_option
from bottleneck_features.pipeline.commandline.next_steps import typed
from bottleneck_features.pipeline.commandline.output import print_json, print_left_out, print_next, print_table, say
from bottleneck_features.pipeline.errors import RequestError

COLUMNS = ("layer", "shape", "auto reads", "features", "GFLOP", "share")
SIDES, LEAST, MOST = 2, 8, 2048


@click.command("layers")
@click.argument("name")
@click.option(
    "--size", metavar="SIDE", help="Of the images: 224 or 200,300 (height, width). Default: the network's own."
)
@all_option
@json_option
def layers_command(name: str, size: str | None, everything: bool, as_json: bool) -> None:
    """List the layers of a network: shapes, what is read of them, and what they cost.

    NAME is what backbone.name takes: a registered network, a preset of KerasHub, hf://organisation/model, a folder or a model
    file. Without --all only the layers that end a stage, or a block of a transformer, are shown. The star marks the one that is
    taken where no layers are named.

    \b
    Example: bottleneck layers efficientnet-lite0
             bottleneck layers dinov2_small --size 518
             bottleneck layers downloads/my-network --all
    """
    from bottleneck_features.pipeline.stages.layers import layers_of

    found = layers_of(name, _sides(size) if size else None)
    if as_json:
        print_json(found)
        return
    shown = [one for one in found["layers"] if everything or one["stage"]]
    height, width = found["size"]
    say(f"{name} at {height}×{width} pixels; preprocessing: {found['preprocessing']}")
    rows = [
        (
            f"{one['name']}{' *' if one['taken'] else ''}",
            "×".join(map(str, one["shape"])),
            one["reading"],
            f"{one['features']:,}",
            f"{one['gflop']:.3g}",
            f"{one['share']:.0%}",
        )
        for one in shown
    ]
    print_table(COLUMNS, rows)
    print_left_out(layers=len(found["layers"]) - len(shown))
    if found["notice"]:
        say(found["notice"], "note: ", "      ")
    print_next(typed("run", ("pictures", "--backbone", name)))


def _sides(text: str) -> tuple[int, int]:
    try:
        sides = [int(side) for side in text.split(",")]
    except ValueError:
        sides = []
    if len(sides) not in (1, SIDES) or not all(LEAST <= side <= MOST for side in sides):
        raise RequestError(
            f"--size is one number of pixels or two (height,width), {LEAST} to {MOST}. Received: {text!r}"
        )
    return sides[0], sides[-1]
