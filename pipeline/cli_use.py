"""`bottleneck predict`, `export`, `doctor` and `completions`: what a trained classifier and a machine are good for."""

import sys
from pathlib import Path

import click

from pipeline.cli_frame import Request, asked, show
from pipeline.errors import RequestError
from pipeline.output import print_predictions
from pipeline.quiet import import_tensorflow

MODEL_NAMES = ("probe", "train-head", "fine-tune", "from-pretrained", "from-scratch")

model_option = click.option(
    "--model",
    "wanted",
    type=click.Choice(MODEL_NAMES),
    help="Which trained model, by the command or the method that made it. Default: the first there is, in this order.",
)


@click.command("predict")
@asked
@click.argument("paths", nargs=-1, metavar="PATHS…", type=click.Path(path_type=Path))
@model_option
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="Classes given for each file.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the CSV there, not to stdout."
)
def predict_command(request: Request, paths: tuple[Path, ...], wanted: str | None, top: int, out: Path | None) -> None:
    """Classify image files, or all in a folder, by a trained model of the experiment.

    Of the experiment only the name counts: the model knows the settings it was trained by, and needs neither its data nor
    its features. Files are decoded and resized as stage one does it. CSV on stdout (or --out, --json): classes with calibrated
    probabilities; `unlike` says that the features are farther from those of the training images than 99 % of the
    validation images' (`distance` is over that threshold); `error` why a file could not be used.

    \b
    Example: bottleneck predict -e natural-images holiday/ cat.jpg --out labels.csv
             bottleneck predict -e natural-images holiday/ --model fine-tune --json
    """
    if not paths:
        raise RequestError("Name images, or folders of images: bottleneck predict -e EXPERIMENT PATHS…")
    if out and not out.parent.is_dir():
        raise RequestError(f"--out '{out}': there is no folder '{out.parent}'.")
    from pipeline.picture_files import listed

    files = list(listed(paths))
    import_tensorflow()
    from pipeline.predict import predict
    from pipeline.saved_model import open_model

    model = open_model(request.home, request.experiment.name, wanted, request.overrides)
    result = predict(model, files, request.home, top, None if request.as_json else out or sys.stdout)
    show(request, result, print_predictions)
