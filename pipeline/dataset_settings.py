"""The settings of the data, as frozen dataclasses; what a setting means stands beside it."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, FiniteFloat, model_validator
from pydantic.dataclasses import dataclass

from bottleneck_features.pipeline.setting_kinds import CONFIG, Band, Images, Pixels, Seed, Share, Side, Text, shown

FILE_SOURCES = ("folder", "csv", "tar", "parquet")
DEFAULT_TEST_FRACTION = 0.2
MISSING_LABELS = ("NA", "N/A", "n/a", "<NA>", "#N/A", "null", "NULL", "nan", "NaN", "NAN")
_FOR_ALL_FILES = (  # `value_range` and `bands` are for the files of `predict` too, whatever a model was trained on
    "group", "on_error", "error_limit", "max_pixels", "common_size", "fold_case",
)  # fmt: skip
ONLY_FOR = {  # the sources that a key is for; those that are not here are for all
    "path": ("cifar10", *FILE_SOURCES, "npz"),
    **dict.fromkeys(("test_fraction", "split_seed"), (*FILE_SOURCES, "npz")),
    **dict.fromkeys(_FOR_ALL_FILES, FILE_SOURCES),
    **dict.fromkeys(("splits", "class_level"), ("folder", "tar")),
    "follow_links": ("folder", "csv"),
    **dict.fromkeys(("image_column", "label_column"), ("csv", "tar", "parquet")),
    **dict.fromkeys(("split_column", "missing_labels"), ("csv", "parquet")),
    **dict.fromkeys(("image_root", "header", "label_columns"), ("csv",)),
    "id_column": ("parquet",),
}


@dataclass(frozen=True, config=CONFIG)
class SplitFolders:
    """The folders of the splits, below `dataset.path`; all empty: they are recognised by their names."""

    train: Annotated[Text, Field(description="The folder of the training images.")] = ""
    validation: Annotated[Text, Field(description="The folder of the validation images.")] = ""
    test: Annotated[Text, Field(description="The folder of the test images.")] = ""

    @model_validator(mode="after")
    def _there_is_a_training_split(self) -> "SplitFolders":
        if (self.validation or self.test) and not self.train:
            raise ValueError("give splits.train too: the folder of the training images")
        return self


@dataclass(frozen=True, config=CONFIG)
class DatasetSettings:
    """Where the images and their labels come from, and what becomes of those that cannot be used."""

    learned: ClassVar[bool] = True  # whether models are trained on them, which not all classes and labels are good for
    listed_in: ClassVar[str] = ""  # the folder in the experiment's results where what is left out is listed

    source: Annotated[
        Literal["cifar10", "photo-patches", "digits", "folder", "csv", "tar", "parquet", "npz"],
        Field(
            description="What the data are: embedded or downloaded ones, folders, tables, archives, or arrays (npz)."
        ),
    ]
    path: Annotated[
        Text,
        Field(description="The folder, file or pattern; of tar and Parquet files also a URL such as s3://bucket/x."),
    ] = ""
    limit: Annotated[Images, Field(description="Images per split, drawn stratified; 0 = all.")] = 0
    corrections: Annotated[
        Text,
        Field(description="A table of ids and their right labels, or `drop`; applied before a test split is drawn."),
    ] = ""
    test_fraction: Annotated[
        Share | None,
        Field(
            description="The share drawn as test split; 0 = none. Not given: 0.2 where the data have neither a test nor a "
            "validation split, and none where that is under 100 images."
        ),
    ] = None
    split_seed: Annotated[Seed, Field(description="Another one draws another test split.")] = 0
    group: Annotated[
        Text,
        Field(
            description="Keeps images together that must not be parted: a column, or of folders and archives a regular "
            "expression on the path."
        ),
    ] = ""
    on_error: Annotated[
        Literal["quarantine", "fail"],
        Field(description="What becomes of files that cannot be used: left out and listed, or the command fails."),
    ] = "quarantine"
    error_limit: Annotated[
        float, Field(ge=0, le=1, description="The share of files that cannot be used above which the command fails.")
    ] = 0.05
    max_pixels: Annotated[Pixels, Field(description="The largest width x height of an image.")] = 89_478_485
    common_size: Annotated[
        tuple[Side, ...],
        Field(
            description="Height and width that every image is first brought to, so that none has more detail than another."
        ),
    ] = ()
    value_range: Annotated[
        tuple[FiniteFloat, ...],
        Field(
            description="The lowest and highest value of images of more than 8 bits; empty: as found in the first scan."
        ),
    ] = ()
    bands: Annotated[
        tuple[Band, ...], Field(description="The three bands that are red, green and blue, counted from 1.")
    ] = ()
    splits: SplitFolders = SplitFolders()
    class_level: Annotated[
        int,
        Field(
            ge=0,
            le=9,
            description="How deep below the root, or the split, the folders of classes are; 0: it is recognised.",
        ),
    ] = 0
    follow_links: Annotated[bool, Field(description="Whether symbolic links are followed.")] = True
    fold_case: Annotated[bool, Field(description="Joins labels that differ only in case.")] = False
    small_classes: Annotated[
        Literal["leave-out", "fail"],
        Field(description="What becomes of classes of fewer than two training images."),
    ] = "leave-out"
    missing_labels: Annotated[
        tuple[str, ...], Field(description="Cells that say that there is no label; an empty one always does.")
    ] = MISSING_LABELS
    header: Annotated[
        bool, Field(description="Whether the first row names the columns; without one they are numbers, from 1.")
    ] = True
    image_column: Annotated[
        Text,
        Field(description="The column of the images' paths or bytes; of tar archives the ending of the one to use."),
    ] = ""
    label_column: Annotated[
        Text, Field(description="The column of the labels; of tar archives the field of a .json.")
    ] = ""
    label_columns: Annotated[tuple[str, ...], Field(description="Instead: the 0/1 columns, one for each class.")] = ()
    split_column: Annotated[Text, Field(description="The column that says the split.")] = ""
    id_column: Annotated[Text, Field(description="The column of the ids; empty: file and row.")] = ""
    image_root: Annotated[
        Text, Field(description="The folder that paths in a table are relative to; empty: found near the table.")
    ] = ""

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
        for key, sources in ONLY_FOR.items():
            if self.source not in sources and getattr(self, key) != defaults[key]:
                raise ValueError(
                    f"{key} is for source {' or '.join(sources)}, not for {self.source}: leave it out, or change "
                    f"dataset.source. Received: {shown(getattr(self, key))}"
                )
        return self


@dataclass(frozen=True, config=CONFIG)
class MeasuredData(DatasetSettings):
    """The settings of data that a trained model is only measured on.

    Any class will do, and a test split is drawn only if `test_fraction` asks for one.

    Attributes:
        ranges: which numbers become black and white, by their kind: those of the model's training.
    """

    learned: ClassVar[bool] = False
    listed_in: ClassVar[str] = "evaluate"

    ranges: Mapping[str, tuple[FiniteFloat, FiniteFloat]] = dataclasses.field(default_factory=dict)
