"""The label curve: how many labelled images per class it takes until a ConvNet from scratch catches up with frozen features."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import sem, t

from bottleneck_features.features import Features
from bottleneck_features.models.parallel import Workers, workers
from bottleneck_features.models.rows import mean_over_views
from bottleneck_features.pipeline import plots
from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.evaluation.splits import Holdout, Subset, hold_out, scored_subset
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.figures import CONFIDENCE
from bottleneck_features.pipeline.methods.layer_rows import LayerRows
from bottleneck_features.pipeline.methods.pixels import pixels_on_disk
from bottleneck_features.pipeline.methods.probe_search import Candidate, logistic_probe
from bottleneck_features.pipeline.methods.small_training import SmallConvnet
from bottleneck_features.pipeline.methods.training import TrainingRecipe
from bottleneck_features.pipeline.progress import progress
from bottleneck_features.pipeline.results import Result

LAST, CHOSEN = "logistic", "logistic@best"
METHODS = (LAST, CHOSEN, "convnet-small")
_SCORES = {
    "test": "Every point is the accuracy of its final model on the whole test split; nothing is chosen by these scores.",
    "validation": (
        "There are no test images: every point is the accuracy of its final model on all validation images of its seed, some or "
        "all of which chose its settings, so it is a little too high."
    ),
}
_PROTOCOL = (
    "A point trains on the given number of images per class, and chooses its L2 value, layer or epoch on a proportional "
    "number of validation images, at least one per class. Each seed draws its own images; a larger size contains the smaller "
    "ones. Intervals: Student's t over seeds, 95 %; they do not include the uncertainty due to the choice of {} images."
)


@dataclass(frozen=True)
class LabelCurvePoint:
    """One method trained on one number of images per class, once per seed.

    Attributes:
        method: `logistic` (on the last layer), `logistic@best` (on the layer that validation images choose) or
            `convnet-small`.
        per_class: training images of each class; None: all there are.
        classes: how many.
        images: training images in all.
        validation: images that chose its settings.
        accuracies: top-1 on the test split, or on the validation images where there is none, one per seed.
        layers: the layer each seed's model sees; empty for the ConvNet.
    """

    method: str
    per_class: int | None
    classes: int
    images: int
    validation: int
    accuracies: tuple[float, ...]
    layers: tuple[str, ...]

    @property
    def mean(self) -> float:
        """The mean accuracy over seeds."""
        return float(np.mean(self.accuracies))

    @property
    def interval(self) -> tuple[float, float] | None:
        """Student's t interval of the mean at 95 %, within 0..1; None for one seed, or seeds that do not differ."""
        n = len(self.accuracies)
        if len(set(self.accuracies)) < 2:
            return None
        reach = float(sem(self.accuracies) * t.ppf((1 + CONFIDENCE) / 2, n - 1))
        return max(0.0, self.mean - reach), min(1.0, self.mean + reach)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        interval = self.interval
        return {
            **dataclasses.asdict(self),
            "per_class": self.per_class or "all",
            "mean": self.mean,
            "interval": list(interval) if interval else None,
            "seeds": len(self.accuracies),
        }


