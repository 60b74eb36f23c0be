"""The results of the commands that score methods."""

from itertools import combinations
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from bottleneck_features.pipeline.figures import MEASURES
from bottleneck_features.pipeline.method_names import PROBES
from bottleneck_features.pipeline.result_schema.answers import CalibrationRecord, Confusion, CurvesRecord, History
from bottleneck_features.pipeline.result_schema.every import (
    DuplicatesRecord,
    FileRecord,
    LooksRecord,
    NetworkBesideRecord,
    ResultRecord,
)
from bottleneck_features.pipeline.result_schema.kinds import (
    CacheKey,
    Count,
    Criterion,
    Number,
    Rate,
    Record,
    ScoredSplit,
    Share,
    Texts,
)
from bottleneck_features.pipeline.result_schema.methods import (
    ComparedNetworkRecord,
    MethodRecord,
    PairRecord,
    SeedsRecord,
)


class ScoredResult(ResultRecord):
    """What a command has found that scores methods."""

    data: str = Field(default="", description="Title of the data set.")
    classes: Texts = Field(default=[], description="Names of the classes, in the order of their numbers.")
    methods: Annotated[list[MethodRecord], Field(min_length=1)] = Field(description="One row for each method.")
    scored_on: ScoredSplit = Field(description="Which images the methods are compared on.")
    select: Criterion = Field(default="accuracy", description="The criterion that decides between models.")
    select_reason: str = Field(default="", description="Why this one, where it was left to the command.")
    folds: Count = Field(default=0, description="Folds of the cross-validation; 0: there was none.")
    repeats: Count = Field(default=0, description="Repeats of the cross-validation.")
    units: Count = Field(
        default=0, description="Groups or pictures that the images of the folds are of; each is in one fold only."
    )
    pairs: list[PairRecord] = Field(default=[], description="Every two methods, compared.")
    curves: dict[str, CurvesRecord] = Field(
        default={}, description="Of two classes: ROC and precision-recall curve by method."
    )
    seeds: SeedsRecord | None = Field(default=None, description="What `--seeds` adds.")
    duplicates: DuplicatesRecord | None = Field(
        default=None, description="Scored images that repeat one used for training."
    )
    predictions: FileRecord = Field(
        default=FileRecord(), description="The file of the predictions for each scored image."
    )
    test_looks: LooksRecord | None = Field(
        default=None, description="How often these test images were scored in this home."
    )
    files: Texts = Field(default=[], description="Paths of the other files that were written.")

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


class CompareResult(ScoredResult):
    """The result of `compare`."""

    pairs: Annotated[list[PairRecord], Field(min_length=1)] = Field(description="Every two methods, compared.")
    confusion: dict[str, Confusion] = Field(description="Counts by method; rows are the true classes.")
    histories: dict[str, History] = Field(description="Learning curves by method, one value for each epoch.")
    calibration: dict[str, CalibrationRecord] = Field(description="By method.")
    predictions: FileRecord = Field(description="The file of the predictions for each scored image.")
    classes: Annotated[Texts, Field(min_length=1)] = Field(
        description="Names of the classes, in the order of their numbers."
    )
    backbone: str = Field(description="Name of the network.")
    duplicates: DuplicatesRecord = Field(description="Scored images that repeat one used for training.")

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

    methods: Annotated[list[ComparedNetworkRecord], Field(min_length=2)] = Field(  # type: ignore[assignment]
        description="One row for each network: its best probe."
    )
    pairs: Annotated[list[PairRecord], Field(min_length=1)] = Field(description="Every two networks, compared.")
    asked: Annotated[Texts, Field(min_length=2)] = Field(description="The networks as they were asked for.")
    best: str = Field(description="The network that is first by what is compared.")
    winner: str = Field(description="The network that is better than all others; empty where it cannot be told.")
    images: Count = Field(default=0, description="Forward passes of this run.")
    images_key: CacheKey = Field(description="SHA-256 of the images and labels.")
    data: str = Field(description="Title of the data set.")

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

    family: str = Field(description="The probe.")
    layers: Texts = Field(description="The layers it sees.")
    l2: list[Rate] | None = Field(default=None, description="The L2 values that were tried.")
    k: list[Count] | None = Field(default=None, description="Of k-NN: the numbers of neighbours that were tried.")
    accuracy: list[Share] = Field(default=[], description="Validation accuracy of each.")
    criterion: list[Number] = Field(description="What decides between them, for each.")
    chosen: Rate = Field(description="The one that was chosen.")

    @model_validator(mode="after")
    def _each_setting_has_a_value(self) -> Self:
        settings = self.k if self.family == "knn" else self.l2
        if settings is None or len(settings) != len(self.criterion) or self.chosen not in settings:
            raise ValueError(f"{self.family!r} has not one value for each of its settings")
        return self


class ProbeResult(ScoredResult):
    """The result of `probe`."""

    table: Annotated[list[MethodRecord], Field(min_length=1)] = Field(
        description="Every probe on every layer, the best by validation images first."
    )
    paths: list[PathRecord] = Field(default=[], description="The settings that were tried.")
    backbone: str = Field(description="Name of the network.")
    confusion: dict[str, Confusion] = Field(default={}, description="Counts by method; rows are the true classes.")
    calibration: CalibrationRecord | None = Field(default=None, description="Of the probe that is kept.")
    test_scorings: Count = Field(default=0, description="How many methods this command scored on test images.")
    network: NetworkBesideRecord | None = Field(
        default=None, description="What is kept beside the heads; null: nothing."
    )

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

    methods: Annotated[list[MethodRecord], Field(min_length=1, max_length=1)] = Field(
        description="The method, one row."
    )
    calibration: CalibrationRecord = Field(description="Before and after temperature scaling.")
    confusion: Confusion = Field(description="Counts; rows are the true classes.")
    classes: Annotated[Texts, Field(min_length=1)] = Field(
        description="Names of the classes, in the order of their numbers."
    )
    history: History = Field(description="Learning curves, one value for each epoch.")
    backbone: str = Field(default="", description="Name of the network.")
    best_epoch: Count = Field(default=0, description="The epoch whose weights are kept, counted from 1.")

    @model_validator(mode="after")
    def _every_class_has_a_row(self) -> Self:
        if len(self.confusion) != len(self.classes):
            raise ValueError("the confusion matrix has not as many rows as there are classes")
        return self


class TrainHeadResult(TrainedResult):
    """The result of `train-head`."""

    network: NetworkBesideRecord | None = Field(
        default=None, description="What is kept beside the head; null: nothing."
    )


class FineTuneResult(TrainedResult):
    """The result of `fine-tune`, in a folder of the name of its `--method`."""

    pixels: dict[str, Any] = Field(default={}, description="How images were decoded.")
    model_sha256: str = Field(default="", description="SHA-256 of model.keras.")
