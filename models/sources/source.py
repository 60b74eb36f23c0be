"""What is known of a backbone before it is loaded; none of it needs TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bottleneck_features.models.errors import InvalidSetting
from bottleneck_features.models.preprocessing import Preprocessing
from bottleneck_features.models.preprocessing import Protocol as PublishedProtocol


@dataclass(frozen=True)
class WeightsIdentity:
    """Which weights a backbone has.

    Attributes:
        source: `"imagenet"` (those that its publisher ships), `"random"` or `"file"`.
        sha256: of the weight bytes; for random weights of the backbone's name and the seed.
        path: the file or folder, `None` for random weights.
        notice: origin and licence, to be shown where a figure is; `""` for the user's own files.
    """

    source: str
    sha256: str
    path: Path | None
    notice: str


class Source(Protocol):
    """Where a backbone comes from: one class for each kind of thing that `backbone.name` may be."""

    @property
    def name(self) -> str:
        """As asked for."""
        ...

    @property
    def label(self) -> str:
        """The name that folders, pictures and reports show."""
        ...

    @property
    def protocol(self) -> PublishedProtocol:
        """How its publisher prepares photographs."""
        ...

    @property
    def stated_protocol(self) -> PublishedProtocol | None:
        """The same where its files state it; None where they say nothing."""
        ...

    @property
    def trainable(self) -> str:
        """Why it cannot be trained on; empty where it can."""
        ...

    @property
    def comes_whole(self) -> bool:
        """Whether `load` gives it its own weights; else they are a file to be loaded into it."""
        ...

    def own_weights(self) -> WeightsIdentity:
        """Return the weights that it comes with; they are looked for, or downloaded.

        Raises:
            WeightsUnavailable: if they are neither here nor to be had.
        """
        ...

    def architecture(self) -> str:
        """Return what the shapes of its weights depend on."""
        ...

    def file_weights(self, path: Path) -> WeightsIdentity:
        """Return the identity of weights of another file.

        Raises:
            InvalidSetting: if it takes none.
        """
        ...

    def preprocessing_text(self, asked: Preprocessing | None) -> str:
        """Return what happens to RGB 0..255, for the key.

        Args:
            asked: by `backbone.preprocessing`; None for `auto`.

        Raises:
            InvalidSetting: if it has its own, or nothing says which it needs.
        """
        ...

    def last_layer(self, poolings: Sequence[str]) -> str:
        """Return the layer that is taken where none is named."""
        ...

    def reading(self, layer: str, pooling: str) -> str:
        """Return what `auto` means for a layer, `auto` where only the loaded network tells; other readings as they are."""
        ...


@dataclass(frozen=True)
class ModelFile:
    """What sources that are the path of one file have in common."""

    name: str

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.name).expanduser()

    @property
    def label(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


def refused_preprocessing(name: str) -> InvalidSetting:
    """Return what to raise where a registered network is given a preprocessing."""
    return InvalidSetting(
        f"Backbone '{name}' has the preprocessing it was trained with: leave backbone.preprocessing at 'auto'."
    )