def label_curve(study: Study, sizes: tuple[int | None, ...], seeds: int) -> Result:
    """Train every method on growing numbers of labelled images and score each on the test split, or on validation images.

    The curve scores the final model of every method, size and seed once; nothing is chosen by scores on the test split.
    Settings (L2 value, layer, epoch) are chosen on validation images, whose number grows with the size: the ratio to the
    training images is that at `all`, but there is at least one per class. Without a test split all validation images are
    scored.

    Args:
        study: the experiment, opened; its cache must be complete.
        sizes: training images per class, rising; None stands for all.
        seeds: how many draws of images and initial weights, from the experiment's seed on.

    Returns:
        The `Result`, with `points`, `answer`, `protocol`, `scored_on`, `n_scored`, `files` and, of test images,
        `test_looks`.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: a class has fewer images than asked for, or too few to train and to validate.
        PipelineError: a loss became NaN.
    """
    experiment, dataset, clock = study.experiment, study.dataset, study.clock
    settings, scored_on = experiment.convnet, "test" if "test" in dataset.splits else "validation"
    draws = _draws(experiment, dataset, sizes, seeds)
    cache = study.cache
    methods = [name for name in METHODS if name != CHOSEN or len(cache.layers) > 1]
    scored: dict[tuple[str, int | None], list[tuple[float, str]]] = {(m, size): [] for m in methods for size in sizes}
    bar = progress(total=len(scored) * seeds, unit="model", desc="label curve")
    with bar, pixels_on_disk(dataset, study.home) as pixels:
        convnet = SmallConvnet(dataset, pixels)
        for (seed, size), (holdout, images) in draws.items():
            with clock.phase("probes"), workers() as pool:
                for method, outcome in _probes(study, holdout, images, pool).items():
                    scored[method, size].append(outcome)
                    bar.update()
            with clock.phase("convnet"):
                convnet.train(
                    holdout, TrainingRecipe(settings.epochs, settings.batch_size, settings.learning_rate, seed)
                )
                scored["convnet-small", size].append((convnet.accuracy(images, settings.batch_size), ""))
                bar.update()
    first = {size: holdout for (_, size), (holdout, _) in reversed(draws.items())}
    points = [
        _point(method, size, len(cache.class_names), first[size], outcomes)
        for (method, size), outcomes in scored.items()
    ]
    rows, answer = [point.as_json() for point in points], crossing(points)
    with clock.phase("write"):
        chart = plots.label_curve_chart(
            rows, data=dataset.title, backbone=study.backbone, answer=answer, scored_on=scored_on
        )
        picture = plots.save_figure(chart, study.folder / "label-curve.png")
    details = {
        "data": dataset.title,
        "backbone": study.backbone,
        "protocol": f"{_SCORES[scored_on]} {_PROTOCOL.format(scored_on)}",
        "scored_on": scored_on,
        "n_scored": len(draws[experiment.seed, sizes[0]][1]),
        "answer": answer,
        "points": rows,
        "files": [str(picture)],
    }
    warnings = study.data_warnings()
    if scored_on == "test":
        looks = study.look_at_test(len(rows) * seeds, json.dumps(rows))
        details["test_looks"] = looks.as_json()
        warnings = (*warnings, *looks.warnings())
    return study.write(details, warnings, cache.key)


def crossing(points: Sequence[LabelCurvePoint]) -> str:
    """Return in one line at which sizes the better probe is ahead, at which the ConvNet, and at which neither clearly is.

    One is ahead where Student's t interval of the paired differences over seeds leaves 0 out; with one seed nothing has an
    interval, and the figures alone decide.
    """
    sizes = list(dict.fromkeys(point.per_class for point in points))
    leader = {size: _ahead([point for point in points if point.per_class == size]) for size in sizes}
    sentences = {
        "transfer": "transfer is ahead",
        "scratch": "the ConvNet from scratch is ahead",
        "": "no clear difference",
    }
    parts = []
    for who, words in sentences.items():
        where = ["all" if size is None else f"{size:,}" for size in sizes if leader[size] == who]
        if len(where) == len(sizes):
            return f"{words} at {'any' if not who else 'every'} size"
        parts += [f"{words} at {', '.join(where)}"] if where else []
    return f"{'; '.join(parts)} (images per class)"


def _ahead(points: list[LabelCurvePoint]) -> str:
    """`transfer`, `scratch`, or neither."""
    scratch = next(point for point in points if not point.layers)
    transfer = max((point for point in points if point.layers), key=lambda point: point.mean)
    gains = np.subtract(transfer.accuracies, scratch.accuracies)
    reach = 0.0 if np.ptp(gains) == 0 else sem(gains) * t.ppf((1 + CONFIDENCE) / 2, len(gains) - 1)
    if abs(gains.mean()) <= reach:
        return ""
    return "transfer" if gains.mean() > 0 else "scratch"


