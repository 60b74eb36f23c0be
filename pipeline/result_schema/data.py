"""The results of the commands that look at data, extract features, measure speed, draw label curves and advise."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bottleneck_features.pipeline.result_schema.every import FigureRecord, LooksRecord, ResultRecord
from bottleneck_features.pipeline.result_schema.kinds import (
    MOST,
    Count,
    Criterion,
    Duration,
    Interval,
    Measure,
    Number,
    Rate,
    Record,
    Share,
    Texts,
)

Counted = Annotated[int, Field(ge=1, le=MOST)]
Quantiles = dict[str, Number]


class PlaceRecord(Record):
    """An image of the data set."""

    split: str = Field(description="Its split.")
    id: str = Field(description="Its id.")
    label: str = Field(description="Name of its class.")


class RepeatRecord(Record):
    """Two images that show the same picture."""

    first: PlaceRecord = Field(description="The one.")
    second: PlaceRecord = Field(description="The other.")
    kind: str = Field(description="`exact` (the same pixels), `near`, or either with `mirrored-` before it.")
    similarity: Number = Field(description="Of their low frequencies, −1..1; 1 for exact ones.")
    detail: Number = Field(description="Of their higher frequencies, −1..1; 1 for exact ones.")


class RepeatsRecord(Record):
    """How many images repeat others."""

    sets: Count = Field(description="Sets of two or more images that show the same picture.")
    images: Count = Field(description="Images in these sets.")
    kinds: dict[str, Count] = Field(default={}, description="Pairs by kind.")
    sets_by_splits: dict[str, Count] = Field(
        default={}, description="Sets by the splits that they lie in, such as `test and train`."
    )
    across_splits: Count = Field(description="Sets that lie in more than one split.")
    exact_across_splits: Count = Field(default=0, description="Exact pairs whose images lie in different splits.")
    conflicting_labels: Count = Field(description="Sets with more than one label.")
    conflicts: list[list[PlaceRecord]] = Field(default=[], description="The first of these sets.")
    near_ones: str = Field(description="How near-duplicates were looked for, or why not.")
    pairs: list[RepeatRecord] = Field(
        default=[], description="At most 1,000 pairs, those of different labels and splits first."
    )


class PicturesRecord(Record):
    """What kinds of pictures there are."""

    sizes: dict[str, Count] = Field(
        default={}, description="The ten most frequent sizes, width×height, with their counts."
    )
    different_sizes: Count = Field(default=0, description="How many sizes there are.")
    formats: dict[str, Count] = Field(default={}, description="Of files: their formats with their counts.")
    modes: dict[str, Count] = Field(
        default={}, description="Of files: their modes, as Pillow calls them, with their counts."
    )
    aspect_ratio: Quantiles = Field(default={}, description="Of files: quantiles of width divided by height.")
    mebibytes: Rate | None = Field(default=None, description="Of files: what they take.")
    seen: Quantiles = Field(
        default={}, description="Where a crop is taken: quantiles of the share of the area that the network sees."
    )


class GroupsRecord(Record):
    """Groups of images that must not be parted."""

    number: Count = Field(default=0, description="How many groups there are.")
    in_several_splits: Count = Field(default=0, description="How many lie in more than one split.")
    examples: Texts = Field(default=[], description="The first of these.")


class HintScore(Record):
    """A cross-validated accuracy."""

    accuracy: Share = Field(description="Share of right answers.")
    low: Share = Field(description="Its lower end at 95 %.")
    high: Share = Field(description="Its upper end at 95 %.")
    n: Count = Field(description="How many images.")


class ShortcutRecord(Record):
    """How well something besides the picture's content predicts the label."""

    name: str = Field(description="What it is, such as the file's size.")
    score: HintScore = Field(description="The accuracy of the label by this alone.")
    baseline: Share = Field(description="The accuracy of always naming the most frequent class.")
    p_value: Share = Field(description="Of the accuracy against this baseline.")
    skill: Number = Field(description="Share of the baseline's errors that it removes; below 0: none.")
    of_content: bool = Field(description="Whether it also depends on what the picture shows.")
    given_away: Texts = Field(description="Classes that it alone identifies.")
    edge: Share | None = Field(
        description="Of a border or corner: share of a class' images with an edge at the same place; else null."
    )
    inside: Share | None = Field(description="Of these the share that other parts like it tell at most; else null.")
    warns: bool = Field(description="Whether a warning names it.")


