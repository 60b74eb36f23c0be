"""Scored methods as rows of a result: their names, accuracies and learning curves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bottleneck_features.pipeline.figures import Figure, Figures, figures_json, figures_of_row
from bottleneck_features.pipeline.method_names import method_label, row_title

CROSS_VALIDATED = "cross_validated"  # the split's name where figures are of folds of the training images

MOST = 1000  # folds, repeats, seeds
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
        figures: what stands beside the accuracy, by split; those of splits that it is not known of are absent.
        threshold: of the second of two classes' probability, from which it is answered; None: the more probable class is.
        models: how many models stand behind the row: one, or one for each fold of each repeat.
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
    figures: Mapping[str, Figures] = field(default_factory=dict)
    threshold: float | None = None
    models: int = 1

    @property
    def label(self) -> str:
        """What tells it from the other methods of a result."""
        return method_label(self.name, self.layers)

    @property
    def title(self) -> str:
        """Its label; of `best-probe` with the probe that was chosen."""
        return row_title({"name": self.name, "layers": self.layers, "family": self.family})

    def figure(self, split: str, select: str) -> Figure:
        """Return the figure of a criterion on a split that was scored; accuracy where nothing else is known."""
        own, score = self.figures.get(split), self.scores[split]
        return own.named(select) if own else Figure(score.accuracy, score.low, score.high)

    def with_score(self, split: str, value: Score, figures: Figures | None = None) -> "Method":
        """Return this method with one more split scored."""
        beside = {**self.figures, split: figures} if figures else self.figures
        return replace(self, scores={**self.scores, split: value}, figures=beside)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Method":
        """Return the method that `as_json` made a row of, without its score without duplicates."""
        rows = ((split, row["n"][split], row["accuracy"][split], row["interval"][split]) for split in row["n"])
        scores = {split: Score(value, span[0], span[1], n) for split, n, value, span in rows if value is not None}
        parameters, seconds, hyperparameters = (row[key] for key in ("parameters", "seconds", "hyperparameters"))
        layers, refitted_on = tuple(row["layers"]), row["refitted_on"]
        family, kept = row.get("family", ""), row.get("kept", False)
        beside = {split: own for split in row["n"] if (own := figures_of_row(row, split))}
        return cls(
            row["name"], layers, parameters, scores, seconds, hyperparameters, refitted_on, family, kept, beside,
            threshold=row.get("threshold"), models=row.get("models", 1),
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Return the method as the results' contract has it: a null where there is no such split."""
        splits = ("train", "validation", "test", *({CROSS_VALIDATED} & set(self.scores)))
        scores = {split: self.scores.get(split) for split in splits}
        return {
            "name": self.name,
            "layers": list(self.layers),
            "parameters": self.parameters,
            "n": {split: value.n if value else 0 for split, value in scores.items()},
            "accuracy": {split: value.accuracy if value else None for split, value in scores.items()},
            "interval": {split: [value.low, value.high] if value else None for split, value in scores.items()},
            **(figures_json({split: self.figures.get(split) for split in splits}) if self.figures else {}),
            "without_duplicates": _plain(self.scores.get("without_duplicates")),
            "seconds": dict(self.seconds),
            "hyperparameters": dict(self.hyperparameters),
            "refitted_on": self.refitted_on,
            "threshold": self.threshold,
            "models": self.models,
            **({"family": self.family} if self.family else {}),
            **({"kept": True} if self.kept else {}),
        }


def _plain(value: Score | None) -> dict[str, Any] | None:
    return {"accuracy": value.accuracy, "interval": [value.low, value.high], "n": value.n} if value else None


def kept_epoch(curves: Curves) -> int:
    """Return the epoch whose weights are kept, counted from 1: that of the best `val_select`, of equals the lowest loss.

    Args:
        curves: of a training, with `val_loss` and, where something else than the loss decided, `val_select`.
    """
    losses = curves["val_loss"]
    values = curves.get("val_select", [0.0] * len(losses))
    return 1 + min(range(len(losses)), key=lambda epoch: (math.isnan(losses[epoch]), -values[epoch], losses[epoch]))
