"""The settings of one experiment, as frozen dataclasses with their bounds."""

import dataclasses
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, FiniteFloat, model_validator
from pydantic.dataclasses import dataclass

from bottleneck_features.pipeline.method_names import parse_method

_CONFIG = ConfigDict(extra="forbid")
LONGEST_VALUE = 80  # characters of a received value in a message
Images = Annotated[int, Field(ge=0, le=2**31 - 1)]
Pixels = Annotated[int, Field(ge=1, le=2**31 - 1)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
Batch = Annotated[int, Field(ge=1, le=65_536)]
Band = Annotated[int, Field(ge=1, le=65_535)]
Rate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=4096)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Side = Annotated[int, Field(ge=8, le=2048)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
FILE_SOURCES = ("folder", "csv", "tar", "parquet")
DEFAULT_TEST_FRACTION = 0.2
MISSING_LABELS = ("NA", "N/A", "n/a", "<NA>", "#N/A", "null", "NULL", "nan", "NaN", "NAN")
_FOR_ALL_FILES = (  # `value_range` and `bands` are for the files of `predict` too, whatever a model was trained on
    "test_fraction", "split_seed", "group", "on_error", "error_limit", "max_pixels", "common_size", "fold_case",
)  # fmt: skip
_ONLY_FOR = {
    "path": ("cifar10", *FILE_SOURCES),
    **dict.fromkeys(_FOR_ALL_FILES, FILE_SOURCES),
    **dict.fromkeys(("splits", "class_level"), ("folder", "tar")),
    "follow_links": ("folder", "csv"),
    **dict.fromkeys(("image_column", "label_column"), ("csv", "tar", "parquet")),
    **dict.fromkeys(("split_column", "missing_labels"), ("csv", "parquet")),
    **dict.fromkeys(("image_root", "header", "label_columns"), ("csv",)),
    "id_column": ("parquet",),
}


def shown(value: Any) -> str:
    """Return a received value as messages show it: the beginning of a long one."""
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(text):,} characters)"


@dataclass(frozen=True, config=_CONFIG)
class SplitFolders:
    """The folders of the splits, below `dataset.path`; all empty: they are recognised by their names."""

    train: Text = ""
    validation: Text = ""
    test: Text = ""

    @model_validator(mode="after")
    def _there_is_a_training_split(self) -> "SplitFolders":
        if (self.validation or self.test) and not self.train:
            raise ValueError("give splits.train too: the folder of the training images")
        return self


@dataclass(frozen=True, config=_CONFIG)
class DatasetSettings:
    """Where the images come from; `limit` is the number of images per split (0 = all), drawn stratified.

    For image files (`folder`, `csv`, `tar`, `parquet`): `test_fraction` is the share drawn as test split (0 = none; not given:
    0.2 where the data have neither a test nor a validation split, and none where that is under 100 images); another
    `split_seed` draws another one; `group` keeps images together that must not be parted, a regular expression on the path or a
    column; `on_error` and `error_limit` say what becomes of files that cannot be used; `max_pixels` is the largest width x
    height. With `common_size` (height, width) every image is first brought to that size, so that none has more detail than
    another. `value_range` is the lowest and highest value of images of more than 8 bits (empty: as found in the first scan);
    `bands` are the three that are red, green and blue, counted from 1. `small_classes` says what becomes of classes of fewer
    than two training images, `fold_case` joins labels that differ only in case.

    `corrections` is a table of ids and their right labels, or `drop`: it is applied to what was read, before a test split is
    drawn.

    Folders and archives: `splits` names the folders of the splits, `class_level` how deep below the root or the split the
    folders of classes are (0: recognised). Tables: `missing_labels` are the cells that say that there is no label (an empty
    one always does), `label_columns` the 0/1 columns of classes, and without a `header` columns are numbers, from 1.
    """

    source: Literal["cifar10", "photo-patches", "digits", "folder", "csv", "tar", "parquet"]
    path: Text = ""
    limit: Images = 0
    corrections: Text = ""
    test_fraction: Share | None = None
    split_seed: Seed = 0
    group: Text = ""
    on_error: Literal["quarantine", "fail"] = "quarantine"
    error_limit: Annotated[float, Field(ge=0, le=1)] = 0.05
    max_pixels: Pixels = 89_478_485
    common_size: tuple[Side, ...] = ()
    value_range: tuple[FiniteFloat, ...] = ()
    bands: tuple[Band, ...] = ()
    splits: SplitFolders = SplitFolders()
    class_level: Annotated[int, Field(ge=0, le=9)] = 0
    follow_links: bool = True
    fold_case: bool = False
    small_classes: Literal["leave-out", "fail"] = "leave-out"
    missing_labels: tuple[str, ...] = MISSING_LABELS
    header: bool = True
    image_column: Text = ""
    label_column: Text = ""
    label_columns: tuple[str, ...] = ()
    split_column: Text = ""
    id_column: Text = ""
    image_root: Text = ""

    @model_validator(mode="after")
    def _common_size_is_a_height_and_a_width(self) -> "DatasetSettings":
        if len(self.common_size) not in (0, 2):
            raise ValueError(
                f"common_size takes a height and a width, such as 100,100. Received: {shown(self.common_size)}"
            )
        return self

    @model_validator(mode="after")
    def _bands_and_values_can_be(self) -> "DatasetSettings":
        if len(self.bands) not in (0, 3):
            raise ValueError(f"bands takes three numbers from 1 on, such as 3,2,1. Received: {shown(self.bands)}")
        if self.value_range and not (len(self.value_range) == 2 and self.value_range[0] < self.value_range[1]):
            raise ValueError(
                f"value_range takes the lowest and the highest value, such as 0,4095. Received: {shown(self.value_range)}"
            )
        return self

    @model_validator(mode="after")
    def _keys_belong_to_the_source(self) -> "DatasetSettings":
        defaults = {field.name: field.default for field in dataclasses.fields(type(self))}
        for key, sources in _ONLY_FOR.items():
            if self.source not in sources and getattr(self, key) != defaults[key]:
                raise ValueError(
                    f"{key} is for source {' or '.join(sources)}, not for {self.source}: leave it out, or change "
                    f"dataset.source. Received: {shown(getattr(self, key))}"
                )
        return self


