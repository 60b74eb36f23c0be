"""How good frozen features are by the number of training images, and what twice as many would give."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bottleneck_features.models.parallel import Workers
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.methods.best_probe import Probe
from bottleneck_features.pipeline.methods.probe_search import LOGISTIC, logistic_probe, steps
from bottleneck_features.pipeline.progress import progress

SHARES = (0.125, 0.25, 0.5, 1.0)  # of the training images, for the learning curve
DRAWS = 3  # of each smaller share


@dataclass(frozen=True)
class LearningCurvePoint:
    """Validation figure of the kept probe's layers by the number of training images: the mean of `draws` draws."""

    images: int
    value: float
    draws: int


def learning_curve(study: Study, kept: Probe, pool: Workers) -> tuple[LearningCurvePoint, ...]:
    """Fit logistic regression on the kept probe's layers, on growing parts of the training images."""
    holdout, layers, target = study.holdout, kept.method.layers, study.target
    measure = replace(target, select=target.compared).criterion
    points, labels = [], study.labels(study.holdout.validation)
    with progress(total=steps(LOGISTIC) * (1 + DRAWS * (len(SHARES) - 1)), desc="learning curve", unit="fit") as bar:
        for share in SHARES:
            count = round(share * len(holdout.train))
            draws = DRAWS if share < 1 else 1
            drawn = [_drawn(study, holdout, count, study.experiment.seed + draw) for draw in range(draws)]
            values = [
                measure(found.validation_probabilities, labels)
                for part in drawn
                if part
                for found in [logistic_probe(study.cache, layers, part, target, pool, bar.update)]
            ]
            if values:
                points.append(LearningCurvePoint(count, float(np.mean(values)), len(values)))
    return tuple(points)


def _drawn(study: Study, holdout: Holdout, count: int, seed: int) -> Holdout | None:
    """Return a random part of the training samples; None where a class would be without one."""
    chosen = np.sort(np.random.default_rng(seed).permutation(holdout.train.indices)[:count])
    if len(np.unique(study.cache[holdout.train.split].y[chosen])) < study.target.classes:
        return None
    return Holdout(Subset(holdout.train.split, chosen), holdout.validation)


def extrapolated(curve: Sequence[LearningCurvePoint]) -> float | None:
    """Return the figure expected with twice the images, by error = a · n^−b; None where the error does not fall.

    Source of the law: J. Hestness et al., Deep Learning Scaling is Predictable, Empirically, 2017.
    """
    errors = 1 - np.array([point.value for point in curve])
    if len(curve) < 3 or (errors <= 0).any():
        return None
    slope, offset = np.polyfit(np.log([point.images for point in curve]), np.log(errors), 1)
    if slope >= 0:
        return None
    return float(1 - np.exp(offset + slope * np.log(2 * curve[-1].images)))
