"""The commands `predict`, `export`, `doctor` and `completions`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bottleneck_features.pipeline.arguments import between_0_and_1, writable
from bottleneck_features.pipeline.commandline.cli_frame import (
    all_option,
    home_option,
    json_option,
    show,
)
from bottleneck_features.pipeline.commandline.completion import completion_script
from bottleneck_features.pipeline.commandline.next_steps import after_export, after_prediction, typed
from bottleneck_features.pipeline.commandline.output import MOST_ROWS, fail, print_json, print_left_out, print_next, say
from bottleneck_features.pipeline.commandline.parsed import parsed_formats
from bottleneck_features.pipeline.commandline.printed_results import print_export, print_predictions
from bottleneck_features.pipeline.commandline.trained import ModelRequest, of_trained, opened_model
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.home import home_words
from bottleneck_features.pipeline.use.prediction import FALSE_ALARMS
from bottleneck_features.quiet import import_tensorflow

if TYPE_CHECKING:
    from bottleneck_features.pipeline.stages.doctor import Check


@click.command("predict")
@of_trained
@click.argument("paths", nargs=-1, metavar="PATHS…", type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="Classes given for each file.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the CSV to this file. The same command continues a run that was killed.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Of two classes: answer the second from this probability on. Default: what validation images chose, or the more "
    "probable class.",
)
@click.option(
    "--false-alarms",
    type=float,
    default=FALSE_ALARMS,
    show_default=True,
    metavar="SHARE",
    help="Of images like the training images, the share that may be called unlike them.",
)
def predict_command(
    request: ModelRequest,
    paths: tuple[Path, ...],
    top: int,
    out: Path | None,
    threshold: float | None,
    false_alarms: float,
) -> None:
    """Classify image files, or all files in a folder, with a trained model: of an experiment (-e), or a file (--model).

    Of the experiment only the name is used: the model has the settings of its training, and needs neither its data nor its
    features. Files are decoded and resized as in stage one. What cannot be read, or is not there, is listed with the reason.
    The result is CSV on stdout (or --out, --json): the classes with calibrated probabilities, and three more columns.

    \b
    distance  how far the features are from those of the training images, divided by a threshold
              that --false-alarms of images like them exceed (of new groups, where there are groups)
    unlike    yes if the distance is above 1: the image is out-of-distribution
    error     why a file could not be used

    How many unlike images pass is not known: it depends on what they show. At 0.05 one model flagged 40 % of photographs of
    other vehicles and all digits, another 97 to 100 % of other pictures (docs/results.md). Where the model has seen too few
    images, or groups, for the rate, both columns are empty and a warning says so.

    \b
    Example: bottleneck predict -e natural-images holiday/ cat.jpg --out labels.csv
             bottleneck predict -e natural-images holiday/ --model fine-tune --json
             bottleneck predict --model artifacts/runs/natural-images/probe/head.npz holiday/
    """
    if not paths:
        raise RequestError(
            "Name images, or folders of images: bottleneck predict -e EXPERIMENT PATHS…, or --model FILE"
        )
    false_alarms = between_0_and_1("--false-alarms", false_alarms, of="a share of images")
    if out is not None:
        writable("--out", out)
    from bottleneck_features.pipeline.stages.predict import predict
    from bottleneck_features.pipeline.use.picture_files import listed

    files = list(listed(paths))
    model = opened_model(request)
    written = None if request.as_json else out or sys.stdout
    result = predict(model, files, request.home, top, written, threshold, false_alarms)
    show(
        request, result, print_predictions, lambda content: after_prediction(content, request.of_models), to_errors=True
    )


@click.command("export")
@of_trained
@click.option(
    "--format",
    "formats",
    default="keras",
    show_default=True,
    metavar="FORMATS",
    help="One or several: keras,savedmodel,onnx,openvino,litert. All: pip install 'bottleneck-features[export]'",
)
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
    help="Write there; default: runs/EXPERIMENT/export/MODEL in the artifacts folder.",
)  # fmt: skip
def export_command(request: ModelRequest, formats: str, to: Path | None) -> None:
    """Write a trained model as one file for other runtimes: preprocessing, network, pooling, head and calibration.

    It takes uint8 images and gives probabilities. Each file is run by its own runtime on 64 images (test images, where there
    are) and compared with the pipeline in float32. If a probability differs by more than 0.0001, the file is removed and the
    command fails. It also writes labels.txt and model-card.md, which has code that runs each file.

    \b
    Example: bottleneck export -e natural-images --format keras,onnx
             bottleneck export -e natural-images --model fine-tune --format openvino --to deploy/
             bottleneck export --model artifacts/runs/natural-images/probe/head.npz --format onnx
    """
    names = parsed_formats(formats)
    model = opened_model(request)
    import_tensorflow()
    from bottleneck_features.pipeline.stages.export import export_model

    show(request, export_model(model, names, request.home, to), print_export, after_export)


@click.command("doctor")
@home_option
@json_option
@all_option
def doctor_command(home: Path, as_json: bool, everything: bool) -> None:
    """Check what works on this machine, and which optional packages are missing; takes about half a minute.

    Versions, processor, GPUs, every engine in every precision on a tiny network, folders, free space, optional
    packages. No network is used. Exit code 1 only if something essential is broken.

    \b
    Example: bottleneck doctor
    """
    try:
        import_tensorflow()
    except ImportError as error:
        fail(f"TensorFlow cannot be imported ({error}). Install the package again: pip install bottleneck-features", 1)
    from bottleneck_features.pipeline.stages import doctor

    checks = doctor.doctor(home)
    if as_json:
        print_json(doctor.as_json(checks))
    else:
        _print_checks(checks, everything)
    essential = doctor.broken(checks)
    if essential:
        fail("\n".join(f"{one.item}: {one.detail}" for one in essential), 1)
    if not as_json:
        print_next(typed("run", ("photo-patches", *home_words(home))))


def _print_checks(checks: "Sequence[Check]", everything: bool) -> None:
    """Print what does not work first, then what is missing or scarce, then what is well."""
    from bottleneck_features.pipeline.stages import doctor

    order = (doctor.BROKEN, doctor.LOW, doctor.MISSING, doctor.OK)
    counts = [sum(one.state == state for one in checks) for state in order]
    works = "Something essential is broken" if doctor.broken(tuple(checks)) else "All that is essential works"
    say(f"{works}: {', '.join(f'{count:,} {state}' for state, count in zip(order, counts, strict=True) if count)}.")
    ordered = sorted(checks, key=lambda one: order.index(one.state))
    for one in ordered if everything else ordered[:MOST_ROWS]:
        say(f"{one.state:<8}{one.area}, {one.item}: {one.detail}", rest=" " * 8)
    if not everything:
        print_left_out(checks=len(checks) - MOST_ROWS)


@click.command("completions")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completions_command(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options, experiments and settings in a shell.

    \b
    Example: bottleneck completions bash > ~/.local/share/bash-completion/completions/bottleneck
             bottleneck completions zsh >> ~/.zshrc
             bottleneck completions fish > ~/.config/fish/completions/bottleneck.fish
    """
    click.echo(completion_script(shell, context.find_root().command))
