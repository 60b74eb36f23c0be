"""What may stand in the description of a trained model, which can come from anyone: types and bounds."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bottleneck_features.foreign import problem_of

LARGEST_SIDE = 1 << 14  # pixels
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=1 << 62)]
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class TrainedRecord(_Strict):
    """What is known of every trained model."""

    classes: Annotated[list[str], Field(min_length=2)]
    temperature: Annotated[float, Field(gt=0, lt=1e9)]
    layers: list[str]
    data: str
    backbone: str
    scored_on: str
    n: dict[str, Count]
    accuracy: dict[str, Share | None]
    interval: dict[str, tuple[Share, Share] | None]
    threshold: Share | None = None


class PixelIdentity(_Strict):
    """What is needed of the identity of the images that a model was trained on."""

    value_range: Annotated[dict[str, tuple[float, float]], Field(alias="dataset.value_range")] = {}
    bands: Annotated[list[Count], Field(alias="dataset.bands")] = []
    decoding: Annotated[str, Field(alias="input.decoding")] = ""


class NetworkRecord(TrainedRecord):
    """What is needed of the result that describes a trained network."""

    cache_identity: PixelIdentity
    cache_key: str
    experiment: dict[str, Any]


class FeatureIdentity(PixelIdentity):
    """What is needed of the identity of the features that a head was trained on."""

    engine: Annotated[str, Field(alias="compute.engine")]
    precision: Annotated[str, Field(alias="compute.precision")]
    batch_size: Annotated[int, Field(alias="compute.batch_size", ge=1, le=65_536)]
    extracted: Annotated[list[str], Field(alias="backbone.layers")]


class HeadRecord(TrainedRecord):
    """The recipe of a saved head."""

    method: str
    layers: Annotated[list[str], Field(min_length=1)]
    views: Annotated[list[Literal["identity", "hflip"]], Field(min_length=1)]
    hyperparameters: dict[str, float | int | str | bool | None]
    averages: Literal["scores", "probabilities"]
    image_shape: tuple[Side, Side, Literal[3]]
    cache_identity: FeatureIdentity
    cache_key: str
    experiment: dict[str, Any]

    @model_validator(mode="after")
    def _its_layers_are_extracted(self) -> Self:
        if missing := set(self.layers) - set(self.cache_identity.extracted):
            raise ValueError(f"the layers {sorted(missing)} are none of those of its features")
        return self


def require(record: type[_Strict], content: Mapping[str, Any]) -> None:
    """Check a description.

    Raises:
        ValueError: naming the first field that is missing or cannot be right.
    """
    try:
        record.model_validate_json(json.dumps(content))  # strict JSON takes a list for a tuple, strict Python does not
    except ValidationError as error:
        raise ValueError(problem_of(error)) from None
