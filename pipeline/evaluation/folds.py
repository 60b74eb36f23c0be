"""Cross-validation: folds that keep what belongs together whole, and the intervals that repeated folds allow."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t
from sklearn.model_selection import StratifiedGroupKFold

from bottleneck_features.pipeline.datasets.splitting import linked
from bottleneck_features.pipeline.evaluation.differences import PairedDifference, by_its_interval
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset
from bottleneck_features.pipeline.figures import CONFIDENCE, Figure

FOLDS, REPEATS = 5, 10
FEW = 100  # test images: with fewer, a hold-out says so little that the rest is cross-validated


@dataclass(frozen=True)
class Fold:
    """One model's part of the images in a cross-validation.

    Attributes:
        repeat: which of the repeats, from 0.
        holdout: what it is trained on; its validation images choose settings.
        scored: the images it is scored on, none of which it has seen.
    """

    repeat: int
    holdout: Holdout
    scored: Subset


def units_of(groups: np.ndarray | None, repeated: Iterable[Sequence[int]], count: int) -> np.ndarray:
    """Return the `(count,)` numbers of what must stay together: groups, joined where they repeat one another's images.

    Args:
        groups: `(count,)` integers; None where there are none.
        repeated: positions of images that show the same picture, one sequence for each picture.
        count: of images.
    """
    own = np.arange(count) if groups is None else np.unique(groups, return_inverse=True)[1]
    links = [(own[members[0]], own[other]) for members in repeated for other in members[1:]]
    if not links:
        return own
    first, second = np.array(links).T
    return linked(first, second, int(own.max()) + 1)[own]


def make_folds(
    split: str, labels: np.ndarray, units: np.ndarray, *, validation: float, seed: int, folds: int, repeats: int
) -> Iterator[Fold]:
    """Give the folds of every repeat: stratified, whole units at a time.

    Args:
        split: the split that the images are of.
        labels: `(n,)` integers.
        units: `(n,)` integers, from `units_of`.
        validation: the share of a fold's training images that choose settings.
        seed: of the first repeat.
        folds: how many, at least 2.
        repeats: how often, each time drawn anew.
    """
    for repeat in range(repeats):
        for number, (train, scored) in enumerate(_stratified(labels, units, folds, seed + repeat)):
            inner = int(np.random.SeedSequence([seed + repeat, number]).generate_state(1)[0])
            holdout = whole_holdout(
                Subset(split, train), labels[train], units[train], validation=validation, seed=inner
            )
            yield Fold(repeat, holdout, Subset(split, scored))


def whole_holdout(part: Subset, labels: np.ndarray, units: np.ndarray, *, validation: float, seed: int) -> Holdout:
    """Part images in those that train and those that choose settings, whole units at a time; every class trains.

    Args:
        part: the images.
        labels: `(n,)` integers.
        units: `(n,)` integers, from `units_of`.
        validation: the share that chooses; the nearest 1/k is taken.
        seed: the same seed gives the same parts.
    """
    folds = max(2, round(1 / min(validation, 1 - validation)))
    fitted, chosen = next(_stratified(labels, units, folds, seed))
    fitted, chosen = _every_class_trains(labels, fitted, chosen)
    return Holdout(Subset(part.split, part.indices[fitted]), Subset(part.split, part.indices[chosen]))


def _stratified(
    labels: np.ndarray, units: np.ndarray, folds: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    fewest = min(folds, len(np.unique(units)), int(np.bincount(labels).max()))
    splitter = StratifiedGroupKFold(max(2, fewest), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer images than folds
        yield from splitter.split(labels, labels, units)


def _every_class_trains(labels: np.ndarray, fitted: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move the images of classes that would only choose settings to those that are trained on."""
    stranded = ~np.isin(labels[chosen], labels[fitted])
    return np.sort(np.concatenate([fitted, chosen[stranded]])), chosen[~stranded]


def cross_validated_figure(values: np.ndarray, sizes: tuple[int, int], whole: Figure) -> Figure:
    """Return the mean of a figure over folds with its interval at 95 %.

    The interval is Student's t with the corrected variance (1 / J + n_test / n_train) · s² of J folds. It never reaches less
    far than that of all answers of one repeat: folds that hardly differ, as where all is right or one class is always answered,
    are not certain, and folds do not show what a few large groups cost.

    Source: C. Nadeau and Y. Bengio, Inference for the Generalization Error, Machine Learning 52, 2003.

    Args:
        values: `(J,)` figures of 0..1, one per fold of every repeat.
        sizes: how many images a fold is trained and how many it is scored on.
        whole: the figure of all images by the answers of one repeat.
    """
    mean, reach = float(np.mean(values)), _reach(values, sizes)
    below, above = max(reach, whole.value - whole.low), max(reach, whole.high - whole.value)
    return Figure(mean, max(0.0, mean - below), min(1.0, mean + above))


@dataclass(frozen=True)
class FoldedDifference:
    """How far the first method is ahead of the second on the same folds, −1..1, with its 95 % interval and p-value."""

    value: float
    low: float
    high: float
    p_value: float


def folded_difference(first: np.ndarray, second: np.ndarray, sizes: tuple[int, int]) -> FoldedDifference:
    """Compare two methods on the same folds by the corrected resampled t-test (source: see `cross_validated_figure`).

    One fold, or none, says nothing of how much they differ by chance: the interval is then all that is possible.

    Args:
        first: `(J,)` figures of one method, one per fold.
        second: `(J,)` of the other.
        sizes: how many images a fold is trained and how many it is scored on.
    """
    gains = first - second
    if len(gains) < 2:
        return FoldedDifference(float(gains.sum()), -1.0, 1.0, 1.0)
    mean, reach, freedom = float(gains.mean()), _reach(gains, sizes), len(gains) - 1
    if reach == 0:
        return FoldedDifference(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    quantile = t.ppf((1 + CONFIDENCE) / 2, freedom)
    p_value = float(2 * t.sf(abs(mean) * quantile / reach, freedom))
    return FoldedDifference(mean, max(-1.0, mean - reach), min(1.0, mean + reach), p_value)


def at_least_as_wide(found: FoldedDifference, whole: PairedDifference) -> FoldedDifference:
    """Return a difference over folds whose interval reaches as far from it as that of all answers of one repeat, or farther."""
    below = max(found.value - found.low, whole.value - whole.low)
    above = max(found.high - found.value, whole.high - whole.value)
    wide = by_its_interval(found.value, below, above)
    return FoldedDifference(found.value, wide.low, wide.high, max(found.p_value, wide.p_value))


def _reach(values: np.ndarray, sizes: tuple[int, int]) -> float:
    count, (trained, scored) = len(values), sizes
    if count < 2:
        return 0.0
    variance = (1 / count + scored / trained) * np.var(values, ddof=1)
    return float(np.sqrt(variance) * t.ppf((1 + CONFIDENCE) / 2, count - 1))
