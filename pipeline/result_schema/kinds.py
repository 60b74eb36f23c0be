"""The kinds of values in a result.json, with their bounds."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

ROUNDING = 1e-6  # how far a share may be outside of 0..1
MOST = 10**12  # of anything that is counted


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
NumberInterval = Annotated[list[Number], Field(min_length=2, max_length=2), AfterValidator(_rising)]
DifferenceInterval = Annotated[
    list[Annotated[float, Field(ge=-2, le=2)]], Field(min_length=2, max_length=2), AfterValidator(_rising)
]
CacheKey = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
Texts = list[str]
ScoredSplit = Literal["validation", "test", "cross_validated"]  # the last is CROSS_VALIDATED
Criterion = Literal["accuracy", "balanced-accuracy", "macro-f1", "log-loss", "auroc", "average-precision"]
Measure = Literal["accuracy", "balanced-accuracy", "macro-f1", "auroc", "average-precision"]
BySplit = dict[str, Share | None]
IntervalBySplit = dict[str, Interval | None]
CountBySplit = dict[str, Count | None]


class Record(BaseModel):
    """A part of a result; keys that it does not name may be there, so that a later version can add some."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, protected_namespaces=())


class OpenRecord(Record):
    """A part of a result of which only what is checked is named here; the rest is described elsewhere."""

    model_config = ConfigDict(extra="allow")