@dataclass(frozen=True, config=_CONFIG)
class InputSettings:
    """How an image becomes the backbone's input: `size` is (height, width) in pixels."""

    size: tuple[Side, Side] = (224, 224)
    resize: Literal["bilinear", "nearest", "bicubic", "area", "lanczos3"] = "bilinear"
    antialias: bool = True
    views: Annotated[tuple[Literal["identity", "hflip"], ...], Field(min_length=1)] = ("identity",)

    @model_validator(mode="after")
    def _views_are_distinct(self) -> "InputSettings":
        if len(set(self.views)) < len(self.views):
            raise ValueError("the same view is named twice")
        return self


@dataclass(frozen=True, config=_CONFIG)
class BackboneSettings:
    """The frozen network: a registered name or a .keras file, its weights, and the layers to keep."""

    name: Text
    layers: Annotated[tuple[Text, ...], Field(min_length=1, max_length=1000)]
    weights: Text = "imagenet"

    @model_validator(mode="after")
    def _layers_are_distinct(self) -> "BackboneSettings":
        if len(set(self.layers)) < len(self.layers):
            raise ValueError("the same layer is named twice")
        return self


@dataclass(frozen=True, config=_CONFIG)
class FeatureSettings:
    """What is kept of each layer: `pooling` is one for all layers or one for each.

    `shard_size` is in images; 0 chooses it by the backbone's cost, so that a kill costs at most about half a minute.
    `store` is the URL of an object store that caches are published in and fetched from, such as `s3://bucket/prefix`.
    """

    pooling: Annotated[tuple[Literal["avg", "max", "none"], ...], Field(min_length=1)] = ("avg",)
    dtype: Literal["float16", "float32"] = "float16"
    compression: Literal["none", "blosc2"] = "none"
    shard_size: Images = 0
    store: Text = ""

    @model_validator(mode="after")
    def _the_store_is_a_url(self) -> "FeatureSettings":
        if self.store and "://" not in self.store:
            raise ValueError(
                f"store must be a URL such as s3://bucket/prefix; a folder is --home. Received: {shown(self.store)}"
            )
        return self


@dataclass(frozen=True, config=_CONFIG)
class ComputeSettings:
    """What runs the backbone; `auto` picks the fastest that keeps the accuracy. `calibration` images serve int8."""

    engine: Literal["auto", "tensorflow", "openvino"] = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16", "int8"] = "auto"
    batch_size: Batch = 32
    calibration: Batch = 64


@dataclass(frozen=True, config=_CONFIG)
class ScoreSettings:
    """What decides between models, and how much images of each class count.

    `select` is what searches, the choice of an epoch, `advise` and `compare` decide by; `auto` is balanced accuracy where the
    rarest class has less than half of the classes' mean share (of two classes: under 25 %), else accuracy. With
    `balanced-accuracy`, `macro-f1`, `auroc` and `average-precision` two classes are told apart at a threshold that is chosen
    on validation images. `class_weight` is for `head`, `logistic`, `ridge` and the networks: `balanced` makes every class
    count the same, a table gives weights by the names of classes (others count 1).
    """

    select: Literal["auto", "accuracy", "balanced-accuracy", "macro-f1", "log-loss", "auroc", "average-precision"] = (
        "auto"
    )
    class_weight: Literal["none", "balanced"] | dict[Text, Rate] = "none"


