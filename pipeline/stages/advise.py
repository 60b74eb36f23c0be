"""Advice: which of the four methods suits a data set, from cached features and validation images."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bottleneck_features.features import Features
from bottleneck_features.models.parallel import Workers, workers
from bottleneck_features.models.probes import ProgressCallback
from bottleneck_features.pipeline.evaluation.ranking import ranked
from bottleneck_features.pipeline.evaluation.scores import mcnemar
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.method_row import Score
from bottleneck_features.pipeline.methods.layer_rows import layer_sets
from bottleneck_features.pipeline.methods.probe_search import LOGISTIC, Candidate, logistic_probe, steps
from bottleneck_features.pipeline.progress import progress
from bottleneck_features.pipeline.results import Result
from bottleneck_features.pipeline.tables import score_text

SHARES = (0.125, 0.25, 0.5, 1.0)  # of the training images, for the learning curve
DRAWS = 3  # of each smaller share
_WIDEST = 0.10  # of the interval below a validation accuracy; with a wider one there is no advice
LARGE_PER_CLASS = 1000  # training images per class from which the rule of thumb calls data large
NOTHING_TO_GAIN = (
    0.02  # error of the frozen features, at the upper end of its interval, below which training gains little
)
TRAINING_COST = 6  # a training step in float32 against a forward pass in the extraction's precision, per image


@dataclass(frozen=True)
class LearningCurvePoint:
    """Validation accuracy of the best probe by the number of training images: the mean of `draws` draws."""

    images: int
    accuracy: float
    draws: int


@dataclass(frozen=True)
class Evidence:
    """What was measured, on validation images only.

    Attributes:
        train: training images.
        validation: validation images.
        classes: how many.
        last: score of the logistic probe on the last layer.
        earlier: of the one on the best earlier layer; None where one layer is cached.
        earlier_layer: its name.
        earlier_tried: from how many layers it was chosen.
        p_value: exact McNemar, last against earlier; 1.0 without an earlier layer.
        best: of the best probe, on whichever layers.
        best_layers: their names.
        curve: the best probe over growing training data.
        doubled: accuracy expected with twice the images, by a power law of the error; None where the curve has no trend.
        fine_tune_seconds: estimated; None where the extraction's speed is not known.
    """

    train: int
    validation: int
    classes: int
    last: Score
    earlier: Score | None
    earlier_layer: str
    earlier_tried: int
    p_value: float
    best: Score
    best_layers: tuple[str, ...]
    curve: tuple[LearningCurvePoint, ...]
    doubled: float | None
    fine_tune_seconds: float | None


def advise(study: Study) -> Result:
    """Recommend one of the four methods, or say that the evidence is not enough.

    Args:
        study: the experiment, opened; its cache must be complete.

    Returns:
        The `Result`, with `recommendation` (a method's name, or `not enough evidence`), `reasons`, `rule_of_thumb`,
        `evidence` and `commands`.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: a class has too few samples, or too few groups, to train and to validate.
    """
    cache, _ = study.cache, study.holdout  # classes too small to be split are named before anything is fitted
    with study.clock.phase("probe"), workers() as pool:
        evidence = gather(study, pool)
    recommendation, reasons = recommend(evidence)
    details: dict[str, Any] = {
        "data": study.dataset.title,
        "backbone": study.backbone,
        "recommendation": recommendation,
        "reasons": list(reasons),
        "rule_of_thumb": rule_of_thumb(evidence),
        "evidence": asdict(evidence),
        "commands": commands(recommendation, evidence, study.options),
    }
    return study.write(details, study.data_warnings(), cache.key)


def gather(study: Study, pool: Workers) -> Evidence:
    """Measure what the advice rests on; the test split is not looked at."""
    experiment, cache, holdout = study.experiment, study.cache, study.holdout
    sets = layer_sets(cache.layers)
    total = steps(LOGISTIC) * (len(sets) + DRAWS * (len(SHARES) - 1))
    labels = study.labels(holdout.validation)
    with progress(total=total, desc="probes", unit="fit") as bar:
        found = {layers: logistic_probe(cache, layers, holdout, pool, bar.update) for layers in sets}
        best, *_ = ranked(found.values(), labels, cache.layers)
        curve = _curve(cache, best, holdout, seed=experiment.seed, pool=pool, progress=bar.update)
    last = found[(cache.layers[-1],)]
    earlier = next(iter(ranked((found[(layer,)] for layer in cache.layers[:-1]), labels, cache.layers)), None)
    rate = study.images_per_second
    return Evidence(
        train=len(holdout.train),
        validation=len(holdout.validation),
        classes=len(study.classes),
        last=last.method.scores["validation"],
        earlier=earlier.method.scores["validation"] if earlier else None,
        earlier_layer=earlier.method.layers[0] if earlier else "",
        earlier_tried=len(cache.layers) - 1,
        p_value=_p_value(labels, last, earlier),
        best=best.method.scores["validation"],
        best_layers=best.method.layers,
        curve=curve,
        doubled=extrapolated(curve),
        fine_tune_seconds=TRAINING_COST * experiment.finetune.epochs * len(holdout.train) / rate if rate else None,
    )


def recommend(evidence: Evidence) -> tuple[str, tuple[str, ...]]:
    """Return the recommended method and the reasons, strongest first."""
    best = evidence.best
    if best.accuracy - best.low > _WIDEST:
        return "not enough evidence", (
            f"With {evidence.validation:,} validation images the best accuracy, {score_text(best)}, is too uncertain. About "
            f"{4 * evidence.validation:,} would halve its interval: label more images.",
        )
    different = _is_different(evidence)
    frozen = f"logistic@{evidence.earlier_layer}" if different else "logistic"
    reasons = [_of_layers(evidence), _of_the_best(evidence), _of_the_curve(evidence)]
    if 1 - best.low <= NOTHING_TO_GAIN:
        return frozen, (
            f"Even at the lower end of the interval, frozen features are within {100 * (1 - best.low):.1f} points of 100 %: "
            "training the network can gain no more than that.",
            *reasons,
        )
    if not _is_large(evidence):
        return frozen, (
            f"{evidence.train // evidence.classes:,} training images per class are few, and a classifier on frozen features "
            "overfits less than a network that is trained.",
            *reasons,
        )
    method = "from-pretrained" if different else "fine-tune"
    return method, (
        f"{evidence.train // evidence.classes:,} training images per class are enough to train the network.",
        *reasons,
    )


def rule_of_thumb(evidence: Evidence) -> str:
    """Return what the walk-throughs' table recommends for data of this size and similarity to ImageNet."""
    size, likeness = "large" if _is_large(evidence) else "small", "different" if _is_different(evidence) else "similar"
    method = {
        ("small", "similar"): "logistic", ("small", "different"): f"logistic@{evidence.earlier_layer}",
        ("large", "similar"): "fine-tune", ("large", "different"): "from-pretrained",
    }[size, likeness]  # fmt: skip
    return f"data {size} and {likeness} to ImageNet: {method}"


def extrapolated(curve: Sequence[LearningCurvePoint]) -> float | None:
    """Return the accuracy expected with twice the images, by error = a · n^−b; None where the error does not fall.

    Source of the law: J. Hestness et al., Deep Learning Scaling is Predictable, Empirically, 2017.
    """
    errors = 1 - np.array([point.accuracy for point in curve])
    if len(curve) < 3 or (errors <= 0).any():
        return None
    slope, offset = np.polyfit(np.log([point.images for point in curve]), np.log(errors), 1)
    if slope >= 0:
        return None
    return float(1 - np.exp(offset + slope * np.log(2 * curve[-1].images)))


def commands(recommendation: str, evidence: Evidence, options: Sequence[str]) -> list[str]:
    """Return what to type next."""
    words = shlex.join(options)
    frozen = f"bottleneck probe {words}"
    if recommendation in ("fine-tune", "from-pretrained"):
        return [frozen, f"bottleneck fine-tune {words} --method {recommendation}"]
    methods = f"{recommendation},best-probe,convnet-small"
    return [frozen, f"bottleneck compare {words} --set compare.methods={methods}"]


def _is_large(evidence: Evidence) -> bool:
    return evidence.train / evidence.classes >= LARGE_PER_CLASS


def _is_different(evidence: Evidence) -> bool:
    """Tell whether an earlier layer is better than the last, and not by chance."""
    ahead = evidence.earlier is not None and evidence.earlier.accuracy > evidence.last.accuracy
    return ahead and _is_no_chance(evidence)


def _is_no_chance(evidence: Evidence) -> bool:
    """Bonferroni: the best of several layers is ahead by chance more often than any one of them."""
    return evidence.p_value < 0.05 / max(1, evidence.earlier_tried)


def _of_layers(evidence: Evidence) -> str:
    if evidence.earlier is None:
        return "Only one layer is cached, so similarity to ImageNet cannot be measured: add earlier layers to backbone.layers."
    gap = 100 * (evidence.last.accuracy - evidence.earlier.accuracy)
    chance = "" if _is_no_chance(evidence) else ", which may be chance"
    tried = f", the best of {evidence.earlier_tried} earlier layers," if evidence.earlier_tried > 1 else ""
    return (
        f"The last layer is {abs(gap):.1f} points {'ahead of' if gap >= 0 else 'behind'} {evidence.earlier_layer}{tried} on "
        f"{evidence.validation:,} validation images (exact McNemar p = {evidence.p_value:.2g}){chance}."
    )


def _of_the_best(evidence: Evidence) -> str:
    cost = (
        f"; fine-tuning would take about {evidence.fine_tune_seconds / 60:,.0f} min here"
        if evidence.fine_tune_seconds
        else ""
    )
    return (
        f"The best probe ({' + '.join(evidence.best_layers)}) reaches {score_text(evidence.best)} on the {evidence.validation:,} "
        f"validation images it was chosen on{cost}."
    )


def _of_the_curve(evidence: Evidence) -> str:
    if evidence.doubled is None:
        return "The learning curve of the frozen features shows no trend."
    gain = 100 * (evidence.doubled - evidence.best.accuracy)
    return f"Twice as many labelled images would gain about {max(gain, 0.0):.1f} points with frozen features."


def _curve(
    cache: Features, best: Candidate, holdout: Holdout, *, seed: int, pool: Workers, progress: ProgressCallback
) -> tuple[LearningCurvePoint, ...]:
    points = []
    for share in SHARES[:-1]:
        count = round(share * len(holdout.train))
        drawn = [_drawn(cache, holdout, count, seed + draw) for draw in range(DRAWS)]
        found = [logistic_probe(cache, best.method.layers, part, pool, progress) for part in drawn if part]
        if found:
            points.append(LearningCurvePoint(count, float(np.mean([_accuracy(one) for one in found])), len(found)))
    return (*points, LearningCurvePoint(len(holdout.train), _accuracy(best), 1))


def _drawn(cache: Features, holdout: Holdout, count: int, seed: int) -> Holdout | None:
    """Return a random part of the training samples; None where a class would be without one."""
    chosen = np.sort(np.random.default_rng(seed).permutation(holdout.train.indices)[:count])
    if len(np.unique(cache[holdout.train.split].y[chosen])) < len(cache.class_names):
        return None
    return Holdout(Subset(holdout.train.split, chosen), holdout.validation)


def _accuracy(candidate: Candidate) -> float:
    return candidate.method.scores["validation"].accuracy


def _p_value(labels: np.ndarray, last: Candidate, earlier: Candidate | None) -> float:
    if earlier is None:
        return 1.0
    return mcnemar(labels, last.predicted, earlier.predicted).p_value
