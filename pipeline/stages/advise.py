"""Advice: which method suits a data set, from what can be measured in seconds, and what cannot be told without training."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from scipy.special import ndtri

from bottleneck_features.models.parallel import Workers, workers
from bottleneck_features.pipeline.evaluation.differences import Answers, PairedDifference, paired_difference
from bottleneck_features.pipeline.evaluation.folded_set import FoldedSet
from bottleneck_features.pipeline.evaluation.groups import group_warnings, groups_of
from bottleneck_features.pipeline.evaluation.ranking import ranked
from bottleneck_features.pipeline.evaluation.scored import score_details
from bottleneck_features.pipeline.evaluation.study import Study
from bottleneck_features.pipeline.evaluation.target import ClassTarget
from bottleneck_features.pipeline.extraction.identity import images_key_of
from bottleneck_features.pipeline.figures import CONFIDENCE, SIGNIFICANT, Figure, Figures
from bottleneck_features.pipeline.method_names import BEST_PROBE, NOT_ENOUGH
from bottleneck_features.pipeline.method_row import CROSS_VALIDATED, Method
from bottleneck_features.pipeline.methods.best_probe import (
    Probe,
    ProbeSearch,
    answers_of,
    probes_of_fold,
    search_with_progress,
)
from bottleneck_features.pipeline.methods.convnet import train_convnet
from bottleneck_features.pipeline.methods.costs import can_be_trained, fine_tune_seconds, small_convnet_seconds
from bottleneck_features.pipeline.methods.cross_validation import Folding, cross_validate
from bottleneck_features.pipeline.methods.learning_curve import LearningCurvePoint, extrapolated, learning_curve
from bottleneck_features.pipeline.methods.pixels import pixels_on_disk
from bottleneck_features.pipeline.reporting.networks import known_comparison, networks_verdict
from bottleneck_features.pipeline.results import Result
from bottleneck_features.pipeline.tables import (
    duration_text,
    interval_text,
    no_better_than,
    p_text,
    points_name,
    select_name,
)

WIDEST = 0.10  # of the interval below a figure; with a wider one there is no advice
LARGE_PER_CLASS = 1000  # training images per class from which the rule of thumb calls data large
NOTHING_TO_GAIN = 0.02  # below the best figure there can be, at the lower end of the interval: training gains little
SCRATCH = "convnet-small"
AFFORDABLE = 120.0  # seconds: the small ConvNet is trained for the advice if it is estimated to take less


@dataclass(frozen=True)
class Option:
    """A method that could be taken.

    Attributes:
        method: its label.
        seconds: to train it here; None: not known.
        figure: that decides, measured on images it has not seen; None: not measured.
        no_better_than: the answer that needs no image which it is not shown to beat; empty where it beats it.
    """

    method: str
    seconds: float | None
    figure: Figure | None
    no_better_than: str = ""


@dataclass(frozen=True)
class Evidence:
    """What was measured, without a look at test images.

    Attributes:
        select: the name of the figure that decides.
        images: how many it was measured on.
        groups: how many groups these come in; None where each image is one of its own.
        measured_on: `validation`, or `cross_validated` over the training images.
        tried: of how many methods the best one was chosen on the images it was measured on; 1 where other images chose it.
        train: training images.
        classes: how many.
        probe: the kept probe.
        rivals: other methods, measured or not.
        level: the best probes of other families that cannot be told from the kept one on validation images.
        against_scratch: how far the probe is ahead of the small ConvNet on the same images; None: that was not trained.
        last_against_earlier: how far logistic regression on the last layer is ahead of that on the best earlier one.
        earlier_layer: its name; empty where one layer is cached.
        earlier_tried: from how many layers it was chosen.
        curve: the probe over growing training data.
        doubled: the figure expected with twice the images, by a power law of the error; None: the curve has no trend.
    """

    select: str
    images: int
    groups: int | None
    measured_on: str
    tried: int
    train: int
    classes: int
    probe: Option
    rivals: tuple[Option, ...]
    level: tuple[str, ...]
    against_scratch: PairedDifference | None
    last_against_earlier: PairedDifference | None
    earlier_layer: str
    earlier_tried: int
    curve: tuple[LearningCurvePoint, ...]
    doubled: float | None


def advise(study: Study, folding: Folding | None = None) -> Result:
    """Recommend a method that was measured, and say which others may be better.

    Args:
        study: the experiment, opened; its cache must be complete.
        folding: measure by cross-validation, where validation images are few.

    Returns:
        The `Result`, with `recommendation` (a method's label, or `not enough evidence`), `reasons`, `cannot_tell` (methods
        that may be better), `rule_of_thumb`, `evidence`, `networks` (what `compare --backbones` found of these images, empty
        where it has not run) and `commands`.

    Raises:
        NoCache: there is no cache that matches; the message names what differs.
        features.CacheError: there is one, which cannot be used; see `open_cache`.
        RequestError: a class has too few samples, or too few groups, to train and to validate.
    """
    cache, _ = study.cache, study.holdout  # classes too small to be split are named before anything is fitted
    with study.clock.phase("probe"), workers() as pool:
        folded = cross_validate(study, folding, probes_of_fold(pool)) if folding else None
        evidence = gather(study.cross_validated(folded) if folded else study, pool, folded)
    recommendation, reasons = recommend(evidence)
    compared = known_comparison(study.folder.parent, images_key_of(study.identity))
    details: dict[str, Any] = {
        "data": study.dataset.title,
        "backbone": study.backbone,
        "recommendation": recommendation,
        "reasons": list(reasons),
        "cannot_tell": list(cannot_tell(evidence)),
        "rule_of_thumb": rule_of_thumb(evidence),
        "evidence": asdict(evidence),
        **{name: value for name, value in score_details(study, folded).items() if name != "scored_on"},
        "networks": " ".join(networks_verdict(compared)) if compared else "",
        "commands": commands(recommendation, evidence, study.options),
    }
    grouped = group_warnings(groups_of(study.dataset, study.holdout.validation), "validation images")
    return study.write(details, (*study.data_warnings(), *(() if folded else grouped)), cache.key)


def gather(study: Study, pool: Workers, folded: FoldedSet | None = None) -> Evidence:
    """Measure what the advice rests on; the test split is not looked at."""
    found, target = search_with_progress(study, pool, ()), study.target
    kept, measured_on = found.kept.method, "validation"
    if folded:
        kept, measured_on = folded.beside(replace(kept, name=BEST_PROBE)), CROSS_VALIDATED
        kept = replace(kept, name=found.kept.method.name)
    figures = kept.figures[measured_on]
    scratch = _small_convnet(study) if not folded and small_convnet_seconds(study) <= AFFORDABLE else None
    last, earlier = _last_and_earlier(study, found)
    curve = learning_curve(study, found.kept, pool)
    tried = 1 if folded else len(found.methods) + bool(scratch)
    return Evidence(
        select=target.compared,
        images=kept.scores[measured_on].n,
        groups=figures.groups,
        measured_on=measured_on,
        tried=tried,
        train=len(study.holdout.train),
        classes=target.classes,
        probe=_option(target, kept.label, sum(one.seconds["train"] or 0.0 for one in found.methods), figures, tried),
        rivals=(
            _option(
                target,
                SCRATCH,
                small_convnet_seconds(study),
                scratch[0].figures["validation"] if scratch else None,
                tried,
            ),
            *([Option("fine-tune", fine_tune_seconds(study), None)] if can_be_trained(study) else []),
        ),
        level=_level(study, found),
        against_scratch=_paired(study, answers_of(found.kept), scratch[1]) if scratch else None,
        last_against_earlier=_paired(study, answers_of(last), answers_of(earlier)) if earlier else None,
        earlier_layer=earlier.method.layers[0] if earlier else "",
        earlier_tried=len(study.cache.layers) - 1,
        curve=curve,
        doubled=extrapolated(curve),
    )


def recommend(evidence: Evidence) -> tuple[str, tuple[str, ...]]:
    """Return the recommended method, one of those that were measured, and the reasons, strongest first."""
    probe, scratch = evidence.probe, evidence.rivals[0]
    assert probe.figure is not None
    found = evidence.against_scratch
    best = scratch if found and found.value < 0 and found.p_value < SIGNIFICANT else probe
    missing = []
    if probe.figure.value - probe.figure.low > WIDEST:
        missing.append(
            f"With {evidence.images:,} images {_measured(evidence, probe)} is too uncertain. About "
            f"{4 * evidence.images:,} would halve its interval: label more images."
        )
    if best.no_better_than:
        several = f"of {evidence.tried:,}, chosen on these images," if evidence.tried > 1 else "that was measured,"
        missing.append(f"{best.method}, the best {several} is not shown to be better than {best.no_better_than}.")
    if missing:
        return NOT_ENOUGH, tuple(missing)
    reached = f"{best.method} reaches {_measured(evidence, best)}"
    behind = found is not None and found.value < 0 and best is probe
    return best.method, tuple(
        filter(
            None,
            (
                f"{reached}; {SCRATCH} is not shown to be better, and the probe costs seconds."
                if behind
                else f"{reached}, the best that was measured.",
                _of_scratch(evidence),
                _of_layers(evidence),
                _of_the_curve(evidence),
            ),
        )
    )


def cannot_tell(evidence: Evidence) -> tuple[str, ...]:
    """Return a sentence on every method that may be better than the recommended one."""
    figure, found = evidence.probe.figure, evidence.against_scratch
    assert figure is not None
    said = []
    if evidence.level:
        said.append(
            f"{', '.join(evidence.level)} cannot be told from {evidence.probe.method} on the validation images."
        )
    if found and found.p_value >= SIGNIFICANT:
        said.append(f"{evidence.rivals[0].method} cannot be told from {evidence.probe.method} on these images.")
    if 1 - figure.low <= NOTHING_TO_GAIN:
        return tuple(said)
    for rival in evidence.rivals:
        if rival.figure is None:
            cost = "time not known" if rival.seconds is None else f"about {duration_text(rival.seconds)} here"
            said.append(f"Whether {rival.method} is better cannot be told without training it ({cost}).")
    return tuple(said)


def rule_of_thumb(evidence: Evidence) -> str:
    """Return what the walk-throughs' table recommends for data of this size and similarity to ImageNet."""
    size = "large" if evidence.train / evidence.classes >= LARGE_PER_CLASS else "small"
    table = {
        ("small", "similar"): "logistic", ("small", "different"): f"logistic@{evidence.earlier_layer}",
        ("large", "similar"): "fine-tune", ("large", "different"): "from-pretrained",
    }  # fmt: skip
    likeness = _likeness(evidence)
    if likeness is None:
        either = " or ".join(
            dict.fromkeys(table[size, kind] for kind in ("similar", "different") if evidence.earlier_layer)
        )
        return f"data {size}; whether similar to ImageNet or not cannot be told{f': {either}' if either else ''}"
    return f"data {size} and {likeness} to ImageNet: {table[size, likeness]}"