@dataclass(frozen=True, config=_CONFIG)
class HeadSettings:
    """The walk-through's head: Dropout and a softmax layer trained with Adam, best epoch by validation loss kept."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3
    epochs: Epochs = 10
    batch_size: Batch = 32
    learning_rate: Rate = 1e-3
    validation_split: Fraction = 0.2


@dataclass(frozen=True, config=_CONFIG)
class ConvnetSettings:
    """The ConvNets trained from scratch."""

    epochs: Epochs = 15
    batch_size: Batch = 128
    learning_rate: Rate = 1e-3
    flip: bool = True


@dataclass(frozen=True, config=_CONFIG)
class CompareSettings:
    """Which methods `compare` trains and sets against one another.

    `head`, `logistic`, `ridge` and `knn` take the last of `backbone.layers`, or those that are named: `logistic@A+B`.
    """

    methods: Annotated[tuple[Text, ...], Field(min_length=2, max_length=100)] = ("head", "best-probe", "convnet-small")


@dataclass(frozen=True, config=_CONFIG)
class FineTuneSettings:
    """The training of the whole network.

    `start` is what the new last layer starts from: a linear probe on the cached features, or small random numbers.
    `from_layer` is a layer's name or the beginning of it: layers before it keep their weights ("" = all are trained).
    `learning_rate` (Adam) is that of `fine-tune`, `fresh_learning_rate` that of `from-pretrained` and `from-scratch`, the
    walk-through's. Both fall to a tenth every `drop_every` epochs (0 = never); training ends after `patience`
    epochs without a lower validation loss. Random crops have at least the share `crop_area` of an image. `precision` is
    what the backbone computes in while it is trained (mixed precision: weights stay in float32); the trained network
    computes in float32.
    """

    start: Literal["probe", "fresh"] = "probe"
    from_layer: Text = ""
    epochs: Epochs = 10
    batch_size: Batch = 16
    learning_rate: Rate = 1e-4
    fresh_learning_rate: Rate = 1e-3
    drop_every: Annotated[int, Field(ge=0, le=100_000)] = 7
    patience: Epochs = 5
    crop_area: Annotated[float, Field(gt=0, le=1)] = 0.25
    flip: bool = True
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"


@dataclass(frozen=True, config=_CONFIG)
class Experiment:
    """Everything that decides an experiment's numbers.

    Sections are the tables of the TOML file; unknown keys and wrong types are refused by `experiment_file.load_experiment`.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    dataset: DatasetSettings
    backbone: BackboneSettings
    description: Text = ""
    seed: Seed = 0
    input: InputSettings = dataclasses.field(default_factory=InputSettings)
    features: FeatureSettings = dataclasses.field(default_factory=FeatureSettings)
    compute: ComputeSettings = dataclasses.field(default_factory=ComputeSettings)
    score: ScoreSettings = dataclasses.field(default_factory=ScoreSettings)
    head: HeadSettings = dataclasses.field(default_factory=HeadSettings)
    convnet: ConvnetSettings = dataclasses.field(default_factory=ConvnetSettings)
    finetune: FineTuneSettings = dataclasses.field(default_factory=FineTuneSettings)
    compare: CompareSettings = dataclasses.field(default_factory=CompareSettings)

    @model_validator(mode="after")
    def _there_are_such_methods(self) -> "Experiment":
        try:
            wanted = [parse_method(text, self.backbone.layers) for text in self.compare.methods]
        except ValueError as error:
            raise ValueError(f"compare.methods: {error}") from None
        if len(set(wanted)) < len(wanted):
            raise ValueError("compare.methods: the same method is named twice")
        return self

    @model_validator(mode="after")
    def _one_pooling_for_all_or_each(self) -> "Experiment":
        if len(self.features.pooling) not in (1, len(self.backbone.layers)):
            raise ValueError(
                f"features.pooling names {len(self.features.pooling)} poolings for {len(self.backbone.layers)} layers: "
                "give one for all, or one for each"
            )
        return self


def with_random_weights(experiment: Experiment) -> Experiment:
    """Return the experiment of a network that starts from random weights."""
    return dataclasses.replace(experiment, backbone=dataclasses.replace(experiment.backbone, weights="random"))
