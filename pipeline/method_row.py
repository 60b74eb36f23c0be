"""Scored methods as rows of a result: their names, accuracies and learning curves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

# the kinds of methods that can be compared
FROZEN = ("linear", "earlier", "probe")
PRETRAINED = ("fine-tune", "from-pretrained")
SCRATCH = ("from-scratch", "convnet-small", "convnet-strong")
NETWORKS = (*PRETRAINED, "from-scratch")  # what `fine-tune --method` trains

CURVE_SEEDS = 3  # draws of every point of a label curve, where --seeds is not given

# what is left that can classify new images: heads by the command that trained them, and networks
HEADS = ("probe", "train-head")
MODELS = (*HEADS, *NETWORKS)  # without --model the first one there is

Curves = Mapping[str, Sequence[float]]  # learning curves by name, one value per epoch


@dataclass(frozen=True)
class Score:
    """A top-1 accuracy: its value (0..1), its Wilson interval at 95 %, and the number of images.

    Source of the interval: E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """

    accuracy: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Method:
    """One row of a comparison.

    Attributes:
        name: the method, such as `linear`, `earlier` or `convnet-small`.
        layers: the backbone layers it sees; empty for a network trained from scratch.
        parameters: how many numbers it trains.
        scores: the `Score` by split (`train`, `validation`, `test`); a split that was not scored is absent.
            `without_duplicates` is of the evaluation set without images that repeat an image used for training.
        seconds: `extract` (None: not known) and `train`.
        hyperparameters: what was chosen on validation samples, by name; empty where nothing was.
        refitted_on: training and validation images together, where it was fitted on both at the end; else 0.
    """

    name: str
    layers: tuple[str, ...]
    parameters: int
    scores: Mapping[str, Score]
    seconds: Mapping[str, float | None]
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    refitted_on: int = 0

    def with_score(self, split: str, value: Score) -> "Method":
        """Return this method with one more split scored."""
        return replace(self, scores={**self.scores, split: value})

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Method":
        """Return the method that `as_json` made a row of, without its score without duplicates."""
        rows = ((split, row["n"][split], row["accuracy"][split], row["interval"][split]) for split in row["n"])
        scores = {split: Score(value, span[0], span[1], n) for split, n, value, span in rows if value is not None}
        parameters, seconds, hyperparameters = (row[key] for key in ("parameters", "seconds", "hyperparameters"))
        layers, refitted_on = tuple(row["layers"]), row["refitted_on"]
        return cls(row["name"], layers, parameters, scores, seconds, hyperparameters, refitted_on)

    def as_json(self) -> dict[str, Any]:
        """Return the method as the results' contract has it: a null where there is no such split."""
        splits = ("train", "validation", "test")
        scores = {split: self.scores.get(split) for split in splits}
        return {
            "name": self.name,
            "layers": list(self.layers),
            "parameters": self.parameters,
            "n": {split: value.n if value else 0 for split, value in scores.items()},
            "accuracy": {split: value.accuracy if value else None for split, value in scores.items()},
            "interval": {split: [value.low, value.high] if value else None for split, value in scores.items()},
            "without_duplicates": _plain(self.scores.get("without_duplicates")),
            "seconds": dict(self.seconds),
            "hyperparameters": dict(self.hyperparameters),
            "refitted_on": self.refitted_on,
        }


def _plain(value: Score | None) -> dict[str, Any] | None:
    return {"accuracy": value.accuracy, "interval": [value.low, value.high], "n": value.n} if value else None


def display_name(method: Method) -> str:
    """Return a method's name with the layers it sees."""
    return f"{method.name} ({', '.join(method.layers)})" if method.layers else method.name


def training_command(model: str) -> str:
    """Return the command, with its options, that trains one of `MODELS`."""
    return model if model in HEADS else f"fine-tune --method {model}"


def kept_epoch(curves: Curves) -> int:
    """Return the epoch of the lowest validation loss, counted from 1, whose weights are kept.

    Args:
        curves: of a training, with `val_loss`.
    """
    losses = curves["val_loss"]
    return 1 + min(range(len(losses)), key=lambda epoch: (math.isnan(losses[epoch]), losses[epoch]))
