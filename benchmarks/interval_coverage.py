"""Measures how often intervals at 95 % hold the true value, on simulated answers: `python benchmarks/interval_coverage.py`.

Two classes: scores are normal, of variance 1, and the second class's mean is higher; the threshold lies half a deviation
above the middle, so that the rarer class is recognized less often. More classes: recalls differ, in their logits evenly over
1.6; a wrong answer is another class by its share. A second method's errors are correlated with the first's by 0.6; its true
value is the same in every other repetition, else 0.04 lower. Images in groups have one label, and half of a score's variance
in common, or another share that is named. Groups are equally large, or their sizes are as 1, 1/2, 1/3 … (Zipf), or one of
them has a share of all images. True values are computed from the model; they run from 0.6 to 0.95 in steps of 0.05, each for
the measure at hand.
Labels are drawn again until every class occurs.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from typing import NamedTuple

import click
import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from bottleneck_features.pipeline.evaluation.differences import Answers, paired_difference
from bottleneck_features.pipeline.evaluation.figures import figures

VALUES = np.arange(0.6, 0.951, 0.05).round(2)
LOWER, COMMON, SHIFT = 0.04, 0.6, 0.5
ENOUGH, FEWEST_GROUPS, BAR, WIDE = 50, 20, 0.93, 0.98
MEASURES = ("accuracy", "balanced-accuracy", "macro-f1")
RANKING = ("auroc", "average-precision")
FIVE = (0.4, 0.25, 0.15, 0.12, 0.08)


@dataclass(frozen=True)
class Data:
    """How many images of which class shares, the rarest last, and how they lie in groups.

    Attributes:
        n: images.
        shares: of the classes.
        groups: how many; 0: the images are independent.
        sizes: of the groups: `equal`, `zipf`, or what share of the images one of them has.
        alike: the share of a score's variance that the images of a group have in common.
    """

    n: int
    shares: tuple[float, ...]
    groups: int = 0
    sizes: str | float = "equal"
    alike: float = 0.5

    @property
    def enough(self) -> bool:
        """Whether the bar counts: with groups those of the rarest class do."""
        if self.groups:
            return self.groups >= FEWEST_GROUPS and self.groups * min(self.shares) >= FEWEST_GROUPS / 2
        return self.n * min(self.shares) >= ENOUGH

    @property
    def unequal(self) -> bool:
        """Whether one group has a large share."""
        return isinstance(self.sizes, float)

    def numbers(self) -> np.ndarray:
        """Return the number of each image's group."""
        if not self.groups:
            return np.arange(self.n)
        weights = np.ones(self.groups) if self.sizes == "equal" else 1 / np.arange(1, self.groups + 1)
        if isinstance(self.sizes, float):
            weights = np.full(self.groups, (1 - self.sizes) / (self.groups - 1))
            weights[0] = self.sizes
        ends = np.cumsum(weights / weights.sum()) * (self.n - self.groups)
        return np.repeat(np.arange(self.groups), 1 + np.diff(np.rint(ends).astype(int), prepend=0))

    def labels(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw the images' labels, and number their groups."""
        groups = self.numbers()
        while True:
            labels = random.choice(len(self.shares), groups.max() + 1, p=self.shares)[groups]
            if len(np.unique(labels)) == len(self.shares):
                return labels, groups


class Cell(NamedTuple):
    """Of one measure on one kind of data: by true value how often its interval held it, and the same of differences."""

    held: np.ndarray
    width: float
    difference_held: np.ndarray
    difference_width: float
    wrongly_different: float


def _recalls(shares: tuple[float, ...], strength: float) -> np.ndarray:
    if len(shares) == 2:
        return norm.cdf(strength / 2 + SHIFT * np.array([1, -1]))
    return expit(strength - np.linspace(0, 1.6, len(shares)))


@cache
def _grid() -> np.ndarray:
    return np.linspace(-12, 24, 20_001)


def true_value(measure: str, shares: tuple[float, ...], strength: float) -> float:
    """Return what a method of this strength gets on unlimited images."""
    if measure == "auroc":
        return float(norm.cdf(strength / np.sqrt(2)))
    if measure == "average-precision":
        true, false = shares[1] * norm.sf(_grid(), strength), shares[0] * norm.sf(_grid())
        precision = np.divide(true, true + false, out=np.ones_like(true), where=true + false > 1e-200)
        return float(np.trapezoid(precision * norm.pdf(_grid(), strength), _grid()))
    recalls, part = _recalls(shares, strength), np.array(shares)
    if measure == "balanced-accuracy":
        return float(recalls.mean())
    if measure == "accuracy":
        return float(part @ recalls)
    answered = part / (1 - part[:, None]) * (part * (1 - recalls))[:, None]
    np.fill_diagonal(answered, part * recalls)
    return float(np.mean(2 * np.diag(answered) / (part + answered.sum(axis=0))))


def _strength(measure: str, shares: tuple[float, ...], value: float) -> float:
    return brentq(lambda strength: true_value(measure, shares, strength) - value, -3, 12)


def _noise(random: np.random.Generator, data: Data, groups: np.ndarray) -> np.ndarray:
    """Draw a number of variance 1 for each method and image."""
    own = random.normal(size=(3, data.n))
    if data.groups:
        shared = random.normal(size=(3, data.groups))[:, groups]
        own = np.sqrt(1 - data.alike) * own + np.sqrt(data.alike) * shared
    return np.sqrt(COMMON) * own[2] + np.sqrt(1 - COMMON) * own[:2]


def _answers(
    random: np.random.Generator, data: Data, labels: np.ndarray, noise: np.ndarray, strength: float
) -> Answers:
    if len(data.shares) == 2:
        scores = noise + strength * labels
        high = expit(scores - strength / 2)
        return Answers(np.column_stack([1 - high, high]), (scores > strength / 2 + SHIFT).astype(int))
    others = np.array(data.shares) * (np.arange(len(data.shares)) != labels[:, None])
    limits = np.cumsum(others, axis=1) / others.sum(axis=1, keepdims=True)
    wrong = (random.random(len(labels))[:, None] >= limits[:, :-1]).sum(axis=1)
    predicted = np.where(norm.cdf(noise) < _recalls(data.shares, strength)[labels], labels, wrong)
    return Answers(np.eye(len(data.shares))[predicted], predicted)


def simulated(data: Data, measure: str, repeats: int) -> Cell:
    """Draw answers `repeats` times for every true value."""
    random = np.random.default_rng(0)
    held, widths, equal = np.zeros((2, len(VALUES))), np.zeros(2), []
    for place, value in enumerate(VALUES):
        strengths = [_strength(measure, data.shares, one) for one in (value, value - LOWER)]
        for number in range(repeats):
            labels, groups = data.labels(random)
            noise, differ = _noise(random, data, groups), number % 2
            first = _answers(random, data, labels, noise[0], strengths[0])
            second = _answers(random, data, labels, noise[1], strengths[differ])
            known = groups if data.groups else None
            figure = getattr(figures(labels, *first, known), measure.replace("-", "_"))
            gap = paired_difference(labels, first, second, known, measure)
            held[:, place] += figure.low <= value <= figure.high, gap.low <= differ * LOWER <= gap.high
            widths += figure.high - figure.low, gap.high - gap.low
            if not differ:
                equal.append(gap.p_value < 0.05)
    held, widths = held / repeats, widths / repeats / len(VALUES)
    return Cell(held[0], widths[0], held[1], widths[1], float(np.mean(equal)))


def _kinds() -> list[Data]:
    shares = [*((1 - rare, rare) for rare in (0.5, 0.25, 0.1, 0.05)), (0.2,) * 5, FIVE]
    kinds = [Data(n, each) for n in (60, 200, 1000) for each in shares]
    kinds += [Data(n, (0.05,) * 20) for n in (200, 1000)]
    kinds += [Data(n, each, n // 5) for n in (200, 1000) for each in shares[:2]]
    for sizes in ("equal", "zipf", 0.15, 0.3, 0.47):
        kinds += [Data(5 * groups, shares[0], groups, sizes) for groups in (20, 35, 100)]
        kinds += [Data(175, shares[0], 35, sizes, alike) for alike in (0.1, 0.9)]
        kinds += [Data(500, shares[1], 100, sizes)]
    return kinds


def _name(data: Data) -> str:
    shares = " : ".join(f"{100 * share:.0f}" for share in data.shares)
    if len(set(data.shares)) == 1:
        shares = f"{len(data.shares)} equal classes"
    groups = f", in {data.groups} groups, {_sizes(data)}" if data.groups else ""
    alike = "" if data.alike == 0.5 else f", alike by {data.alike:.0%}"
    return f"{data.n:,} images, {shares}{groups}{alike}" + ("" if data.enough else " *")


def _sizes(data: Data) -> str:
    return f"one of {data.sizes:.0%}" if data.unequal else {"equal": "equal", "zipf": "Zipf"}[str(data.sizes)]


def _print(title: str, rows: dict[Data, dict[str, Cell]], text: Callable[[Cell], str]) -> None:
    print(f"\n| {title} | {' | '.join([*MEASURES, *RANKING]).replace('-', ' ')} |")
    print("|---|" + "---:|" * len([*MEASURES, *RANKING]))
    for data, cells in rows.items():
        shown = [text(cells[measure]) if measure in cells else "" for measure in (*MEASURES, *RANKING)]
        print(f"| {_name(data)} | {' | '.join(shown)} |")


def _share(held: np.ndarray, width: float) -> str:
    return f"{100 * held.mean():.1f} ({100 * held.min():.1f}), {100 * width:.1f}"


@click.command(help=__doc__)
@click.option("--repeats", default=250, show_default=True, help="Repetitions for each of the eight true values.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
def main(repeats: int, jobs: int) -> None:
    """Print coverage, its least over true values, and the mean width, in percent, of figures and of differences."""
    wanted = [(data, one) for data in _kinds() for one in (*MEASURES, *(RANKING if len(data.shares) == 2 else ()))]
    with ProcessPoolExecutor(jobs) as pool:
        done = list(pool.map(simulated, *zip(*wanted, strict=True), repeat(repeats)))
    rows: dict[Data, dict[str, Cell]] = {}
    for (data, measure), cell in zip(wanted, done, strict=True):
        rows.setdefault(data, {})[measure] = cell
    _print("figures", rows, lambda cell: _share(cell.held, cell.width))
    _print("differences", rows, lambda cell: _share(cell.difference_held, cell.difference_width))
    _print("p < 0.05 of equals", rows, lambda cell: f"{100 * cell.wrongly_different:.1f}")
    print(f"\n* fewer than {ENOUGH} expected images, or {FEWEST_GROUPS // 2} groups, of the rarest class: no bar")
    for name, unequal in (("independent, equal and Zipf", False), ("one large group", True)):
        barred = [cell for (data, _), cell in zip(wanted, done, strict=True) if data.enough and data.unequal == unequal]
        means = np.array([[cell.held.mean(), cell.difference_held.mean()] for cell in barred])
        print(f"{name}: {(means < BAR).sum()} of {means.size} below {BAR:.0%}, {(means > WIDE).sum()} above {WIDE:.0%}")


if __name__ == "__main__":
    main()
