"""Which trained model a command is about: one of an experiment, or a file."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bottleneck_features.errors import nearest
from bottleneck_features.pipeline.commandline.cli_frame import READY_OR_FILE, with_options
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.home import home_words, usable_home
from bottleneck_features.pipeline.method_names import MODELS
from bottleneck_features.stopping import stopping_at_once

if TYPE_CHECKING:  # it loads what computes, and --help needs none of that
    from bottleneck_features.pipeline.use.saved_model import SavedModel


@dataclass(frozen=True)
class ModelRequest:
    """Which trained model the common options ask for.

    Attributes:
        model: its file, or the name of an experiment with which of its `MODELS`; None takes the first there is.
        home: the artifacts folder.
        as_json: whether the result is printed as JSON.
        overrides: of the settings it was trained by.
    """

    model: Path | tuple[str, str | None]
    home: Path
    as_json: bool
    overrides: tuple[str, ...]

    @property
    def of_models(self) -> tuple[str, ...]:
        """The words that name the experiment's trained models, or the file of the only one."""
        named = ("--model", str(self.model)) if isinstance(self.model, Path) else ("-e", self.model[0])
        return (*named, *(word for one in self.overrides for word in ("--set", one)), *home_words(self.home))


def of_trained(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a trained model, and call it with the `ModelRequest` they make."""

    def run(
        experiment: str | None, wanted: str | None, overrides: tuple[str, ...], home: Path, as_json: bool, **others: Any
    ) -> None:
        home = usable_home(home)
        model = asked_model(experiment, wanted, overrides, home)
        function(ModelRequest(model, home, as_json, overrides), **others)

    return with_model_options(functools.update_wrapper(run, function))


def with_model_options(run: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name a trained model."""
    run = click.option(
        "--model",
        "wanted",
        metavar="NAME_OR_FILE",
        help=f"With -e: which of its trained models ({', '.join(MODELS)}), named after the command or method that made it. "
        "Default: the first that exists, in this order. Without -e: the file of a model, a head.npz, or a model.keras with its "
        "result.json beside it.",
    )(run)
    return with_options(run, f"{READY_OR_FILE[:-1]}, or the name of an experiment that has results in --home.")


def asked_model(
    experiment: str | None, wanted: str | None, overrides: tuple[str, ...], home: Path
) -> Path | tuple[str, str | None]:
    """Return which trained model is meant: a file, or the name of an experiment with which of its models.

    Args:
        experiment: what `-e` names.
        wanted: what `--model` names.
        overrides: what `--set` gives.
        home: the artifacts folder.

    Raises:
        RequestError: none is named, or two are, or there is no such model.
    """
    if wanted is None or wanted in MODELS:
        if experiment is None:
            raise RequestError(which_model(home))
        from bottleneck_features.pipeline.use.trained_names import trained_name

        return trained_name(experiment, overrides, home), wanted
    if not Path(wanted).exists():
        raise RequestError(
            f"--model {wanted!r} is neither a file nor one of {', '.join(MODELS)}. "
            f"Nearest: {', '.join(nearest(wanted, MODELS))}."
        )
    if experiment is not None:
        raise RequestError(f"--model {wanted!r} is a file, which says all that -e would: leave out -e {experiment!r}.")
    return Path(wanted)


def which_model(home: Path) -> str:
    """Return what to say where no trained model is named."""
    files = (*home.glob("runs/*/*/head*.npz"), *home.glob("runs/*/*/model.keras"))
    trained = sorted({file.parent.parent.name for file in files})
    own = f"Experiments with trained models in {home}: {', '.join(trained)}. " if trained else ""
    return (
        f"Which trained model? {own}Name its experiment by -e NAME, or its file by --model FILE.\n"
        "`bottleneck run PICTURES` trains one."
    )


def opened_model(request: ModelRequest) -> "SavedModel":
    """Open the trained model of a request."""
    with stopping_at_once():
        from bottleneck_features.pipeline.use.saved_model import open_model, open_model_file

    if isinstance(request.model, Path):
        return open_model_file(request.model, request.home, request.overrides)
    return open_model(request.home, *request.model, request.overrides)
