"""The rows of a result: methods with their scores, what networks cost, pairs of methods, and their spread over seeds."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bottleneck_features.pipeline.figures import MEASURES
from bottleneck_features.pipeline.method_names import FORMER_NAMES, METHODS, PROBES, row_label
from bottleneck_features.pipeline.result_schema.kinds import (
    MOST,
    BySplit,
    CacheKey,
    Count,
    CountBySplit,
    Difference,
    DifferenceInterval,
    Duration,
    Interval,
    IntervalBySplit,
    Measure,
    Number,
    Rate,
    Record,
    Share,
    Texts,
)

SPLITS = ("train", "validation", "test")
_OF_GROUPS = "; an interval counts groups, where images come in groups"


def _scored(by_split: Mapping[str, object]) -> frozenset[str]:
    """Return the splits that have a value."""
    return frozenset(split for split, value in by_split.items() if value is not None)


class ScoreRecord(Record):
    """A score on some images."""

    accuracy: Share = Field(description="Share of right answers.")
    interval: Interval = Field(description="Its ends at 95 %.")
    n: Count = Field(description="How many images.")


class MethodRecord(Record):
    """A row of a comparison: one method."""

    name: str = Field(
        description="The method, such as `head` or `convnet-small`; of networks that are compared, the network."
    )
    layers: Texts = Field(description="Backbone layers it sees; empty for a network trained from scratch.")
    parameters: Count = Field(description="Numbers that it trains.")
    n: dict[str, Count] = Field(
        description="Images by split: `train`, `validation`, `test`, or `cross_validated`; 0: none."
    )
    accuracy: BySplit = Field(description="Share of right answers by split; null where there is no such split.")
    interval: IntervalBySplit = Field(description=f"The accuracy's ends at 95 % by split{_OF_GROUPS}.")
    without_duplicates: ScoreRecord | None = Field(
        description="The score without images that repeat one used for training; null where there are none."
    )
    seconds: dict[str, Duration | None] = Field(description="Time to `extract` (null: not known) and to `train`.")
    hyperparameters: dict[str, Number] = Field(description="What was chosen on validation images, such as `l2` or `k`.")
    refitted_on: Count = Field(
        description="Images it was fitted on again at the end, with the validation images; 0: it was not."
    )
    family: str = Field(default="", description="Of the best of several probes: which one it is.")
    threshold: Share | None = Field(
        default=None,
        description="Of two classes: the second is answered from this probability of it on; null: the more probable one.",
    )
    models: Annotated[int, Field(ge=1, le=MOST)] = Field(
        default=1, description="Models behind the row: one, or one for each fold."
    )
    kept: bool = Field(default=False, description="Whether its model is the one that is kept.")
    majority: BySplit = Field(default={}, description="Accuracy of always answering with the most frequent class.")
    worst_recall: BySplit = Field(default={}, description="The lowest recall of a class.")
    worst_class: CountBySplit = Field(default={}, description="Number of that class.")
    balanced_accuracy: BySplit = Field(default={}, description="Mean recall of the classes.")
    macro_f1: BySplit = Field(default={}, description="Mean F1 of the classes.")
    auroc: BySplit = Field(default={}, description="Of two classes: area under the ROC curve.")
    average_precision: BySplit = Field(default={}, description="Of two classes: average precision of the rarer one.")
    balanced_accuracy_interval: IntervalBySplit = Field(default={}, description="Its ends at 95 %.")
    macro_f1_interval: IntervalBySplit = Field(default={}, description="Its ends at 95 %.")
    auroc_interval: IntervalBySplit = Field(default={}, description="Its ends at 95 %.")
    average_precision_interval: IntervalBySplit = Field(default={}, description="Its ends at 95 %.")
    groups: CountBySplit = Field(
        default={}, description="Groups that the images come in; null where each is one of its own."
    )

    @property
    def label(self) -> str:
        """What tells it from the other methods of a result."""
        return row_label({"name": self.name, "layers": self.layers})

    @model_validator(mode="after")
    def _its_name_is_known(self) -> Self:
        if self.name not in METHODS:
            now = FORMER_NAMES.get(self.name)
            known = f"is called {now!r} now" if now else "is no method"
            raise ValueError(f"another version made it: {self.name!r} {known}")
        if self.family and self.family not in PROBES:
            raise ValueError(f"{self.family!r} is no family of probes")
        return self

    @model_validator(mode="after")
    def _its_figures_are_whole(self) -> Self:
        always = ("majority", "worst_recall", "worst_class", "balanced_accuracy", "macro_f1")
        known = {name: _scored(getattr(self, name)) for name in always}
        if len(set(known.values())) > 1 or not known["majority"] <= _scored(self.accuracy):
            raise ValueError("its figures beside accuracy are not of the same splits")
        for name in MEASURES:
            if _scored(getattr(self, name)) != _scored(getattr(self, f"{name}_interval")):
                raise ValueError(f"{name} and its interval are not of the same splits")
            if not _scored(getattr(self, name)) <= known["majority"]:
                raise ValueError(f"{name} is of splits that have no other figures")
        return self

    @model_validator(mode="after")
    def _its_splits_agree(self) -> Self:
        if not set(self.n) == set(self.accuracy) == set(self.interval) >= set(SPLITS):
            raise ValueError(
                "n, accuracy and interval must have the same splits, train, validation and test among them"
            )
        for split, accuracy in self.accuracy.items():
            if (accuracy is None) != (self.interval[split] is None):
                raise ValueError(f"{split} has an accuracy without an interval, or the other way round")
        if self.accuracy["validation"] is None:
            raise ValueError("it has no validation accuracy")
        if missing := {"extract", "train"} - set(self.seconds):
            raise ValueError(f"seconds lacks {', '.join(sorted(missing))}")
        return self


class NetworkRecord(Record):
    """What a network costs, and where it comes from."""

    backbone: str = Field(description="The network as it was asked for: a registered name, or a file.")
    weights: Literal["imagenet", "random", "file"] = Field(description="Where its weights come from.")
    notice: str = Field(description="Origin and licence of published weights; empty for files of the user's own.")
    input_size: Annotated[list[Count], Field(min_length=2, max_length=2)] = Field(
        description="Height and width, in pixels."
    )
    megabytes: Rate = Field(description="Of its file of weights; of random weights what they take in float32.")
    gflop_per_image: Rate | None = Field(
        description="Work for one image, a multiply-add counted as two; null: not known."
    )
    images_per_second: Annotated[float, Field(gt=0, le=1e12)] | None = Field(
        description="Speed of extraction over all runs in this home; null: not known."
    )
    speed_of: str = Field(description="`this run`, `earlier runs`, or why the speed is not known.")
    images: Count = Field(description="Forward passes of this run.")
    features: dict[str, Count] = Field(description="Numbers for one image by layer.")
    cache: str = Field(default="", description="Folder of its features.")
    cache_key: CacheKey = Field(description="Key of its features.")
    milliseconds_per_image: Rate | None = Field(default=None, description="The inverse of the speed; null: not known.")


class ComparedNetworkRecord(MethodRecord):
    """A row of a comparison of networks: the best probe of one of them, under the network's label."""

    network: NetworkRecord = Field(description="What the network costs.")

    @model_validator(mode="after")
    def _its_name_is_known(self) -> Self:
        if self.family not in PROBES:
            raise ValueError(f"{self.family!r} is no family of probes")
        if self.name in METHODS:
            raise ValueError(f"{self.name!r} is a method, and no network")
        if not self.layers or set(self.layers) - set(self.network.features):
            raise ValueError(f"{self.name!r} has other layers than its network")
        return self


