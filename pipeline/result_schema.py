"""What may stand in a result.json, which can come from anyone: types, bounds and what must fit together.

A key that is not named here may be there, so that a later version can add some. `model_json_schema()` of a record describes it.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from bottleneck_features.foreign import problem_of
from bottleneck_features.pipeline.figures import MEASURES
from bottleneck_features.pipeline.method_names import FORMER_NAMES, METHODS, NETWORKS, PROBES, row_label

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


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class BackboneSettings(_Record):
    """What is needed of an experiment's backbone."""

    layers: Texts


class HeadSettings(_Record):
    """What is needed of an experiment's head."""

    validation_split: Annotated[float, Field(gt=0, lt=1)]


class ExperimentRecord(_Record):
    """What is needed of the experiment that a result was made with."""

    name: str
    seed: Annotated[int, Field(ge=0, lt=1 << 32)]
    backbone: BackboneSettings
    head: HeadSettings


class ResultRecord(_Record):
    """What every result has: see `pipeline.results.Result`."""

    command: str
    experiment: ExperimentRecord
    cache_key: CacheKey
    seconds: dict[str, Duration]
    peak_memory_mib: Annotated[float, Field(ge=0, le=1e12)]
    versions: dict[str, Any]
    hardware: dict[str, Any]
    warnings: Texts
    folder: str
    images_per_second: Rate | None = None


class ScoreRecord(_Record):
    """A score on some images."""

    accuracy: Share
    interval: Interval
    n: Count


class MethodRecord(_Record):
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
    balanced_accuracy: BySplit = {}
    macro_f1: BySplit = {}
    auroc: BySplit = {}
    average_precision: BySplit = {}
    balanced_accuracy_interval: dict[str, Interval | None] = {}
    macro_f1_interval: dict[str, Interval | None] = {}
    auroc_interval: dict[str, Interval | None] = {}
    average_precision_interval: dict[str, Interval | None] = {}

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
    def _its_figures_have_its_splits(self) -> Self:
        for name in MEASURES:
            values, ends = getattr(self, name), getattr(self, f"{name}_interval")
            torn = any((value is None) != (ends.get(split) is None) for split, value in values.items())
            if torn or set(values) != set(ends) or set(values) - set(self.n):
                raise ValueError(f"{name} and its interval are not of the same splits")
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


class PairRecord(_Record):
    """Two methods compared on the same images: see `evaluation.comparisons`."""

    first: str
    second: str
    only_first_right: Count
    only_second_right: Count
    test: Literal["mcnemar", "group sign-flip", "interval", "corrected resampled t"]
    p_value: Share
    p_adjusted: Share | None = None
    measure: Literal["accuracy", "balanced-accuracy", "macro-f1", "auroc", "average-precision"] = "accuracy"
    difference: Difference
    difference_interval: DifferenceInterval


class BinsRecord(_Record):
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


class ReliabilityRecord(_Record):
    """How well confidence predicts accuracy."""

    expected_calibration_error: Share
    bins: BinsRecord


class CalibrationRecord(_Record):
    """Reliability before and after temperature scaling: see `pipeline.evaluation.calibration.Calibration`."""

    bins: str
    temperature: Annotated[float, Field(gt=0, lt=1e9)]
    fitted_images: Count
    held_out: bool
    before: ReliabilityRecord
    after: ReliabilityRecord


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


class CurvesRecord(_Record):
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


class KeptPredictions(_Record):
    """Which file holds the predictions of a result."""

    file: str = ""
    sha256: str = ""


class ScoredResult(ResultRecord):
    """What a command has found that scores methods."""

    methods: Annotated[list[MethodRecord], Field(min_length=1)]
    scored_on: ScoredSplit
    pairs: list[PairRecord] = []
    predictions: KeptPredictions = KeptPredictions()
    select: Literal["accuracy", "balanced-accuracy", "macro-f1", "log-loss", "auroc", "average-precision"] = "accuracy"
    select_reason: str = ""
    classes: Texts = []
    curves: dict[str, CurvesRecord] = {}

    @model_validator(mode="after")
    def _curves_are_of_two_classes(self) -> Self:
        if self.curves and len(self.classes) != 2:
            raise ValueError("it has curves of two classes and another number of classes")
        return self

    @model_validator(mode="after")
    def _every_method_is_scored(self) -> Self:
        if unscored := [row.label for row in self.methods if row.accuracy.get(self.scored_on) is None]:
            raise ValueError(f"{unscored[0]!r} has no accuracy on {self.scored_on} images")
        if len({row.label for row in self.methods}) < len(self.methods):
            raise ValueError("it has a method twice")
        return self


class DuplicatesRecord(_Record):
    """Images of the evaluation set that repeat an image used for training."""

    images: Count
    near_ones: str


