"""What you run: experiments, data sets, the stages, evaluation, report and the command line."""

from pipeline.experiment import Experiment, load_experiment

__all__ = ["Experiment", "load_experiment"]
