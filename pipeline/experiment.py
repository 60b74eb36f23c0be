"""The settings of one experiment, as frozen dataclasses with their bounds; what a setting means stands beside it."""

import dataclasses
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.method_names import METHODS, PROBES, parse_method
from bottleneck_features.pipeline.setting_kinds import (
    CONFIG,
    Batch,
    Epochs,
    Fraction,
    Images,
    Number,
    Rate,
    Seed,
    Side,
    Text,
    shown,
)
from bottleneck_features.pipeline.settings_card import settings_card


@dataclass(frozen=True, config=CONFIG)
class InputSettings:
    """How an image becomes the backbone's input."""

    size: Annotated[tuple[Side, Side], Field(description="Height and width, in pixels.")] = (224, 224)
    fit: Annotated[
        Literal["auto", "stretch", "crop", "pad"],
        Field(
            description="How images of another aspect get this size. `crop`: the shorter side becomes size / crop_share, and the "
            "middle is taken; `pad`: the whole image, black beside it; `stretch`: the whole image, its aspect is lost. `auto`: "
            "image files by what the network's own files state (preprocessor_config.json and the like), all others by stretch."
        ),
    ] = "auto"
    crop_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Where images are cropped, the share of the resized shorter side that is kept; 0: the one that the "
            "network was published with, such as 0.875, 224 of 256 pixels.",
        ),
    ] = 0.0
    resize: Annotated[
        Literal["bilinear", "nearest", "bicubic", "area", "lanczos3"], Field(description="The kernel of resizing.")
    ] = "bilinear"
    antialias: Annotated[bool, Field(description="Whether the kernel widens when an image shrinks.")] = True
    views: Annotated[
        tuple[Literal["identity", "hflip"], ...],
        Field(min_length=1, description="Features are kept of the image as it is, of its mirror image, or of both."),
    ] = ("identity",)

    @model_validator(mode="after")
    def _views_are_distinct(self) -> "InputSettings":
        if len(set(self.views)) < len(self.views):
            raise ValueError("the same view is named twice")
        return self


Three = Annotated[tuple[Number, Number, Number], Field(description="Of red, green and blue.")]


@dataclass(frozen=True, config=CONFIG)
class PreprocessingSettings:
    """What a network wants of RGB 0..255: `(x · scale − mean) / std`."""

    mean: Three
    std: Annotated[tuple[Rate, Rate, Rate], Field(description="Of red, green and blue.")]
    scale: Annotated[float, Field(gt=0, le=1000, description="What 0..255 is multiplied by first.")] = 1 / 255


@dataclass(frozen=True, config=CONFIG)
class BackboneSettings:
    """The frozen network."""

    name: Annotated[
        Text,
        Field(
            description="A registered name, such as efficientnet-lite0; a KerasHub preset, such as dinov2_small; "
            "hf://organisation/model; kaggle://…; the path of a folder with config.json, or of a model file."
        ),
    ]
    layers: Annotated[
        tuple[Text, ...],
        Field(
            max_length=1000,
            description="The layers whose features are kept, the earliest first; empty: the network's own last feature.",
        ),
    ] = ()
    weights: Annotated[
        Text, Field(description="`imagenet` (those that the network comes with), `random`, or the path of a file.")
    ] = "imagenet"
    preprocessing: Annotated[
        Literal["auto", "tf", "torch", "caffe", "none"] | PreprocessingSettings,
        Field(
            description="What the network wants of RGB 0..255, for files that do not say it: `tf` (-1..1), `torch` (0..1, then "
            "ImageNet's mean and standard deviation), `caffe` (BGR minus its mean), `none` (0..255), or "
            "{mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5]}; `auto`: what its configuration says."
        ),
    ] = "auto"

    @model_validator(mode="after")
    def _layers_are_distinct(self) -> "BackboneSettings":
        if len(set(self.layers)) < len(self.layers):
            raise ValueError("the same layer is named twice")
        return self


