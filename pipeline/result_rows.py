"""What may stand in the rows of a result.json, which can come from anyone: types, bounds and what must fit together.

A key that is not named here may be there, so that a later version can add some. `model_json_schema()` of a record describes it.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from bottleneck_features.pipeline.figures import MEASURES
from bottleneck_features.pipeline.method_names import FORMER_NAMES, METHODS, PROBES, row_label

ROUNDING = 1e-6  # how far a share may be outside of 0..1
MOST = 10**12  # of anything that is counted
SPLITS = ("train", "validation", "test")
CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")


def _rising(ends: list[float]) -> list[float]:
    if ends[0] > ends[1]:
        raise ValueError("the lower end is above the upper end")
    return ends


Count = Annotated[int, Field(ge=0, le=MOST)]
Number = Annotated[float, Field(ge=-1e30, le=1e30)]
Duration = Annotated[float, Field(ge=0, le=1e10)]
Rate = Annotated[float, Field(ge=0, le=1e12)]
Share = Annotated[float, Field(ge=-ROUNDING, le=1 + ROUNDING)]
Difference = Annotated[float, Field(ge=-1 - ROUNDING, le=1 + ROUNDING)]
Interval = Annotated[list[Share], Field(min_length=2, max_length=2), AfterValidator(_rising)]
DifferenceInterval = Annotated[
    list[Annotated[float, Field(ge=-2, le=2)]], Field(min_length=2, max_length=2), AfterValidator(_rising)
]
CacheKey = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
Texts = list[str]
ScoredSplit = Literal["validation", "test", "cross_validated"]  # the last is CROSS_VALIDATED
BySplit = dict[str, Share | None]
Measure = Literal["accuracy", "balanced-accuracy", "macro-f1", "auroc", "average-precision"]


class Record(BaseModel):
    """A part of a result; keys that it does not name may be there."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


def _scored(by_split: Mapping[str, object]) -> frozenset[str]:
    """Return the splits that have a value."""
    return frozenset(split for split, value in by_split.items() if value is not None)


class ScoreRecord(Record):
    """A score on some images."""

    accuracy: Share
    interval: Interval
    n: Count


class MethodRecord(Record):
    """A row of a comparison: see `pipeline.method_row.Method`."""

    name: str
    layers: Texts
    parameters: Count
    n: dict[str, Count]
    accuracy: dict[str, Share | None]
    interval: dict[str, Interval | None]
    without_duplicates: ScoreRecord | None
    seconds: dict[str, Duration | None]
    hyperparameters: dict[str, Number]
    refitted_on: Count
    family: str = ""
    threshold: Share | None = None
    models: Annotated[int, Field(ge=1, le=MOST)] = 1
    kept: bool = False
    majority: BySplit = {}
    worst_recall: BySplit = {}
    worst_class: dict[str, Count | None] = {}
    balanced_accuracy: BySplit = {}
    macro_f1: BySplit = {}
    auroc: BySplit = {}
    average_precision: BySplit = {}
    balanced_accuracy_interval: dict[str, Interval | None] = {}
    macro_f1_interval: dict[str, Interval | None] = {}
    auroc_interval: dict[str, Interval | None] = {}
    average_precision_interval: dict[str, Interval | None] = {}
    groups: dict[str, Count | None] = {}

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
    """What a network costs, and where it comes from: see `pipeline.extraction.network_costs.NetworkCosts`."""

    backbone: str
    weights: Literal["imagenet", "random", "file"]
    notice: str
    input_size: Annotated[list[Count], Field(min_length=2, max_length=2)]
    megabytes: Rate
    gflop_per_image: Rate | None
    images_per_second: Annotated[float, Field(gt=0, le=1e12)] | None
    speed_of: str
    images: Count
    features: dict[str, Count]
    cache_key: CacheKey