class InspectResult(ResultRecord):
    """The result of `inspect`."""

    data: str = Field(default="", description="Title of the data set.")
    images: Annotated[dict[str, Annotated[dict[str, Count], Field(min_length=1)]], Field(min_length=1)] = Field(
        description="Images by split and class."
    )
    pictures: PicturesRecord = Field(default=PicturesRecord(), description="Sizes, formats and modes.")
    groups: GroupsRecord = Field(default=GroupsRecord(), description="Groups of images.")
    repeats: RepeatsRecord = Field(description="Images that repeat others.")
    shortcuts: list[ShortcutRecord] = Field(default=[], description="What else predicts the label, the best first.")
    files: Annotated[Texts, Field(min_length=1)] = Field(description="Paths of the page and its pictures.")

    @model_validator(mode="after")
    def _its_splits_have_the_same_classes(self) -> Self:
        first, *others = self.images.values()
        if any(list(own) != list(first) for own in others):
            raise ValueError("the splits of images have different classes")
        return self


class FeaturesResult(ResultRecord):
    """The result of `features`."""

    images: Count = Field(description="Images whose features this run computed.")
    images_resumed: Count = Field(description="Images whose features were there from an earlier run.")
    images_reused: Count = Field(description="Images whose features were copied from other caches.")
    reused_from: dict[str, Count] = Field(description="How many of them from which cache.")
    part: str = Field(description="Which part of the shards this run had, such as `1/1` for all.")
    shards_left: Count = Field(description="Shards that other parts have still to make; 0: the cache is complete.")
    check: dict[str, dict[str, Number]] = Field(
        default={},
        description="By layer: how far the engine is from float32, and what it gets and gives; absent: nothing was to do.",
    )
    engine: str = Field(description="What computed them: `openvino` or `tensorflow`.")
    precision: str = Field(description="In which precision.")
    cache: str = Field(description="Folder of the cache.")
    cache_mib: Rate = Field(description="What its files take.")
    layers: dict[str, list[Count]] = Field(description="By layer the shape of the features of one image.")
    workers: Count = Field(default=0, description="With `--engine-on ray`: how many workers.")
    worker_deaths: Count = Field(default=0, description="Of these, how many died and were replaced.")
    shard_seconds: dict[str, Duration] = Field(
        default={}, description="With `--engine-on ray`: mean, deviation and longest of a shard."
    )


class PointRecord(Record):
    """A point of a label curve."""

    method: Literal["logistic", "logistic@best", "convnet-small"] = Field(description="The method.")
    per_class: Counted | Literal["all"] = Field(description="Training images of each class.")
    classes: Counted = Field(description="How many classes.")
    images: Counted = Field(description="Training images in all.")
    validation: Count = Field(default=0, description="Validation images.")
    accuracies: list[Share] = Field(default=[], description="One for each seed.")
    layers: Texts = Field(default=[], description="The layer that each seed chose; empty for a network.")
    mean: Share = Field(description="Of the accuracies.")
    interval: Interval | None = Field(description="The mean's ends at 95 % over seeds; null where seeds do not differ.")
    seeds: Counted = Field(description="How many draws of images and weights.")


class LabelCurveResult(ResultRecord):
    """The result of `compare --label-curve`, in the folder `label-curve`."""

    points: Annotated[list[PointRecord], Field(min_length=1)] = Field(description="The curve.")
    answer: str = Field(description="At which sizes which method is ahead, in a sentence.")
    protocol: str = Field(description="How it was measured, in a sentence.")
    scored_on: Literal["test", "validation"] = Field(description="Which images are scored.")
    n_scored: Count = Field(default=0, description="How many these are.")
    data: str = Field(description="Title of the data set.")
    backbone: str = Field(description="Name of the network.")
    test_looks: LooksRecord | None = Field(
        default=None, description="How often these test images were scored in this home."
    )
    files: Texts = Field(default=[], description="Paths of the pictures.")


