"""The command `evaluate`."""

from functools import partial
from pathlib import Path
from typing import Literal

import click

from bottleneck_features.pipeline.commandline.cli_frame import all_option, show
from bottleneck_features.pipeline.commandline.evaluated import print_evaluation
from bottleneck_features.pipeline.commandline.next_steps import after_prediction
from bottleneck_features.pipeline.commandline.output import say
from bottleneck_features.pipeline.commandline.trained import (
    ModelRequest,
    asked_model,
    opened_model,
    which_model,
    with_model_options,
)
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment_file import setting_of
from bottleneck_features.pipeline.home import usable_home
from bottleneck_features.pipeline.method_names import MODELS

OF_BOTH = ("dataset.value_range", "dataset.bands", "dataset.common_size")  # the model's preprocessing reads them too


@click.command("evaluate")
@with_model_options
@click.argument("words", nargs=-1, metavar="MODEL DATA")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    help="Measure this split of DATA only; without splits, `test` is the one that training draws. Default: all images.",
)
@click.option(
    "--unknown-classes",
    "unknown",
    type=click.Choice(["fail", "leave-out"]),
    default="fail",
    show_default=True,
    help="What becomes of images of classes that the model does not know.",
)
@all_option
def evaluate_command(
    words: tuple[str, ...],
    experiment: str | None,
    wanted: str | None,
    overrides: tuple[str, ...],
    home: Path,
    as_json: bool,
    split: str | None,
    unknown: Literal["fail", "leave-out"],
    everything: bool,
) -> None:
    """Measure a trained MODEL on labelled pictures: every figure, and every answer in a table.

    MODEL is a file (head.npz, or model.keras with its result.json beside it) or the name of an experiment that has results
    in --home; there --model chooses among its models. -e NAME or --model FILE may name it instead. DATA is what other
    commands take: a folder with a folder of pictures for each class, a table (.csv), .tar or .parquet files, an .npz of
    images, or embedded data (digits); `--set dataset.group=…` and other settings of data are for it.

    Pictures are decoded, resized and classified as by predict. Classes are matched by name. Nothing is trained. The figures
    are those of probe and compare, at the threshold that the model was kept with. Where its training images are known, it
    says how many of these pictures are among them, and gives the accuracy of the others.

    Writes result.json, predictions.csv (its columns: docs/how-to/evaluate.md) and confusion.png to runs/EXPERIMENT/evaluate.

    \b
    Example: bottleneck evaluate natural-images other-pictures/
             bottleneck evaluate artifacts/runs/natural-images/probe/head.npz labels.csv --set dataset.group=photo
             bottleneck evaluate -e natural-images --model fine-tune natural-images --split test
    """
    home = usable_home(home)
    of_data = tuple(word for word in overrides if setting_of(word).startswith("dataset."))
    of_model = tuple(word for word in overrides if word not in of_data or setting_of(word) in OF_BOTH)
    model, data = _told_apart(words, experiment, wanted, of_model, home)
    request = ModelRequest(model, home, as_json, of_model)
    from bottleneck_features.pipeline.asked_experiment import measured_data

    settings, said = measured_data(data, of_data, home)
    for line in said:
        say(line, rest="  ", err=True)
    opened = opened_model(request)
    from bottleneck_features.pipeline.stages.evaluate import evaluate

    result = evaluate(opened, settings, home, split, unknown)
    show(
        request,
        result,
        partial(print_evaluation, everything=everything),
        lambda content: after_prediction(content, request.of_models),
    )


def _told_apart(
    words: tuple[str, ...], experiment: str | None, wanted: str | None, overrides: tuple[str, ...], home: Path
) -> tuple[Path | tuple[str, str | None], str]:
    """Return the model and DATA, whichever words name the model.

    Raises:
        RequestError: one of them is missing, or there are more words, or there is no such model.
    """
    if experiment is not None or (wanted is not None and wanted not in MODELS):
        if len(words) != 1:
            raise RequestError(f"-e or --model names the model already: give DATA alone. {_received(words)}")
        return asked_model(experiment, wanted, overrides, home), words[0]
    if len(words) < 2:
        raise RequestError(
            f"Name a trained model and labelled pictures: bottleneck evaluate MODEL DATA. {_received(words)}\n{which_model(home)}"
        )
    if len(words) > 2:
        raise RequestError(f"evaluate takes one MODEL and one DATA. {_received(words)}")
    model, data = words
    from bottleneck_features.pipeline.use.trained_names import names_file

    if not names_file(model, home):
        return asked_model(model, wanted, overrides, home), data
    if wanted is not None:
        raise RequestError(f"'{model}' is a file, which says all that --model would: leave out --model {wanted}.")
    return Path(model), data


def _received(words: tuple[str, ...]) -> str:
    return f"Received: {' '.join(map(repr, words)) or 'neither'}."
