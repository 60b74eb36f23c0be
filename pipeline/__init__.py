"""What you run: experiments, data sets, the stages, evaluation, report and the command line."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.experiment import Experiment, load_experiment

__all__ = ["Experiment", "load_experiment"]


def __getattr__(name: str) -> Any:
    # imported when asked for: `python -m pipeline` imports this first, and could not yet end at Ctrl-C with one line
    if name not in __all__:
        raise AttributeError(f"module 'pipeline' has no attribute '{name}'")
    from pipeline import experiment

    return getattr(experiment, name)
