"""Reading an experiment from Python, wherever it is kept."""

from collections.abc import Sequence
from os import PathLike

from bottleneck_features.pipeline import arguments
from bottleneck_features.pipeline.asked_experiment import named_experiment
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.home import chosen_home


def load_experiment(
    name_or_file: str | PathLike[str], overrides: Sequence[str] = (), *, home: str | PathLike[str] | None = None
) -> Experiment:
    """Read an experiment and apply overrides.

    Args:
        name_or_file: the name of an experiment that the home keeps or of a ready-made one, or the path of a `.toml` file.
        overrides: strings of the form `section.key=value`; lists may be written `a,b` or as in TOML.
        home: the artifacts folder; None: $BOTTLENECK_HOME, else `artifacts`.

    Returns:
        The `Experiment`.

    Raises:
        RequestError: the experiment, a key or a value is unknown or of the wrong type; the message names the nearest.

    Examples:
        >>> experiment = bf.load_experiment("digits", ["dataset.limit=120"])
        >>> bf.extract(experiment)
    """
    what = "the name of an experiment, or the path of a .toml file"
    name = arguments.text("name_or_file", name_or_file, what)
    if name.endswith(".toml"):
        name = str(arguments.path("name_or_file", name, what))
    return named_experiment(name, arguments.overrides(overrides), chosen_home(home))