def commands(recommendation: str, evidence: Evidence, options: Sequence[str]) -> list[str]:
    """Return what to type next: what makes the recommended model, and what compares it with those that may be better."""
    words = shlex.join(options)
    open_questions = [
        rival.method for rival in evidence.rivals if any(rival.method in one for one in cannot_tell(evidence))
    ]
    compared = ",".join(dict.fromkeys((BEST_PROBE, SCRATCH, *open_questions)))
    return [f"bottleneck probe {words}", f"bottleneck compare {words} --set compare.methods={compared}"]


def _paired(study: Study, first: Answers, second: Answers) -> PairedDifference:
    validation = study.holdout.validation
    groups = study.groups(validation)
    return paired_difference(study.labels(validation), first, second, groups, study.target.compared)


def _level(study: Study, found: ProbeSearch) -> tuple[str, ...]:
    kept, *others = found.best_of_families()
    tests = {one.method.label: _paired(study, answers_of(kept), answers_of(one)) for one in others}
    return tuple(label for label, test in tests.items() if test.p_value >= SIGNIFICANT)


def _option(target: ClassTarget, method: str, seconds: float | None, figures: Figures | None, tried: int) -> Option:
    if figures is None:
        return Option(method, seconds, None)
    known = no_better_than(_of_several(figures, tried), target.select, target.classes)
    return Option(method, seconds, figures.named(target.select), known)


