"""Which trained model a word names: a file, or an experiment that has results."""

from pathlib import Path

from bottleneck_features.pipeline.asked_experiment import named_experiment
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment_file import ready_made

MODEL_FILES = (".npz", ".keras")


def names_file(word: str, home: Path) -> bool:
    """Return whether a word names a file, be it there or not, and no experiment."""
    path = Path(word)
    if path.name == word and (home / "runs" / word).is_dir():
        return False
    return path.suffix in MODEL_FILES or (path.exists() and path.suffix != ".toml")


def trained_name(experiment: str, overrides: tuple[str, ...], home: Path) -> str:
    """Return the name of an experiment that is ready-made, a file, or only known by its results in the artifacts folder.

    Raises:
        RequestError: it is none of these, or the file or an override is wrong.
    """
    ready = ready_made()
    kept = sorted(folder.name for folder in home.glob("runs/*/") if folder.name not in ready)
    if experiment in kept:
        return experiment
    try:
        return named_experiment(experiment, overrides, home).name
    except RequestError as error:
        if experiment in ready or Path(experiment).is_file():
            raise
        raise RequestError(f"{error} Others with results in '{home}': {', '.join(kept) or 'none'}.") from None
