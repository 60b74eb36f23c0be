"""Turns images of a caller's into rows of features, by a recipe: looked up in the home, or computed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from bottleneck_features import features, models
from bottleneck_features.models.input_check import cautions
from bottleneck_features.models.parallel import core_limit
from bottleneck_features.models.rows import mean_over_views
from bottleneck_features.pipeline.datasets.pixels.decoding import DECODING
from bottleneck_features.pipeline.datasets.pixels.resizing import Resizing
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.identity import recipe
from bottleneck_features.pipeline.extraction.kept_rows import KeptRows, first_places
from bottleneck_features.pipeline.extraction.networks import (
    WantedNetwork,
    build_network,
    describe_network,
    experiment_extractor,
    open_network,
)
from bottleneck_features.pipeline.home import usable_home
from bottleneck_features.pipeline.methods.layer_rows import side_by_side
from bottleneck_features.pipeline.use.given_images import GivenImages


@dataclass(frozen=True, eq=False)
class ImageRecipe:
    """How images that are no data set become features.

    Attributes:
        experiment: its `backbone`, `input`, `features` and `compute` sections.
        pixels: what decides how they become pixels, as `Dataset.identity`; with `DECODING` they are files.
        resizing: what every image becomes before the network resizes it.
        calibration: uint8 images, which int8 needs; else None.
    """

    experiment: Experiment
    pixels: Mapping[str, Any]
    resizing: Resizing
    calibration: np.ndarray | None = None

    @cached_property
    def fields(self) -> dict[str, Any]:
        """All that the features depend on besides the image and the machine, by setting."""
        return recipe(self.experiment, self.pixels, self.calibration)

    @cached_property
    def key(self) -> str:
        """SHA-256 of `fields`."""
        return features.identity_key(self.fields)


class ImageFeatures(ABC):
    """Rows of features of images by one recipe; the network is opened when something is to be computed.

    Layers are side by side; positions of maps, and views, are averaged, as probes do. Threads wait for one another.

    Args:
        recipe: how images become features.
        home: the artifacts folder.
    """

    def __init__(self, recipe: ImageRecipe, home: Path) -> None:
        self.recipe, self.home = recipe, home
        image_shape = (*recipe.resizing.size, 3)
        self._wanted = WantedNetwork(recipe.experiment, image_shape, home, recipe.key, recipe.calibration)
        self._network: models.Extractor | None = None
        self._widths: dict[str, int] = {}
        self._lock = Lock()  # threads share a network

    def is_of(self, recipe: ImageRecipe, home: Path) -> bool:
        """Return whether these are the features of a recipe and of images of its size, with the same home."""
        return (recipe.key, recipe.resizing, home) == (self.recipe.key, self.recipe.resizing, self.home)

    def names(self) -> list[str]:
        """Return the name of each feature, such as `block5c_add_0`."""
        if not self._widths:
            self._remember_widths(self._opened().output_shapes)
        return [f"{layer}_{number}" for layer, width in self._widths.items() for number in range(width)]

    def rows(self, images: GivenImages) -> np.ndarray:
        """Return the features of images, float32 `(n, d)`; what is there twice is computed once.

        Raises:
            PipelineError: an image cannot be decoded, or features are not finite or beyond what their dtype holds.
            models.ModelError: see `experiment_extractor`.
            RequestError: features are to be kept in a home that cannot be written to.
            features.CacheError: the disk is full.
        """
        with self._lock:
            resizing = self.recipe.resizing
            hashed = images.contents if DECODING in self.recipe.pixels else images.pixel_contents
            contents = hashed(resizing)
            places, inverse = first_places(contents)
            table = _Table(len(places))
            self._enter(table, images, places, contents[places])
        return table.rows if len(places) == len(inverse) else table.rows[inverse]

    def cautions(self) -> tuple[str, ...]:
        """Return what the network's start-up check says of the numbers it gets; nothing where no network is at hand."""
        known = self._network or describe_network(self._wanted)
        backbone = self.recipe.experiment.backbone
        return cautions(known.check, backbone.name, raw_is_asked=backbone.preprocessing == "none") if known else ()

    @abstractmethod
    def _enter(self, table: "_Table", images: GivenImages, places: np.ndarray, contents: np.ndarray) -> None:
        """Fill a table with the rows of the images at some places, which have these contents."""

    @abstractmethod
    def _build(self) -> models.Extractor:
        """Return the network, built."""

    def _pooled(self, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        layers, views = self.recipe.experiment.backbone.layers, len(self.recipe.experiment.input.views)
        self._remember_widths({layer: rows[layer].shape for layer in layers})
        seen = side_by_side([rows[layer] for layer in layers], views)
        return mean_over_views(seen.astype(np.float32), views)

    def _remember_widths(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._widths = {layer: shapes[layer][-1] for layer in self.recipe.experiment.backbone.layers}

    def _opened(self) -> models.Extractor:
        if self._network is None:
            self._network = open_network(self._wanted) or self._built()
        return self._network

    def _built(self) -> models.Extractor:
        """Build the network; TensorFlow uses as many threads as OMP_NUM_THREADS says, which joblib sets for its workers."""
        if limit := core_limit():
            with suppress(RuntimeError):  # TensorFlow has computed already, with the threads it has
                models.limit_cores(limit)
        return self._build()


class KeptFeatures(ImageFeatures):
    """Features that are looked up in the home; what is not there is computed, and kept there."""

    def _enter(self, table: "_Table", images: GivenImages, places: np.ndarray, contents: np.ndarray) -> None:
        rows = KeptRows(self._wanted, self.recipe.fields)
        for found, part in rows.find(contents):
            table.enter(found, self._pooled(part))
        lacking = table.lacking()
        if not len(lacking):
            return

        self._require_writable()

        def read(some: np.ndarray) -> np.ndarray:
            return images.images(places[lacking[some]], self.recipe.resizing)

        rows.keep(contents[lacking], read, self._opened)
        for found, part in rows.find(contents[lacking]):
            table.enter(lacking[found], self._pooled(part))
        if len(table.lacking()):
            raise PipelineError("A cache that was just written is damaged or gone. Run again.")

    def _require_writable(self) -> None:
        try:
            usable_home(self.home)
        except RequestError as reason:
            raise RequestError(f"{reason} With cache=None nothing is kept, and none is needed.") from reason

    def _build(self) -> models.Extractor:
        return build_network(self._wanted)


class UnkeptFeatures(ImageFeatures):
    """Features that are computed whenever they are asked for; nothing is written."""

    def _enter(self, table: "_Table", images: GivenImages, places: np.ndarray, contents: np.ndarray) -> None:
        network, start = self._opened(), 0
        for output in network.map(images.batches(self.recipe.resizing, network.batch_size, places)):
            rows = self._pooled({layer: self._stored(layer, own) for layer, own in output.items()})
            table.enter(np.arange(start, start + len(rows)), rows)
            start += len(rows)

    def _stored(self, layer: str, rows: np.ndarray) -> np.ndarray:
        """Return features as a cache would hold them."""
        dtype = self.recipe.experiment.features.dtype
        with np.errstate(over="ignore"):
            stored = rows.astype(dtype)
        if not np.isfinite(stored).all():
            raise PipelineError(
                f"Layer {layer!r}: features are not finite, or beyond what {dtype} holds. Use dtype='float32'; if they are not "
                "finite then, precision='float32' too."
            )
        return stored

    def _build(self) -> models.Extractor:
        wanted = self._wanted
        return experiment_extractor(wanted.experiment, wanted.image_shape, wanted.calibration)


class _Table:
    """Rows that come in parts, in any order.

    Attributes:
        rows: float32 `(n, d)`, once a part has come.
    """

    def __init__(self, rows: int) -> None:
        self.rows = np.empty((rows, 0), np.float32)
        self._had = np.zeros(rows, bool)

    def lacking(self) -> np.ndarray:
        """Return the rows that have not come."""
        return np.flatnonzero(~self._had)

    def enter(self, places: np.ndarray, rows: np.ndarray) -> None:
        """Take in rows by their places."""
        if not self._had.any():
            self.rows = np.empty((len(self._had), rows.shape[1]), np.float32)
        self.rows[places], self._had[places] = rows, True