def _of_several(figures: Figures, tried: int) -> Figures:
    """Return the figures of the best of several, with lower ends that allow for the choice on the same images (Bonferroni)."""
    tail = (1 - CONFIDENCE) / 2
    stretch = float(ndtri(tail / tried) / ndtri(tail))

    def lower(found: Figure) -> Figure:
        return replace(found, low=found.value - stretch * (found.value - found.low))

    return replace(figures, accuracy=lower(figures.accuracy), balanced_accuracy=lower(figures.balanced_accuracy))


def _small_convnet(study: Study) -> tuple[Method, Answers]:
    with pixels_on_disk(study.dataset, study.home) as pixels:
        trained = train_convnet(study, pixels, "small")
    return trained.method, answers_of(trained)


def _last_and_earlier(study: Study, found: ProbeSearch) -> tuple[Probe, Probe | None]:
    """Return logistic regression on the last layer, and the best one on an earlier layer."""
    layers = study.cache.layers
    own = [one for one in found.candidates if one.method.name == "logistic"]
    alone = {one.method.layers[0]: one for one in own if len(one.method.layers) == 1}
    labels = study.labels(study.holdout.validation)
    earlier = ranked([alone[layer] for layer in layers[:-1]], labels, layers, study.target.criterion)
    return alone[layers[-1]], next(iter(earlier), None)


