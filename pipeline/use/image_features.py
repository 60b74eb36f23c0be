"""Turns images of a caller's into rows of features, by a recipe: looked up in the home, or computed."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from bottleneck_features import features, models
from bottleneck_features.models.parallel import core_limit
from bottleneck_features.models.rows import mean_over_views
from bottleneck_features.pipeline.datasets.pixels.decoding import Resizing
from bottleneck_features.pipeline.errors import PipelineError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.extraction.identity import recipe
from bottleneck_features.pipeline.extraction.kept_rows import KeptRows, first_places
from bottleneck_features.pipeline.extraction.networks import (
    WantedNetwork,
    build_network,
    experiment_extractor,
    open_network,
)
from bottleneck_features.pipeline.methods.layer_rows import side_by_side
from bottleneck_features.pipeline.use.given_images import GivenImages

DECODING = "input.decoding"


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


class ImageFeatures:
    """Rows of features of images by one recipe; the network is opened when something is to be computed.

    Layers are side by side; positions of maps, and views, are averaged, as probes do. Threads wait for one another.

    Args:
        recipe: how images become features.
        home: the artifacts folder.
    """

    def __init__(self, recipe: ImageRecipe, home: Path) -> None:
        self._recipe, self.home = recipe, home
        image_shape = (*recipe.resizing.size, 3)
        self._wanted = WantedNetwork(recipe.experiment, image_shape, home, recipe.key, recipe.calibration)
        self._network: models.Extractor | None = None
        self._widths: dict[str, int] = {}
        self._lock = Lock()  # threads share a network

    def is_of(self, recipe: ImageRecipe, home: Path) -> bool:
        """Return whether these are the features of a recipe and of images of its size, kept in a home."""
        return (recipe.key, recipe.resizing, home) == (self._recipe.key, self._recipe.resizing, self.home)

    def names(self) -> list[str]:
        """Return the name of each feature, such as `block5c_add_0`."""
        if not self._widths:
            self._remember_widths(self._opened().output_shapes)
        return [f"{layer}_{number}" for layer, width in self._widths.items() for number in range(width)]

    def kept(self, images: GivenImages) -> np.ndarray:
        """Return the features of images, float32 `(n, d)`; what the home does not have is computed, and kept there.

        Raises:
            PipelineError: an image cannot be decoded.
            models.ModelError: see `experiment_extractor`.
            features.CacheError: the home cannot be written, or the disk is full.
        """
        with self._lock:
            return self._kept(images)

    def _kept(self, images: GivenImages) -> np.ndarray:
        contents = self._contents(images)
        places, inverse = first_places(contents)
        rows = KeptRows(self._wanted, self._recipe.fields)
        table = _Table(len(places))
        table.enter(self._pooled(*part) for part in rows.find(contents[places]))
        if not table.is_full:
            read = lambda some: images.images(places[table.lacking[some]], self._recipe.resizing)  # noqa: E731
            missing = contents[places[table.lacking]]
            rows.keep(missing, read, self._opened)
            lacking = table.lacking
            table.enter((lacking[found], self._pooled(found, part)[1]) for found, part in rows.find(missing))
        if not table.is_full:
            raise PipelineError("A cache that was just written is damaged or gone. Run again.")
        return table.rows if len(places) == len(inverse) else table.rows[inverse]

    def computed(self, images: GivenImages) -> np.ndarray:
        """Return the features of images, float32 `(n, d)`, of which nothing is kept.

        Raises:
            PipelineError: an image cannot be decoded, or the features are no numbers of their dtype.
            models.ModelError: see `experiment_extractor`.
        """
        with self._lock:
            return self._computed(images)

    def _computed(self, images: GivenImages) -> np.ndarray:
        places, inverse = first_places(self._contents(images))
        network = self._opened(self._without_keeping)
        batches = images.batches(self._recipe.resizing, network.batch_size, places)
        table, start = _Table(len(places)), 0
        for output in network.map(batches):
            stored = {layer: self._stored(layer, rows) for layer, rows in output.items()}
            stop = start + len(next(iter(stored.values())))
            table.enter([self._pooled(np.arange(start, stop), stored)])
            start = stop
        return table.rows if len(places) == len(inverse) else table.rows[inverse]

    def _contents(self, images: GivenImages) -> np.ndarray:
        if DECODING in self._recipe.pixels:
            return images.contents(self._recipe.resizing)
        return images.pixel_contents(self._recipe.resizing)

    def _stored(self, layer: str, rows: np.ndarray) -> np.ndarray:
        """Return features as a cache would hold them."""
        dtype = self._recipe.experiment.features.dtype
        with np.errstate(over="ignore"):
            stored = rows.astype(dtype)
        if not np.isfinite(stored).all():
            raise PipelineError(
                f"Layer {layer!r}: features are not finite, or beyond what {dtype} holds. Use dtype='float32'; if they are not "
                "finite then, precision='float32' too."
            )
        return stored

    def _pooled(self, places: np.ndarray, rows: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        layers, views = self._recipe.experiment.backbone.layers, len(self._recipe.experiment.input.views)
        self._remember_widths({layer: rows[layer].shape for layer in layers})
        seen = side_by_side([rows[layer] for layer in layers], views)
        return places, mean_over_views(seen.astype(np.float32), views)

    def _remember_widths(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._widths = {layer: shapes[layer][-1] for layer in self._recipe.experiment.backbone.layers}

    def _opened(self, build: Callable[[], models.Extractor] | None = None) -> models.Extractor:
        if self._network is None:
            self._network = open_network(self._wanted) or _with_a_share_of_cores(build or self._built)
        return self._network

    def _built(self) -> models.Extractor:
        return build_network(self._wanted)

    def _without_keeping(self) -> models.Extractor:
        wanted = self._wanted
        return experiment_extractor(wanted.experiment, wanted.image_shape, wanted.calibration)


class _Table:
    """Rows that come in parts, in any order."""

    def __init__(self, rows: int) -> None:
        self.rows = np.empty((rows, 0), np.float32)
        self._had = np.zeros(rows, bool)

    @property
    def lacking(self) -> np.ndarray:
        """The rows that have not come."""
        return np.flatnonzero(~self._had)

    @property
    def is_full(self) -> bool:
        """Whether all rows have come."""
        return bool(self._had.all())

    def enter(self, parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Take in rows by their places."""
        for places, rows in parts:
            if not self._had.any():
                self.rows = np.empty((len(self._had), rows.shape[1]), np.float32)
            self.rows[places], self._had[places] = rows, True


def _with_a_share_of_cores(build: Callable[[], models.Extractor]) -> models.Extractor:
    """Build a network; TensorFlow uses as many threads as OMP_NUM_THREADS says, which joblib sets for its workers."""
    if limit := core_limit():
        with suppress(RuntimeError):  # TensorFlow has computed already, with the threads it has
            models.limit_cores(limit)
    return build()