class CompareResult(ScoredResult):
    """The result of `compare`."""

    pairs: Annotated[list[PairRecord], Field(min_length=1)]
    confusion: dict[str, Confusion]
    histories: dict[str, History]
    calibration: dict[str, CalibrationRecord]
    predictions: KeptPredictions
    classes: Annotated[Texts, Field(min_length=1)]
    backbone: str
    duplicates: DuplicatesRecord

    @model_validator(mode="after")
    def _all_are_compared(self) -> Self:
        found = {frozenset((pair.first, pair.second)) for pair in self.pairs}
        names = list(dict.fromkeys(name for pair in self.pairs for name in (pair.first, pair.second)))
        if found != set(map(frozenset, combinations(names, 2))):
            raise ValueError("pairs does not have every two of its methods once")
        if unknown := set(names) - {row.label for row in self.methods}:
            raise ValueError(f"pairs names {sorted(unknown)[0]!r}, which is no method")
        if any(len(counts) != len(self.classes) for counts in self.confusion.values()):
            raise ValueError("a confusion matrix has not as many rows as there are classes")
        return self


class ProbeResult(ScoredResult):
    """The result of `probe`."""

    table: Annotated[list[MethodRecord], Field(min_length=1)]
    backbone: str

    @model_validator(mode="after")
    def _its_table_can_be_drawn(self) -> Self:
        for row in self.table:
            low, high = row.interval["validation"] or (0.0, 1.0)
            if not low <= (row.accuracy["validation"] or 0.0) <= high:
                raise ValueError(f"the validation accuracy of {row.name!r} is not in its interval")
            if row.name not in PROBES:
                raise ValueError(f"{row.name!r} is no family of probes")
            if not row.layers or set(row.layers) - set(self.experiment.backbone.layers):
                raise ValueError(f"{row.name!r} has other layers than the experiment")
        return self


class TrainedResult(ScoredResult):
    """The result of a command that trains one method."""

    methods: Annotated[list[MethodRecord], Field(min_length=1, max_length=1)]
    calibration: CalibrationRecord
    confusion: Confusion
    classes: Annotated[Texts, Field(min_length=1)]
    history: History

    @model_validator(mode="after")
    def _every_class_has_a_row(self) -> Self:
        if len(self.confusion) != len(self.classes):
            raise ValueError("the confusion matrix has not as many rows as there are classes")
        return self


class PointRecord(_Record):
    """A point of a label curve: see `pipeline.stages.label_curve.LabelCurvePoint`."""

    method: Literal["logistic", "logistic@best", "convnet-small"]
    per_class: Annotated[int, Field(ge=1, le=MOST)] | Literal["all"]
    classes: Annotated[int, Field(ge=1, le=MOST)]
    images: Annotated[int, Field(ge=1, le=MOST)]
    mean: Share
    interval: Interval | None
    seeds: Annotated[int, Field(ge=1, le=MOST)]


class LabelCurveResult(ResultRecord):
    """The result of `compare --label-curve`."""

    points: Annotated[list[PointRecord], Field(min_length=1)]
    answer: str
    protocol: str
    data: str
    backbone: str


class RepeatsRecord(_Record):
    """How many images repeat others."""

    sets: Count
    images: Count
    across_splits: Count
    conflicting_labels: Count
    near_ones: str


class InspectResult(ResultRecord):
    """The result of `inspect`."""

    images: Annotated[dict[str, Annotated[dict[str, Count], Field(min_length=1)]], Field(min_length=1)]
    repeats: RepeatsRecord
    files: Annotated[Texts, Field(min_length=1)]

    @model_validator(mode="after")
    def _its_splits_have_the_same_classes(self) -> Self:
        first, *others = self.images.values()
        if any(list(own) != list(first) for own in others):
            raise ValueError("the splits of images have different classes")
        return self


class AdviseResult(ResultRecord):
    """The result of `advise`."""

    recommendation: str
    reasons: Texts
    cannot_tell: Texts


RECORDS: Mapping[str, type[ResultRecord]] = {
    "compare": CompareResult,
    "probe": ProbeResult,
    "train-head": TrainedResult,
    "label-curve": LabelCurveResult,
    "inspect": InspectResult,
    "advise": AdviseResult,
    **dict.fromkeys(NETWORKS, TrainedResult),
}


def missing_keys(command: str, content: Mapping[str, Any]) -> list[str]:
    """Return the keys that the result of a command must have and this one lacks, its own before those of every result."""
    needed = [name for name, field in RECORDS[command].model_fields.items() if field.is_required()]
    return sorted((name for name in needed if name not in content), key=lambda name: name in ResultRecord.model_fields)


def require_result(command: str, content: Mapping[str, Any]) -> None:
    """Check the result of a command.

    Raises:
        ValueError: naming the first place that is missing or cannot be right.
    """
    try:
        found = RECORDS[command].model_validate(content)
    except ValidationError as error:
        raise ValueError(problem_of(error)) from None
    if found.command != command:
        raise ValueError(f"command: it is the result of {found.command!r}")
