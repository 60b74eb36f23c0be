"""What may stand in a result.json, which can come from anyone: types, bounds and what must fit together.

A key that is not named here may be there, so that a later version can add some. `model_json_schema()` of a record describes it.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from bottleneck_features.foreign import problem_of
from bottleneck_features.pipeline.figures import MEASURES
from bottleneck_features.pipeline.method_names import COMPARE_BACKBONES, NETWORKS, PROBES
from bottleneck_features.pipeline.result_rows import (
    MOST,
    CacheKey,
    CalibrationRecord,
    ComparedNetworkRecord,
    Confusion,
    Count,
    CurvesRecord,
    Duration,
    History,
    Interval,
    MethodRecord,
    Number,
    PairRecord,
    Rate,
    Record,
    ScoredSplit,
    SeedsRecord,
    Share,
    Texts,
)


class BackboneSettings(Record):
    """What is needed of an experiment's backbone."""

    layers: Texts


class HeadSettings(Record):
    """What is needed of an experiment's head."""

    validation_split: Annotated[float, Field(gt=0, lt=1)]


class ExperimentRecord(Record):
    """What is needed of the experiment that a result was made with."""

    name: str
    seed: Annotated[int, Field(ge=0, lt=1 << 32)]
    backbone: BackboneSettings
    head: HeadSettings


class ResultRecord(Record):
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


class KeptPredictions(Record):
    """Which file holds the predictions of a result."""

    file: str = ""
    sha256: str = ""


class ScoredResult(ResultRecord):
    """What a command has found that scores methods."""

    methods: Annotated[list[MethodRecord], Field(min_length=1)]
    scored_on: ScoredSplit
    pairs: list[PairRecord] = Field(default_factory=list)
    predictions: KeptPredictions = KeptPredictions()
    select: Literal["accuracy", "balanced-accuracy", "macro-f1", "log-loss", "auroc", "average-precision"] = "accuracy"
    select_reason: str = ""
    classes: Texts = Field(default_factory=list)
    curves: dict[str, CurvesRecord] = Field(default_factory=dict)
    seeds: SeedsRecord | None = None

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

    @model_validator(mode="after")
    def _what_decides_is_there(self) -> Self:
        if self.select == "accuracy":
            return self
        figure = self.select.replace("-", "_")
        needed = ("balanced_accuracy", *((figure,) if figure in MEASURES else ()))
        splits = ("validation",) if self.scored_on == "validation" else ("validation", self.scored_on)
        for row in self.methods:
            for name in needed:
                if any(getattr(row, name).get(split) is None for split in splits):
                    raise ValueError(f"{row.label!r} has no {name}, and {self.select} decides")
        return self


class DuplicatesRecord(Record):
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


class CompareBackbonesResult(ScoredResult):
    """The result of `compare --backbones`."""

    methods: Annotated[list[ComparedNetworkRecord], Field(min_length=2)]  # type: ignore[assignment]
    pairs: Annotated[list[PairRecord], Field(min_length=1)]
    asked: Annotated[Texts, Field(min_length=2)]
    best: str
    winner: str
    images_key: CacheKey
    data: str

    @model_validator(mode="after")
    def _every_two_are_compared(self) -> Self:
        names = [row.name for row in self.methods]
        found = sorted(sorted((pair.first, pair.second)) for pair in self.pairs)
        if found != sorted(sorted(pair) for pair in combinations(names, 2)):
            raise ValueError("pairs does not have every two of its networks once")
        if any(pair.p_adjusted is None for pair in self.pairs):
            raise ValueError("a pair has no adjusted p-value")
        if self.best not in names or self.winner not in ("", self.best):
            raise ValueError("its best network is none of those that were compared")
        return self


class PathRecord(Record):
    """The settings of a probe with what decides between them, on validation images: `k` of k-NN, else `l2`."""

    family: str
    layers: Texts
    l2: list[Rate] | None = None
    k: list[Count] | None = None
    criterion: list[Number]
    chosen: Rate

    @model_validator(mode="after")
    def _each_setting_has_a_value(self) -> Self:
        settings = self.k if self.family == "knn" else self.l2
        if settings is None or len(settings) != len(self.criterion) or self.chosen not in settings:
            raise ValueError(f"{self.family!r} has not one value for each of its settings")
        return self


class ProbeResult(ScoredResult):
    """The result of `probe`."""

    table: Annotated[list[MethodRecord], Field(min_length=1)]
    paths: list[PathRecord] = Field(default_factory=list)
    backbone: str
    confusion: dict[str, Confusion] = Field(default_factory=dict)
    calibration: CalibrationRecord | None = None

    @model_validator(mode="after")
    def _every_class_has_a_row(self) -> Self:
        if any(len(counts) != len(self.classes) for counts in self.confusion.values()):
            raise ValueError("a confusion matrix has not as many rows as there are classes")
        return self

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


class PointRecord(Record):
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
    scored_on: Literal["test", "validation"]
    data: str
    backbone: str


class RepeatsRecord(Record):
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


class BenchVariant(Record):
    """A variant of stage one that was measured."""

    name: str
    images_per_second: Annotated[list[Rate], Field(min_length=1)]
    ratio: Rate
    share_of_bare: Rate | None


class BenchResult(ResultRecord):
    """The result of `bench`."""

    variants: Annotated[list[BenchVariant], Field(min_length=1)]


class EvaluatedModel(Record):
    """The model that was measured."""

    name: str


class EvaluateResult(ResultRecord):
    """The result of `evaluate`."""

    model: EvaluatedModel
    classes: Annotated[Texts, Field(min_length=1)]
    confusion: Confusion
    curves: CurvesRecord | None

    @model_validator(mode="after")
    def _every_class_has_a_row(self) -> Self:
        if len(self.confusion) != len(self.classes):
            raise ValueError("the confusion matrix has not as many rows as there are classes")
        if self.curves and len(self.classes) != 2:
            raise ValueError("it has curves of two classes and another number of classes")
        return self


class AdviseResult(ResultRecord):
    """The result of `advise`."""

    recommendation: str
    reasons: Texts
    cannot_tell: Texts
    networks: str = ""


RECORDS: Mapping[str, type[ResultRecord]] = {
    "compare": CompareResult,
    COMPARE_BACKBONES: CompareBackbonesResult,
    "probe": ProbeResult,
    "train-head": TrainedResult,
    "label-curve": LabelCurveResult,
    "inspect": InspectResult,
    "advise": AdviseResult,
    "bench": BenchResult,
    "evaluate": EvaluateResult,
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
