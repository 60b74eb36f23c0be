"""What `compare --backbones` does: it parses, calls its stage and prints the result."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from bottleneck_features.pipeline.commandline.cli_frame import Request, show
from bottleneck_features.pipeline.commandline.next_steps import after_networks
from bottleneck_features.pipeline.commandline.output import (
    MOST_ROWS,
    echo,
    print_files,
    print_left_out,
    print_table,
    say,
)
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.method_names import COMPARE_BACKBONES
from bottleneck_features.pipeline.reporting.networks import (
    networks_columns,
    networks_legend,
    networks_marks,
    networks_rows,
)
from bottleneck_features.pipeline.tables import pair_line
from bottleneck_features.quiet import import_tensorflow


def compare_networks(
    request: Request,
    backbones: str,
    folds: int | None,
    repeats: int | None,
    others: Mapping[str, Any],
    everything: bool,
) -> None:
    """Compare networks, and print what was found.

    Args:
        request: what the common options ask for.
        backbones: what `--backbones` gives.
        folds: what `--folds` gives.
        repeats: what `--repeats` gives.
        others: options of `compare` that do not go with `--backbones`, by their names.
        everything: whether all of it is printed.

    Raises:
        RequestError: one of these is given.
        Whatever `compared_backbones` and the stage raise.
    """
    if given := [name for name, value in others.items() if value is not None]:
        raise RequestError(f"{given[0]} does not go with --backbones: leave one of them out.")
    from bottleneck_features.pipeline.evaluation.study import open_data
    from bottleneck_features.pipeline.methods.compared_backbones import compared_backbones, require_alone

    asked = backbones.split(",")
    require_alone(request.experiment, asked, request.overrides)
    found = compared_backbones(request.experiment, asked)
    study = open_data(request.experiment, request.home, COMPARE_BACKBONES, request.options)
    import_tensorflow()
    from bottleneck_features.pipeline.methods.cross_validation import folding_of
    from bottleneck_features.pipeline.stages.compare_backbones import compare_backbones

    result = compare_backbones(study, found, folding_of(study, folds, repeats))
    show(
        request,
        result,
        partial(_print_networks, everything=everything),
        lambda content: after_networks(content, request.options),
    )


def _print_networks(result: Mapping[str, Any], everything: bool) -> None:
    echo("")
    name, *columns = networks_columns(result)
    marks, rows = networks_marks(result), networks_rows(result)
    cells = [(mark + first, *others) for mark, (first, *others) in zip(marks, rows, strict=True)]
    print_table((f"  {name}", *columns), cells if everything else cells[:MOST_ROWS], needed=3)
    say(networks_legend(result), rest="  ")
    if not everything:
        print_left_out(networks=len(cells) - MOST_ROWS, tests_of_differences=len(result["pairs"]))
    else:
        echo("\nDifferences on the same images:")
        for pair in result["pairs"]:
            say(pair_line(pair, result["scored_on"]), "- ", "  ")
        echo("")
    for row in result["methods"]:
        if row["network"]["images_per_second"] is None:
            say(f"speed of {row['name']} not known: {row['network']['speed_of']}", rest="  ")
    print_files(result, everything)