@dataclass(frozen=True, config=CONFIG)
class FeatureSettings:
    """What is kept of each layer, and where."""

    pooling: Annotated[
        tuple[Literal["auto", "avg", "max", "none", "cls", "patches", "cls+patches", "pooler"], ...],
        Field(
            min_length=1,
            description="What is read of a layer, one for all or one for each: the mean or the maximum of a map, or all of it "
            "(`none`); of a transformer's tokens the class token (`cls`), the mean of the patches, both side by side, or its "
            "pooler's vector. `auto`: the class token after the last norm, the pooler where there is one, or the mean.",
        ),
    ] = ("auto",)
    dtype: Annotated[Literal["float16", "float32"], Field(description="The numbers that are kept.")] = "float16"
    compression: Annotated[
        Literal["none", "blosc2"], Field(description="blosc2 makes caches smaller; they are not memory-mapped then.")
    ] = "none"
    shard_size: Annotated[
        Images,
        Field(
            description="Images per shard; 0: by the backbone's cost, so that a kill costs at most about half a minute."
        ),
    ] = 0
    store: Annotated[
        Text,
        Field(
            description="The URL of an object store that caches are published in and fetched from: s3://bucket/prefix."
        ),
    ] = ""

    @model_validator(mode="after")
    def _the_store_is_a_url(self) -> "FeatureSettings":
        if self.store and "://" not in self.store:
            raise ValueError(
                f"store must be a URL such as s3://bucket/prefix; a folder is --home. Received: {shown(self.store)}"
            )
        return self


@dataclass(frozen=True, config=CONFIG)
class ComputeSettings:
    """What runs the backbone."""

    engine: Annotated[
        Literal["auto", "tensorflow", "openvino"], Field(description="`auto`: the fastest that keeps the accuracy.")
    ] = "auto"
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16", "int8"],
        Field(description="What it computes in; `auto`: the fastest that keeps the accuracy."),
    ] = "auto"
    batch_size: Annotated[Batch, Field(description="Images per forward pass.")] = 32
    calibration: Annotated[Batch, Field(description="Training images that int8 is calibrated on.")] = 64


@dataclass(frozen=True, config=CONFIG)
class ScoreSettings:
    """What decides between models, and how much images of each class count."""

    select: Annotated[
        Literal["auto", "accuracy", "balanced-accuracy", "macro-f1", "log-loss", "auroc", "average-precision"],
        Field(
            description="What searches, the choice of an epoch, `advise` and `compare` decide by. `auto`: balanced accuracy "
            "where the rarest class has less than half of the classes' mean share (of two classes: under 25 %), else accuracy. "
            "With balanced-accuracy, macro-f1, auroc and average-precision two classes are told apart at a threshold that is "
            "chosen on validation images."
        ),
    ] = "auto"
    class_weight: Annotated[
        Literal["none", "balanced"] | dict[Text, Rate],
        Field(
            description="For head, logistic, ridge and the networks. `balanced`: every class counts the same; a table: weights "
            "by the names of classes (others count 1)."
        ),
    ] = "none"


@dataclass(frozen=True, config=CONFIG)
class HeadSettings:
    """The walk-through's head: Dropout and a softmax layer trained with Adam, the best epoch on validation images kept."""

    dropout: Annotated[float, Field(ge=0, lt=1, description="The share of features that is dropped in training.")] = 0.3
    epochs: Annotated[Epochs, Field(description="Passes through the training images.")] = 10
    batch_size: Annotated[Batch, Field(description="Images per step.")] = 32
    learning_rate: Annotated[Rate, Field(description="Of Adam.")] = 1e-3
    validation_split: Annotated[
        Fraction,
        Field(
            description="The share of training images that validates, of every method, where the data bring no such split."
        ),
    ] = 0.2


@dataclass(frozen=True, config=CONFIG)
class ConvnetSettings:
    """The ConvNets trained from scratch."""

    epochs: Annotated[Epochs, Field(description="Passes through the training images.")] = 15
    batch_size: Annotated[Batch, Field(description="Images per step.")] = 128
    learning_rate: Annotated[Rate, Field(description="Of Adam.")] = 1e-3
    flip: Annotated[bool, Field(description="Whether images are mirrored at random.")] = True


@dataclass(frozen=True, config=CONFIG)
class CompareSettings:
    """Which methods `compare` trains and sets against one another."""

    methods: Annotated[
        tuple[Text, ...],
        Field(
            min_length=2,
            max_length=100,
            description=f"Some of {', '.join(METHODS)}. {', '.join(PROBES)} take the last of backbone.layers, or those that are "
            "named: logistic@A+B.",
        ),
    ] = ("head", "best-probe", "convnet-small")


