"""What results say of a method's answers: confusion, calibration, curves of two classes, and how training went."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from bottleneck_features.pipeline.result_schema.kinds import (
    Count,
    Interval,
    Number,
    NumberInterval,
    Rate,
    Record,
    Share,
)

CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")


class BinsRecord(Record):
    """The bins of a reliability diagram; an empty one has neither confidence nor accuracy."""

    count: Annotated[list[Count], Field(min_length=1)] = Field(description="Images in each bin.")
    confidence: list[Share | None] = Field(description="Mean confidence of each bin; null where it is empty.")
    accuracy: list[Share | None] = Field(description="Share of right answers of each bin; null where it is empty.")

    @model_validator(mode="after")
    def _they_agree(self) -> Self:
        if not len(self.count) == len(self.confidence) == len(self.accuracy):
            raise ValueError("count, confidence and accuracy differ in length")
        if not sum(self.count):
            raise ValueError("no image is counted")
        return self


class ReliabilityRecord(Record):
    """How well confidence predicts accuracy."""

    expected_calibration_error: Share = Field(description="Mean gap between confidence and accuracy over the bins.")
    interval: Interval = Field(description="The error's ends at 95 %.")
    noise_floor: Share = Field(description="Mean of the error of a perfectly calibrated model on as many images.")
    noise_limit: Share = Field(description="What that error exceeds in 5 % of draws: up to it nothing is shown.")
    equal_mass_calibration_error: Share | None = Field(
        default=None, description="The same error over bins of about as many images each."
    )
    log_loss: Rate | None = Field(default=None, description="Mean negative logarithm of the true class' probability.")
    bins: BinsRecord = Field(description="The bins of the reliability diagram.")


class LogLossChangeRecord(Record):
    """What temperature scaling does to the log loss."""

    value: Number = Field(description="Log loss after less log loss before; below 0: better.")
    interval: NumberInterval = Field(description="Its ends at 95 %.")
    p_value: Share = Field(description="Two-sided p-value of no change.")


class CalibrationRecord(Record):
    """Reliability before and after temperature scaling."""

    bins: str = Field(description="How the bins were made.")
    temperature: Annotated[float, Field(gt=0, lt=1e9)] = Field(
        description="Above 1 the classifier was overconfident; exactly 1 where no need of one is shown."
    )
    fitted_images: Count = Field(description="Images that the temperature was fitted on.")
    fitted_on: Literal["validation", "cross_validated"] = Field(description="Which images those are.")
    held_out: bool = Field(
        description="Whether these are other images than the scored ones; else `after` is optimistic."
    )
    before: ReliabilityRecord | None = Field(
        description="At temperature 1; null where the method's scores are no probabilities."
    )
    after: ReliabilityRecord = Field(description="At the temperature.")
    log_loss_change: LogLossChangeRecord | None = Field(
        description="Of the log loss by the temperature; null: not known."
    )


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
    """The ROC and the precision-recall curve of one of two classes, at most 200 points each."""

    positive: Annotated[int, Field(ge=0, le=1)] = Field(description="Number of the class that the curves are of.")
    false_positive_rate: list[Share] = Field(description="Of the ROC curve.")
    true_positive_rate: list[Share] = Field(description="Of the ROC curve.")
    recall: list[Share] = Field(description="Of the precision-recall curve.")
    precision: list[Share] = Field(description="Of the precision-recall curve.")

    @model_validator(mode="after")
    def _they_can_be_drawn(self) -> Self:
        if not len(self.false_positive_rate) == len(self.true_positive_rate) > 0:
            raise ValueError("the rates of the ROC curve differ in length")
        if not len(self.recall) == len(self.precision) > 0:
            raise ValueError("recall and precision differ in length")
        return self