def draw_labels(dataset: Dataset, whole: Holdout, per_class: int | None, seed: int) -> Holdout:
    """Draw a number of training images of each class, with their share of validation images.

    Args:
        dataset: the open data set.
        whole: what there is to draw from.
        per_class: training images of each class; None: all of `whole`.
        seed: a larger number draws the images of a smaller one, and more.

    Returns:
        The drawn `Holdout`.

    Raises:
        RequestError: a class has fewer training images.
    """
    if per_class is None:
        return whole
    share = len(whole.validation) / len(whole.train)
    counts = np.bincount(dataset.splits["train"].labels[whole.train.indices], minlength=len(dataset.class_names))
    if per_class > counts.min():
        raise RequestError(
            f"--label-curve asks for {per_class:,} images per class, but {dataset.class_names[int(counts.argmin())]!r} has "
            f"{counts.min():,} to train on ({len(whole.validation):,} images are kept for validation). "
            "Give smaller numbers, or the word all."
        )
    return Holdout(
        _first_of_each_class(dataset, whole.train, per_class, seed),
        _first_of_each_class(dataset, whole.validation, max(1, round(per_class * share)), seed),
    )


def _first_of_each_class(dataset: Dataset, part: Subset, per_class: int, seed: int) -> Subset:
    shuffled = np.random.default_rng(seed).permutation(part.indices)
    labels = dataset.splits[part.split].labels[shuffled]
    chosen = [shuffled[labels == label][:per_class] for label in range(len(dataset.class_names))]
    return Subset(part.split, np.sort(np.concatenate(chosen)))


def _draws(
    experiment: Experiment, dataset: Dataset, sizes: tuple[int | None, ...], seeds: int
) -> dict[tuple[int, int | None], tuple[Holdout, Subset]]:
    """Return what each seed and size trains and validates on, and the images that are scored."""
    draws: dict[tuple[int, int | None], tuple[Holdout, Subset]] = {}
    for seed in range(experiment.seed, experiment.seed + seeds):
        whole = hold_out(dataset, experiment.head.validation_split, seed)
        scored = scored_subset(dataset, whole)
        draws |= {(seed, size): (draw_labels(dataset, whole, size, seed), scored) for size in sizes}
    return draws


def _probes(study: Study, holdout: Holdout, scored: Subset, pool: Workers) -> dict[str, tuple[float, str]]:
    """Return the accuracy and the layer of each probe; the chosen layer is the best by validation (`_rank`)."""
    cache, target = study.cache, study.target
    found = {layer: logistic_probe(cache, (layer,), holdout, target, pool) for layer in reversed(cache.layers)}
    chosen = {LAST: found[cache.layers[-1]]} | ({CHOSEN: min(found.values(), key=_rank)} if len(found) > 1 else {})
    return {name: (_accuracy(probe, cache, scored), probe.method.layers[0]) for name, probe in chosen.items()}


def _rank(probe: Candidate) -> tuple[float, float]:
    """Return the criterion's value, then the loss.

    With few validation images accuracies are often equal. `ranked`, which `compare` and `advise` use, takes the latest
    layer of equals, so it would mostly choose by depth here.
    """
    path = probe.path
    return -float(path.criterion[path.best]), float(path.loss[path.best])


def _accuracy(probe: Candidate, cache: Features, scored: Subset) -> float:
    assert probe.start is not None  # logistic probes have coefficients
    coefficients, intercept = probe.start
    rows = LayerRows(cache, probe.method.layers, scored)
    scores = rows[:] @ coefficients.T.astype(np.float32) + intercept
    return float((mean_over_views(scores, rows.views).argmax(axis=1) == rows.labels).mean())


def _point(
    method: str, size: int | None, classes: int, holdout: Holdout, outcomes: list[tuple[float, str]]
) -> LabelCurvePoint:
    accuracies, layers = zip(*outcomes, strict=True)
    return LabelCurvePoint(
        method, size, classes, len(holdout.train), len(holdout.validation), accuracies, tuple(filter(None, layers))
    )