class ComparedNetworkRecord(MethodRecord):
    """A row of a comparison of networks: the best probe of one of them, under the network's label."""

    network: NetworkRecord

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
    """Two methods compared on the same images: see `evaluation.comparisons`."""

    first: str
    second: str
    only_first_right: Count
    only_second_right: Count
    test: Literal["mcnemar", "interval", "corrected resampled t"]
    p_value: Share
    p_adjusted: Share | None = None
    measure: Measure = "accuracy"
    difference: Difference
    difference_interval: DifferenceInterval


class SpreadRecord(Record):
    """Test figures over splits or trainings, their mean and standard deviation."""

    values: Annotated[list[Share], Field(min_length=2)]
    mean: Share
    deviation: Share


class MethodSpreadRecord(Record):
    """How the test figure of a method varies over splits and over trainings."""

    name: str
    splits: SpreadRecord | None
    trainings: SpreadRecord


class SeedsRecord(Record):
    """What `--seeds` adds: see `pipeline.methods.seeds`. The first of all values is that of the present split and seed."""

    n: Annotated[int, Field(ge=2, le=MOST)]
    measure: Measure
    protocol: str
    not_redrawn: str
    split_seeds: list[Count]
    training_seeds: list[Count]
    methods: Annotated[list[MethodSpreadRecord], Field(min_length=1)]

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


class BinsRecord(Record):
    """The bins of a reliability diagram; an empty one has neither confidence nor accuracy."""

    count: Annotated[list[Count], Field(min_length=1)]
    confidence: list[Share | None]
    accuracy: list[Share | None]

    @model_validator(mode="after")
    def _they_agree(self) -> Self:
        if not len(self.count) == len(self.confidence) == len(self.accuracy):
            raise ValueError("count, confidence and accuracy differ in length")
        if not sum(self.count):
            raise ValueError("no image is counted")
        return self


class ReliabilityRecord(Record):
    """How well confidence predicts accuracy: see `pipeline.evaluation.reliability.Reliability`."""

    expected_calibration_error: Share
    interval: Interval
    noise_floor: Share
    noise_limit: Share
    bins: BinsRecord


class LogLossChangeRecord(Record):
    """See `pipeline.evaluation.calibration.LogLossChange`."""

    value: Number
    interval: Annotated[list[Number], Field(min_length=2, max_length=2), AfterValidator(_rising)]
    p_value: Share


class CalibrationRecord(Record):
    """Reliability before and after temperature scaling: see `pipeline.evaluation.calibration.Calibration`."""

    bins: str
    temperature: Annotated[float, Field(gt=0, lt=1e9)]
    fitted_images: Count
    fitted_on: Literal["validation", "cross_validated"]
    held_out: bool
    before: ReliabilityRecord | None
    after: ReliabilityRecord
    log_loss_change: LogLossChangeRecord | None


def _whole(curves: dict[str, list[float]]) -> dict[str, list[float]]:
    if missing := set(CURVES) - set(curves):
        raise ValueError(f"the learning curves lack {', '.join(sorted(missing))}")
    if len({len(values) for values in curves.values()}) > 1 or not curves["loss"]:
        raise ValueError("the learning curves differ in length, or have no epoch")
    return curves


def _square(counts: list[list[int]]) -> list[list[int]]:
    if any(len(row) != len(counts) for row in counts):
        raise ValueError("the confusion matrix is not square")
    return counts


History = Annotated[dict[str, list[Number]], AfterValidator(_whole)]
Confusion = Annotated[list[list[Count]], AfterValidator(_square)]


class CurvesRecord(Record):
    """The ROC and the precision-recall curve of one of two classes."""

    positive: Annotated[int, Field(ge=0, le=1)]
    false_positive_rate: list[Share]
    true_positive_rate: list[Share]
    recall: list[Share]
    precision: list[Share]

    @model_validator(mode="after")
    def _they_can_be_drawn(self) -> Self:
        if not len(self.false_positive_rate) == len(self.true_positive_rate) > 0:
            raise ValueError("the rates of the ROC curve differ in length")
        if not len(self.recall) == len(self.precision) > 0:
            raise ValueError("recall and precision differ in length")
        return self