class BenchVariant(Record):
    """A variant of stage one that was measured."""

    name: str = Field(description="Such as `openvino bfloat16, full stage one`.")
    images_per_second: Annotated[list[Rate], Field(min_length=1)] = Field(description="One for each repeat.")
    peak_mib: Rate | None = Field(default=None, description="Largest resident memory of its process.")
    above_import_mib: Number | None = Field(
        default=None, description="The same less what importing the framework takes."
    )
    ratio: Rate = Field(description="Of its speed to that of the walk-through's script, median of the repeats.")
    share_of_bare: Rate | None = Field(description="Of a full stage: of the speed of the network alone.")
    share_of_matmul: Rate | None = Field(
        default=None, description="Of the measured rate of matrix products; null: not measured."
    )


class BenchResult(ResultRecord):
    """The result of `bench`."""

    backbone: str = Field(default="", description="Name of the network.")
    images_a_run: Count = Field(default=0, description="Images of each run.")
    repeats: Count = Field(default=0, description="Runs of each variant.")
    variants: Annotated[list[BenchVariant], Field(min_length=1)] = Field(description="What was measured.")
    files: Texts = Field(default=[], description="Paths of the pictures.")


class DifferenceRecord(Record):
    """How far one method's figure is above another's on the same images."""

    value: Number = Field(description="The difference, −1..1.")
    low: Number = Field(description="Its lower end at 95 %.")
    high: Number = Field(description="Its upper end at 95 %.")
    p_value: Share = Field(description="Two-sided.")
    test: str = Field(description="What gave it.")


class OptionRecord(Record):
    """A method that could be taken."""

    method: str = Field(description="Its label.")
    seconds: Duration | None = Field(description="To train it here; null: not known.")
    figure: FigureRecord | None = Field(description="What decides, on images it has not seen; null: not measured.")
    no_better_than: str = Field(
        description="The answer without a look at images that it is not shown to beat; else empty."
    )


class CurvePointRecord(Record):
    """The figure of a probe by the number of training images."""

    images: Count = Field(description="How many.")
    value: Share = Field(description="The mean over draws.")
    draws: Count = Field(description="How many draws.")


class EvidenceRecord(Record):
    """What was measured for the advice, without a look at test images."""

    select: Measure = Field(description="The figure that decides.")
    images: Count = Field(description="Images it was measured on.")
    groups: Count | None = Field(description="Groups that these come in; null where each is one of its own.")
    measured_on: Literal["validation", "cross_validated"] = Field(description="Which images these are.")
    tried: Count = Field(description="Of how many methods the best was chosen on these images; 1: on others.")
    train: Count = Field(description="Training images.")
    classes: Count = Field(description="How many classes.")
    probe: OptionRecord = Field(description="The kept probe.")
    rivals: list[OptionRecord] = Field(description="Other methods, measured or not.")
    level: Texts = Field(description="Probes of other families that cannot be told from the kept one.")
    against_scratch: DifferenceRecord | None = Field(
        description="The probe against the small ConvNet; null: that was not trained."
    )
    last_against_earlier: DifferenceRecord | None = Field(description="The last layer against the best earlier one.")
    earlier_layer: str = Field(description="The name of the latter; empty where one layer is cached.")
    earlier_tried: Count = Field(description="From how many layers it was chosen.")
    curve: list[CurvePointRecord] = Field(description="The probe over growing training data.")
    doubled: Number | None = Field(description="The figure expected with twice the images; null: no trend.")


class AdviseResult(ResultRecord):
    """The result of `advise`."""

    data: str = Field(default="", description="Title of the data set.")
    backbone: str = Field(default="", description="Name of the network.")
    recommendation: str = Field(description="Label of a method, or `not enough evidence`.")
    reasons: Texts = Field(description="Why, the strongest first.")
    cannot_tell: Texts = Field(description="Sentences on methods that may be better.")
    rule_of_thumb: str = Field(default="", description="What the walk-throughs' table says of data like these.")
    evidence: EvidenceRecord | None = Field(default=None, description="What was measured.")
    select: Criterion = Field(default="accuracy", description="The criterion that decides between models.")
    select_reason: str = Field(default="", description="Why this one, where it was left to the command.")
    folds: Count = Field(default=0, description="Folds of the cross-validation; 0: there was none.")
    repeats: Count = Field(default=0, description="Repeats of the cross-validation.")
    units: Count = Field(default=0, description="Groups or pictures that the images of the folds are of.")
    networks: str = Field(
        default="", description="What `compare --backbones` found of these images; empty: it has not run."
    )
    commands: Texts = Field(default=[], description="What to type next.")