def _likeness(evidence: Evidence) -> str | None:
    """`similar` or `different` to ImageNet; None where the layers cannot be told apart, the best of several counted as such."""
    found = evidence.last_against_earlier
    if found is None or found.p_value >= SIGNIFICANT / max(1, evidence.earlier_tried):
        return None
    return "similar" if found.value > 0 else "different"


def _measured(evidence: Evidence, option: Option) -> str:
    figure = option.figure
    assert figure is not None
    where = (
        "training images, cross-validated"
        if evidence.measured_on == CROSS_VALIDATED
        else "validation images that chose it"
    )
    reached = interval_text(figure.value, figure.low, figure.high)
    together = f", in {evidence.groups:,} groups" if evidence.groups else ""
    return f"{select_name(evidence.select)} {reached} on the {evidence.images:,} {where}{together}"


def _of_scratch(evidence: Evidence) -> str:
    found = evidence.against_scratch
    if found is None:
        return ""
    return (
        f"Against {SCRATCH} on the same images {evidence.probe.method} is {100 * found.value:+.1f} {_points(evidence)} "
        f"[{100 * found.low:+.1f}, {100 * found.high:+.1f}] ({p_text(found.p_value)})."
    )


def _of_layers(evidence: Evidence) -> str:
    found = evidence.last_against_earlier
    if found is None:
        return "Only one layer is cached, so similarity to ImageNet cannot be measured: add earlier layers to backbone.layers."
    chance = "" if _likeness(evidence) else ", which may be chance"
    tried = f", the best of {evidence.earlier_tried} earlier layers," if evidence.earlier_tried > 1 else ""
    side = "ahead of" if found.value >= 0 else "behind"
    return (
        f"Logistic regression on the last layer is {abs(100 * found.value):.1f} {_points(evidence)} {side} "
        f"{evidence.earlier_layer}{tried} on validation images ({p_text(found.p_value)}){chance}."
    )


def _of_the_curve(evidence: Evidence) -> str:
    if evidence.doubled is None:
        return "The learning curve of the frozen features shows no trend."
    gain = 100 * (evidence.doubled - evidence.curve[-1].value)
    return (
        f"Twice as many labelled images would gain about {max(gain, 0.0):.1f} {_points(evidence)} with frozen features."
    )


def _points(evidence: Evidence) -> str:
    return points_name(evidence.select)
