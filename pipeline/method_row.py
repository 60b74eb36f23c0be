"""Scored methods as rows of a result: their names, accuracies and learning curves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bottleneck_features.pipeline.method_names import method_label, row_title

CURVE_SEEDS = 3  # draws of every point of a label curve, where --seeds is not given

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
        name: one of `METHODS`, such as `head`, `best-probe` or `convnet-small`.
        layers: the backbone layers it sees; empty for a network trained from scratch.
        parameters: how many numbers it trains.
        scores: the `Score` by split (`train`, `validation`, `test`); a split that was not scored is absent.
            `without_duplicates` is of the evaluation set without images that repeat an image used for training.
        seconds: `extract` (None: not known) and `train`.
        hyperparameters: what was chosen on validation samples, by name; empty where nothing was.
        refitted_on: training and validation images together, where it was fitted on both at the end; else 0.
        family: of `best-probe`: the probe that was chosen, one of `PROBES`; else empty.
        kept: whether its model is the one that the command keeps.
    """

    name: str
    layers: tuple[str, ...]
    parameters: int
    scores: Mapping[str, Score]
    seconds: Mapping[str, float | None]
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    refitted_on: int = 0
    family: str = ""
    kept: bool = False

    @property
    def label(self) -> str:
        """What tells it from the other methods of a result."""
        return method_label(self.name, self.layers)

    @property
    def title(self) -> str:
        """Its label; of `best-probe` with the probe that was chosen."""
        return row_title({"name": self.name, "layers": self.layers, "family": self.family})

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
        family, kept = row.get("family", ""), row.get("kept", False)
        return cls(row["name"], layers, parameters, scores, seconds, hyperparameters, refitted_on, family, kept)

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
            **({"family": self.family} if self.family else {}),
            **({"kept": True} if self.kept else {}),
        }


def _plain(value: Score | None) -> dict[str, Any] | None:
    return {"accuracy": value.accuracy, "interval": [value.low, value.high], "n": value.n} if value else None


def kept_epoch(curves: Curves) -> int:
    """Return the epoch of the lowest validation loss, counted from 1, whose weights are kept.

    Args:
        curves: of a training, with `val_loss`.
    """
    losses = curves["val_loss"]
    return 1 + min(range(len(losses)), key=lambda epoch: (math.isnan(losses[epoch]), losses[epoch]))