@dataclass(frozen=True, config=CONFIG)
class FineTuneSettings:
    """The training of the whole network: `fine-tune`, `from-pretrained` and `from-scratch`."""

    start: Annotated[
        Literal["probe", "fresh"],
        Field(
            description="What the new last layer starts from: a linear probe on the cached features, or small random numbers."
        ),
    ] = "probe"
    from_layer: Annotated[
        Text,
        Field(
            description="A layer's name, or the beginning of it: layers before it keep their weights; empty: all are trained."
        ),
    ] = ""
    epochs: Annotated[Epochs, Field(description="Passes through the training images, at most.")] = 10
    batch_size: Annotated[Batch, Field(description="Images per step.")] = 16
    learning_rate: Annotated[Rate, Field(description="Of Adam, in `fine-tune`.")] = 1e-4
    fresh_learning_rate: Annotated[
        Rate, Field(description="Of Adam, in `from-pretrained` and `from-scratch`: the walk-through's.")
    ] = 1e-3
    drop_every: Annotated[
        int, Field(ge=0, le=100_000, description="Epochs after which the learning rate falls to a tenth; 0 = never.")
    ] = 7
    patience: Annotated[
        Epochs,
        Field(
            description="Epochs without a better figure of validation images (score.select) after which training ends."
        ),
    ] = 5
    crop_area: Annotated[
        float, Field(gt=0, le=1, description="Random crops have at least this share of an image; 1 = no crops.")
    ] = 0.25
    flip: Annotated[bool, Field(description="Whether images are mirrored at random.")] = True
    dropout: Annotated[float, Field(ge=0, lt=1, description="The share of features that is dropped in training.")] = 0.0
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Field(
            description="What the backbone computes in while it is trained (mixed precision: weights stay in float32); the "
            "trained network computes in float32."
        ),
    ] = "auto"


@dataclass(frozen=True, config=CONFIG)
class Experiment:
    """Everything that decides an experiment's numbers.

    Sections are the tables of the TOML file; unknown keys and wrong types are refused by `load_experiment`.

    Raises:
        pydantic.ValidationError: made directly, or changed by `dataclasses.replace`, with a setting that is missing, unknown or
            out of its bounds. It is a ValueError, and no BottleneckError.
    """

    name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
            max_length=100,
            description="What its results and caches are called: letters, digits, `.`, `_` and `-`.",
        ),
    ]
    dataset: DatasetSettings
    backbone: BackboneSettings
    description: Annotated[Text, Field(description="One line for `bottleneck experiments`.")] = ""
    seed: Annotated[
        Seed, Field(description="Of the validation split, of initial weights and of every order that is drawn.")
    ] = 0
    input: InputSettings = dataclasses.field(default_factory=InputSettings)
    features: FeatureSettings = dataclasses.field(default_factory=FeatureSettings)
    compute: ComputeSettings = dataclasses.field(default_factory=ComputeSettings)
    score: ScoreSettings = dataclasses.field(default_factory=ScoreSettings)
    head: HeadSettings = dataclasses.field(default_factory=HeadSettings)
    convnet: ConvnetSettings = dataclasses.field(default_factory=ConvnetSettings)
    finetune: FineTuneSettings = dataclasses.field(default_factory=FineTuneSettings)
    compare: CompareSettings = dataclasses.field(default_factory=CompareSettings)

    def _repr_html_(self) -> str:
        """Return the card that notebooks show."""
        return settings_card(self)

    @model_validator(mode="after")
    def _there_are_such_methods(self) -> "Experiment":
        try:
            wanted = [parse_method(text, self.backbone.layers or None) for text in self.compare.methods]
        except ValueError as error:
            raise ValueError(f"compare.methods: {error}") from None
        if len(set(wanted)) < len(wanted):
            raise ValueError("compare.methods: the same method is named twice")
        return self

    @model_validator(mode="after")
    def _one_pooling_for_all_or_each(self) -> "Experiment":
        if len(self.features.pooling) not in (1, len(self.backbone.layers) or 1):
            raise ValueError(
                f"features.pooling names {len(self.features.pooling)} poolings for {len(self.backbone.layers) or 1} layers: "
                "give one for all, or one for each"
            )
        return self


def with_random_weights(experiment: Experiment) -> Experiment:
    """Return the experiment of a network that starts from random weights."""
    return dataclasses.replace(experiment, backbone=dataclasses.replace(experiment.backbone, weights="random"))
