"""The results of the commands that use a trained model, run the whole way, or report."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from bottleneck_features.pipeline.result_schema.answers import Confusion, CurvesRecord, ReliabilityRecord
from bottleneck_features.pipeline.result_schema.every import (
    FigureRecord,
    FileRecord,
    LooksRecord,
    NetworkBesideRecord,
    ResultRecord,
)
from bottleneck_features.pipeline.result_schema.kinds import (
    BySplit,
    Count,
    Criterion,
    Duration,
    Interval,
    IntervalBySplit,
    Number,
    Rate,
    Record,
    ScoredSplit,
    Share,
    Texts,
)
from bottleneck_features.pipeline.result_schema.methods import MethodRecord


class ModelRecord(Record):
    """A trained model, as its file describes it."""

    name: str = Field(description="Its name, as `--model` takes it.")
    path: str = Field(default="", description="Its file.")
    method: str = Field(default="", description="The method that it was trained by.")
    layers: Texts = Field(default=[], description="Backbone layers it sees.")
    backbone: str = Field(default="", description="Name of the network.")
    data: str = Field(default="", description="Title of the data it was trained on.")
    scored_on: str = Field(default="", description="Which images it was scored on when it was trained.")
    n: dict[str, Count] = Field(default={}, description="How many these were, by split.")
    accuracy: BySplit = Field(default={}, description="Share of right answers by split.")
    interval: IntervalBySplit = Field(default={}, description="Its ends at 95 % by split.")
    temperature: Annotated[float, Field(gt=0, lt=1e9)] = Field(
        default=1.0, description="What its scores are divided by."
    )
    threshold: Share | None = Field(
        default=None, description="Of two classes: the second is answered from this probability on."
    )


class ScoresRecord(Record):
    """All figures of a model on some images."""

    n: Count = Field(description="How many images.")
    accuracy: Share = Field(description="Share of right answers.")
    interval: Interval = Field(description="Its ends at 95 %; it counts groups, where images come in groups.")
    majority: Share = Field(description="Accuracy of always answering with the most frequent class.")
    worst_recall: Share = Field(description="The lowest recall of a class.")
    worst_class: Count = Field(description="Number of that class.")
    balanced_accuracy: Share = Field(description="Mean recall of the classes.")
    balanced_accuracy_interval: Interval = Field(description="Its ends at 95 %.")
    macro_f1: Share = Field(description="Mean F1 of the classes.")
    macro_f1_interval: Interval = Field(description="Its ends at 95 %.")
    auroc: Share | None = Field(default=None, description="Of two classes: area under the ROC curve.")
    auroc_interval: Interval | None = Field(default=None, description="Its ends at 95 %.")
    average_precision: Share | None = Field(
        default=None, description="Of two classes: average precision of the rarer one."
    )
    average_precision_interval: Interval | None = Field(default=None, description="Its ends at 95 %.")
    groups: Count | None = Field(
        default=None, description="Groups that the images come in; null where each is one of its own."
    )


class ClassRecord(Record):
    """How well one class is told from the others."""

    name: str = Field(description="Of the class.")
    n: Count = Field(description="Its images.")
    predicted: Count = Field(description="The images that were taken for it.")
    recall: FigureRecord | None = Field(description="Share of its images that were; null where it has none.")
    precision: Share | None = Field(description="Share of those taken for it that are of it; null where none were.")
    f1: Share | None = Field(description="The harmonic mean of both; null where it does not occur.")
    taken_for: str = Field(description="The class that its images were most often taken for; empty: all are right.")
    taken: Count = Field(description="How many were.")


class UnlikeRecord(Record):
    """Images unlike those that the model was trained on."""

    images: Count = Field(description="How many.")
    share: Share = Field(description="Of all images.")
    false_alarms: Share = Field(
        description="Share of images like those of training that are called unlike them by mistake."
    )


class TrainedOnRecord(Record):
    """Images that the model was trained on, or chosen by."""

    images: Count | None = Field(description="How many of the measured ones; null: not known.")
    figures_without: ScoresRecord | None = Field(
        description="The figures of the others; null where there are not both."
    )


class EvaluateResult(ResultRecord):
    """The result of `evaluate`."""

    model: ModelRecord = Field(description="The model that was measured.")
    data: str = Field(default="", description="Title of the data.")
    images: dict[str, Count] = Field(default={}, description="Images by split.")
    n: Count = Field(default=0, description="Images in all.")
    classes: Annotated[Texts, Field(min_length=1)] = Field(description="Names of the model's classes.")
    left_out: dict[str, Count] = Field(
        default={}, description="Images of classes that the model does not know, by class."
    )
    threshold: Share | None = Field(
        default=None, description="Of two classes: the second is answered from this probability on."
    )
    select: Criterion = Field(default="accuracy", description="The figure to look at first.")
    figures: ScoresRecord | None = Field(default=None, description="All figures.")
    calibration: ReliabilityRecord | None = Field(
        default=None, description="How well its confidence predicts accuracy."
    )
    per_class: list[ClassRecord] = Field(default=[], description="Each class.")
    confusion: Confusion = Field(description="Counts; rows are the true classes.")
    curves: CurvesRecord | None = Field(description="Of two classes: ROC and precision-recall curve; else null.")
    unlike: UnlikeRecord | None = Field(default=None, description="Images unlike those of training; null: not known.")
    groups: Count | None = Field(default=None, description="Groups that the images come in; null: none.")
    trained_on: TrainedOnRecord | None = Field(default=None, description="Images that the model was trained on.")
    test_looks: LooksRecord | None = Field(
        default=None, description="How often these test images were scored in this home."
    )
    predictions: FileRecord = Field(default=FileRecord(), description="The table of every answer.")
    files: Texts = Field(default=[], description="Paths of the files that were written.")

    @model_validator(mode="after")
    def _every_class_has_a_row(self) -> Self:
        if len(self.confusion) != len(self.classes):
            raise ValueError("the confusion matrix has not as many rows as there are classes")
        if self.curves and len(self.classes) != 2:
            raise ValueError("it has curves of two classes and another number of classes")
        return self


class AnswerRecord(Record):
    """A class with its probability."""

    label: str = Field(description="Name of the class.")
    probability: Share = Field(description="Its probability.")


class PredictionRecord(Record):
    """The prediction for one file."""

    file: str = Field(description="As it was named, or found in a folder.")
    label: str | None = Field(description="The class that is answered; null where the file cannot be used.")
    classes: list[AnswerRecord] = Field(description="The answered class, then the most likely others.")
    unlike: bool | None = Field(description="Whether the image is unlike those of training; null: not known.")
    distance: Rate | None = Field(
        description="From these, in parts of the distance from which it is unlike; null: not known."
    )
    error: str | None = Field(description="Why the file cannot be used; null where it can.")


class ComparedWithRecord(Record):
    """The training images that distances are measured from."""

    images: Count = Field(description="How many images.")
    groups: Count = Field(description="How many groups of them.")


class PredictResult(ResultRecord):
    """The result of `predict`."""

    model: ModelRecord = Field(description="The model.")
    threshold: Share | None = Field(description="Of two classes: the second is answered from this probability on.")
    false_alarms: Share = Field(description="Share of images like those of training that may be called unlike them.")
    compared_with: ComparedWithRecord | None = Field(
        description="What distances are measured from; null: whole networks have none."
    )
    files_found: Count = Field(description="Files in all.")
    resumed: Count = Field(description="Of them, predicted by a run that was interrupted.")
    classified: Count = Field(description="Files that could be used.")
    labels: dict[str, Count] = Field(description="Files by predicted class.")
    unlike: Count | None = Field(description="Files unlike those of training; null: not known.")
    out: str | None = Field(description="The table of predictions; null: they are below, or were printed.")
    predictions: list[PredictionRecord] = Field(
        default=[], description="One for each file, where no table was asked for."
    )


class ExportedRecord(Record):
    """A format that a model was written in."""

    format: str = Field(description="Such as `onnx`.")
    path: str | None = Field(description="The file; null where its predictions were wrong, so that it was removed.")
    largest_difference: Number | None = Field(
        description="Of a probability from the pipeline's; null: no finite number."
    )


class CheckedImagesRecord(Record):
    """The images that exported models were checked on."""

    split: str = Field(description="Their split.")
    n: Count = Field(description="How many.")
    limit: Number = Field(description="The largest difference of a probability that is allowed.")


class AgainstPipelineRecord(Record):
    """The exported model beside the pipeline as it runs."""

    engine: str = Field(description="Of the pipeline.")
    precision: str = Field(description="Of the pipeline.")
    largest_difference: Number = Field(description="Of a probability.")
    same_class: Count = Field(description="Images with the same answer.")


class ExportResult(ResultRecord):
    """The result of `export`."""

    model: ModelRecord = Field(description="The model.")
    classes: Texts = Field(description="Names of its classes.")
    to: str = Field(description="The folder.")
    exported: list[ExportedRecord] = Field(description="One for each format.")
    checked_images: CheckedImagesRecord = Field(description="What they were checked on.")
    against_pipeline: AgainstPipelineRecord = Field(description="The float32 model beside the pipeline's engine.")
    files: Texts = Field(description="Paths of the files that were written.")


class LargerNetworkRecord(Record):
    """What a larger network than the default one would cost."""

    backbone: str = Field(description="Its name.")
    download_mb: Number = Field(description="What is downloaded, in MB.")
    extraction_seconds: Duration | None = Field(description="About how long extraction takes here; null: not known.")


class RunResult(ResultRecord):
    """The result of `run`."""

    data: str = Field(description="Title of the data set.")
    name: str = Field(description="Of the experiment.")
    answer: str = Field(description="The verdict with its caveats, one text.")
    verdict: str = Field(description="What the network is worth on these images.")
    caveats: str = Field(description="What to keep in mind; empty: nothing.")
    methods: list[MethodRecord] = Field(description="Those that are compared, or the probes.")
    best: str = Field(description="Label of the one that the answer is of.")
    scored_on: ScoredSplit = Field(description="Which images they are compared on.")
    select: Criterion = Field(description="The criterion that decides between models.")
    skipped: dict[str, Duration | None] = Field(
        description="What did not fit into the time, with its estimated seconds."
    )
    larger: LargerNetworkRecord | None = Field(description="A larger network; null where one was chosen.")
    minutes: Duration = Field(description="The time for all that follows the extraction.")
    network: NetworkBesideRecord | None = Field(description="What is kept beside the model; null: nothing.")
    model: str = Field(description="File of the trained model.")
    report: str = Field(description="Path of the page.")
    cache: str = Field(description="Folder of the features.")
    files: Texts = Field(description="Paths of the page and its pictures.")


class ReportResult(ResultRecord):
    """The result of `report`."""

    data: str = Field(description="Title of the data set.")
    backbone: str = Field(description="Name of the network.")
    answer: str = Field(description="The verdict with its caveats, one text.")
    verdict: str = Field(description="What the network is worth on these images.")
    caveats: str = Field(description="What to keep in mind; empty: nothing.")
    best_method: str = Field(description="Title of the method that the answer is of.")
    shown: Texts = Field(description="Commands whose results are on the page.")
    missing: dict[str, str] = Field(description="What another command would add, by the command.")
    files: Texts = Field(description="Paths of the page and its pictures.")
