"""What every result has, and what several commands say of their data."""

from typing import Annotated, Any

from pydantic import Field

from bottleneck_features.pipeline.result_schema.kinds import (
    CacheKey,
    Count,
    Duration,
    Number,
    OpenRecord,
    Rate,
    Record,
    Share,
    Texts,
)


class BackboneSettings(OpenRecord):
    """The settings `backbone.…`; see the list of settings."""

    layers: Texts = Field(description="The layers whose features are kept.")


class HeadSettings(OpenRecord):
    """The settings `head.…`; see the list of settings."""

    validation_split: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Share of the training images to validate on."
    )


class ExperimentRecord(OpenRecord):
    """The experiment that a result was made with: every setting by section; see the list of settings."""

    name: str = Field(description="Of the experiment.")
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = Field(description="Of the validation split and of trainings.")
    backbone: BackboneSettings = Field(description="The settings of the network.")
    head: HeadSettings = Field(description="The settings of the head.")


class ResultRecord(Record):
    """What every result has."""

    command: str = Field(description="The command that wrote it; also the name of its folder.")
    experiment: ExperimentRecord = Field(description="Every setting, by section; see the list of settings.")
    cache_key: CacheKey = Field(description="SHA-256 of the identity of the features it is of; empty: it is of none.")
    seconds: dict[str, Duration] = Field(description="Time by phase.")
    peak_memory_mib: Annotated[float, Field(ge=0, le=1e12)] = Field(
        description="Largest resident memory of the process."
    )
    versions: dict[str, Any] = Field(description="Of Python and of the packages that decide.")
    hardware: dict[str, Any] = Field(
        description="Of this machine: `processor`, `cores`, `memory_gib`, `gpus` (those seen by TensorFlow, if it ran), `system`."
    )
    warnings: Texts = Field(description="Sentences that a reader of the figures must know, the gravest first.")
    notes: Texts = Field(default=[], description="Sentences that put no figure in doubt, such as a licence.")
    folder: str = Field(description="Where the files are.")
    images_per_second: Rate | None = Field(
        default=None,
        description="Speed of extraction over all runs in this home (of `predict` and `evaluate`: of this run); null: not known.",
    )


class FileRecord(Record):
    """A file beside result.json."""

    file: str = Field(default="", description="Its name in the result's folder.")
    sha256: str = Field(default="", description="SHA-256 of its bytes.")


class LooksRecord(Record):
    """How often these test images were scored, as far as this home knows."""

    count: Count = Field(description="Commands that scored them with other answers, this one included.")
    since: str = Field(description="Date of the first.")


class NetworkBesideRecord(Record):
    """The network that is kept beside the heads, so that prediction needs neither Keras nor the home."""

    file: str = Field(description="Its path in the result's folder.")
    bytes: Count = Field(description="What its files take.")
    images: Count = Field(description="Training images that it was checked on.")
    difference: Number = Field(
        description="Largest difference of a probability from that by the features of the cache."
    )


class DuplicateRecord(Record):
    """An image of the evaluation set, with the image used for training that it repeats."""

    learned_id: str = Field(description="Id of the image used for training.")
    scored_id: str = Field(description="Id of the image of the evaluation set.")
    kind: str = Field(description="`exact`, `near`, or either with `mirrored-` before it.")
    similarity: Number = Field(description="Of the pixels' low frequencies, −1..1; 1 for exact ones.")
    feature_cosine: Number | None = Field(description="Of the last layer's features, −1..1; null for exact ones.")


class DuplicatesRecord(Record):
    """Images of the evaluation set that repeat an image used for training."""

    images: Count = Field(description="How many there are.")
    of: Count = Field(default=0, description="How many images were scored.")
    near_ones: str = Field(description="How near-duplicates were looked for, or why not.")
    pairs: list[DuplicateRecord] = Field(default=[], description="Each with the image it repeats.")


class FigureRecord(Record):
    """A figure and its interval at 95 %."""

    value: Share = Field(description="The figure.")
    low: Number = Field(description="Its lower end.")
    high: Number = Field(description="Its upper end.")