class PairRecord(Record):
    """Two methods compared on the same images, or on the same folds."""

    first: str = Field(description="Label of one method, such as `head@top_activation`.")
    second: str = Field(description="Label of the other.")
    only_first_right: Count = Field(description="Images that only the first answers rightly.")
    only_second_right: Count = Field(description="Images that only the second does.")
    test: Literal["mcnemar", "interval", "corrected resampled t"] = Field(description="What gave the p-value.")
    p_value: Share = Field(description="Two-sided, of this comparison alone.")
    p_adjusted: Share | None = Field(
        default=None,
        description="Adjusted (Holm) among the comparisons it is one of; null where it is not one that answers.",
    )
    measure: Measure = Field(default="accuracy", description="What is compared.")
    difference: Difference = Field(description="The first method's figure minus the second's.")
    difference_interval: DifferenceInterval = Field(description="Its ends at 95 %, of this comparison alone.")


class SpreadRecord(Record):
    """Test figures over splits or trainings, their mean and standard deviation."""

    values: Annotated[list[Share], Field(min_length=2)] = Field(description="One for each seed, the present one first.")
    mean: Share = Field(description="Of the values.")
    deviation: Share = Field(description="Their standard deviation.")


class MethodSpreadRecord(Record):
    """How the test figure of a method varies over splits and over trainings."""

    name: str = Field(description="Label of the method, or name of the family of probes.")
    splits: SpreadRecord | None = Field(description="Over splits; null where none are drawn.")
    trainings: SpreadRecord = Field(description="Over trainings on the same split.")


class SeedsRecord(Record):
    """What `--seeds` adds. The first of all values is that of the present split and seed."""

    n: Annotated[int, Field(ge=2, le=MOST)] = Field(description="How many seeds.")
    measure: Measure = Field(description="What the figures are.")
    protocol: str = Field(description="How they were measured, in a sentence.")
    not_redrawn: str = Field(description="Why no other splits were drawn; empty where they were.")
    split_seeds: list[Count] = Field(description="`dataset.split_seed` of each split; empty where none were drawn.")
    training_seeds: list[Count] = Field(description="`seed` of each training.")
    test_images: list[Count] = Field(default=[], description="Test images of each split.")
    methods: Annotated[list[MethodSpreadRecord], Field(min_length=1)] = Field(description="The figures of each method.")

    @model_validator(mode="after")
    def _there_is_a_value_for_each_seed(self) -> Self:
        if len(self.training_seeds) != self.n or len(self.split_seeds) not in (0, self.n):
            raise ValueError("it has not n seeds")
        for row in self.methods:
            if (row.splits is not None) != bool(self.split_seeds):
                raise ValueError(f"{row.name!r} has figures of splits without seeds, or the other way round")
            if any(len(over.values) != self.n for over in (row.splits, row.trainings) if over):
                raise ValueError(f"{row.name!r} has not n figures")
        if len({row.name for row in self.methods}) < len(self.methods):
            raise ValueError("it has a method twice")
        return self
