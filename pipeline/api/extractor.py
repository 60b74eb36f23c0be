"""Features of images as transformers of scikit-learn."""

import os
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags

from bottleneck_features import features, models
from bottleneck_features.models.weights import require_backbone
from bottleneck_features.pipeline import arguments
from bottleneck_features.pipeline.api.asking import WHAT_A_BACKBONE_IS
from bottleneck_features.pipeline.api.cache_recipe import another_machine, recipe_of_cache
from bottleneck_features.pipeline.api.undisturbed import undisturbed
from bottleneck_features.pipeline.datasets.assembly import resizing_of
from bottleneck_features.pipeline.datasets.pixels.decoding import DECODING, RECIPE
from bottleneck_features.pipeline.datasets.pixels.resizing import Resizing
from bottleneck_features.pipeline.datasets.pixels.value_ranges import ranges_asked
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import Experiment
from bottleneck_features.pipeline.experiment_file import restored_experiment
from bottleneck_features.pipeline.home import chosen_home
from bottleneck_features.pipeline.resolved_experiment import resolved
from bottleneck_features.pipeline.use.given_images import GivenImages, Reading
from bottleneck_features.pipeline.use.image_arguments import given_images
from bottleneck_features.pipeline.use.image_features import (
    ImageFeatures,
    ImageRecipe,
    KeptFeatures,
    UnkeptFeatures,
)

KEPT = "home"


class ImageTransformer(TransformerMixin, BaseEstimator):
    """What turns images into rows of features; made by `Extractor`, or `extractor()` of an open cache."""

    home: str | os.PathLike[str] | None
    cache: str | None
    _opened: ImageFeatures | None = None

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Check the settings; nothing is learned, and the images are not looked at.

        Args:
            X: ignored.
            y: ignored.

        Raises:
            RequestError: a setting is wrong.
            models.ModelError: there is no such backbone.
        """
        self._check()
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the features of images.

        Args:
            X: n images: paths in a list, a column of pandas or an array of text; PIL images; one array `(n, height, width)`,
                grey, or with 1, 3 or 4 channels last; or a list of such arrays of one shape. Arrays of uint8 are taken as
                they are. Other numbers go by the range that is set, or that the cache's images have; without one, floats of
                which none is above 1 in all images count from 0 to 1, any others from 0 to 255.

        Returns:
            float32 `(n, d)`, in the order of the images: the layers side by side, positions and views averaged.

        Raises:
            RequestError: X is no sequence of images, a setting is wrong, or features are to be kept in a home that cannot be
                written to.
            PipelineError: an image cannot be used; says how many, names the first ones, and why.
            models.ModelError: there are no such layers, weights or engine.
            features.CacheError: the disk is full.
        """
        images, recipe = self._prepared(X)
        with undisturbed():
            opened = self._opened_for(recipe)
            rows = opened.rows(images)
        for text in opened.cautions():
            warnings.warn(text, UserWarning, stacklevel=3)
        return rows

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the name of each feature, `(d,)` text such as `block5c_add_0`: the layer and the channel.

        Args:
            input_features: ignored; images have no names of features.
        """
        recipe, opened = self._recipe(), self._opened
        if opened is None or opened.recipe.experiment.backbone != recipe.experiment.backbone:
            opened = self._opened_for(recipe)
        return np.asarray(opened.names(), object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit, tags.no_validation = False, True
        tags.input_tags.two_d_array, tags.input_tags.string = False, True
        tags.input_tags.one_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_opened"}

    @abstractmethod
    def _prepared(self, X: Any) -> tuple[GivenImages, ImageRecipe]:
        """Return what was given as images, and how they become features."""

    @abstractmethod
    def _recipe(self) -> ImageRecipe:
        """Return how files become features."""

    @abstractmethod
    def _home(self) -> Path:
        """Return the artifacts folder."""

    def _check(self) -> None:
        if self.cache not in (KEPT, None):
            raise RequestError(f"cache is 'home', which keeps features there, or None. Received: {self.cache!r}")

    def _opened_for(self, recipe: ImageRecipe) -> ImageFeatures:
        home, kind = self._home(), KeptFeatures if self.cache == KEPT else UnkeptFeatures
        if not isinstance(self._opened, kind) or not self._opened.is_of(recipe, home):
            self._opened = kind(recipe, home)
            if recipe.experiment.backbone.weights == "random":
                name = recipe.experiment.backbone.name
                text = f"RANDOM WEIGHTS: {name} was not pre-trained; no figure of these features is about transfer learning."
                warnings.warn(text, UserWarning, stacklevel=4)
        return self._opened


class Extractor(ImageTransformer):
    """Features of images by a frozen pre-trained network, as a transformer of scikit-learn.

    Nothing is learned, so `fit` is not needed. What is computed is kept in the home, by the images' contents and all settings
    that change a number, a shard at a time: what any command or extractor computed there by the same settings is taken from
    it, whatever the files are called, and a stopped run goes on. In `cross_val_score` and `GridSearchCV` each image is computed
    once; with `n_jobs` workers open networks of their own, with their share of the cores. Call `transform` on all images before,
    and all cores compute, and the workers nothing.

    Files and PIL images are upright by their EXIF tag and resized on the host, as `bottleneck features` does with files; a large
    JPEG opened by PIL has pixels a little different from its file's, which libjpeg shrinks first. Arrays are resized in the
    network, as those of an `.npz`. PIL images keep what they load.

    scikit-learn's `check_estimator` passes over it, since all it feeds are tables of numbers and the tags say that these are no
    images. Those of its checks that need none (constructor, parameters, clone, tags, text) are among the tests.

    Args:
        backbone: a registered network, such as `resnet50`; a KerasHub preset, such as `dinov2_small`; `hf://organisation/model`;
            the path of a folder with `config.json`, or of a model file.
        layers: whose features are put side by side, the earliest first; None: of a registered network an earlier layer and the
            last one, of others their own last feature.
        pooling: as `features.pooling`, for all layers, or a list with one for each; `"auto"`: the class token, the pooler's
            vector, or the mean; `"none"` is averaged after it was kept.
        size: (height, width) in pixels, or one number for both, that images get; None: the
            network's own, 224 for most.
        input_fit: how images of another aspect get it, as `input.fit` of an experiment (`fit` is a method here): `"crop"`,
            `"pad"`, `"stretch"`, or `"auto"`: files and PIL images by the network's published protocol, arrays by stretch.
        crop_share: where images are cropped, the share of the resized shorter side that is kept; 0: the published one.
        weights: `"imagenet"` (those that the network comes with), `"random"`, or the path of a file.
        preprocessing: what the network wants of RGB 0..255, for files that do not say it: `"auto"`, `"tf"`, `"torch"`, `"caffe"`,
            `"none"`, or `{"mean": …, "std": …}`, as `backbone.preprocessing`.
        resize: the kernel: `bilinear`, `nearest`, `bicubic`, `area`, `lanczos3`; None: the network's own, `bilinear` for
            registered ones.
        antialias: whether the kernel widens when an image shrinks.
        views: of `"identity"` and `"hflip"`; features of both are averaged.
        value_range: (lowest, highest), which become black and white in files, PIL images and arrays of more than 8 bits; files
            and PIL images of such need it, see `transform` for arrays.
        dtype: `"float16"` or `"float32"`, of what is kept; what is returned is float32.
        engine: `"auto"`, `"tensorflow"` or `"openvino"`.
        precision: `"auto"`, `"float32"`, `"bfloat16"` or `"float16"`. int8 is calibrated on training images: make a cache by
            `bottleneck features --set compute.precision=int8`, and take `open_features(path).extractor()`.
        batch_size: images per forward pass.
        home: the artifacts folder; None: $BOTTLENECK_HOME, else `artifacts`. One that can only be read serves what it has.
        cache: `"home"`, or None: nothing is written, and whoever transforms the same images again computes them again.

    Examples:
        >>> pipe = make_pipeline(bf.Extractor("efficientnet-lite0"), LogisticRegression(max_iter=1000))
        >>> cross_val_score(pipe, paths, labels)
    """

    def __init__(
        self,
        backbone: str | Path = "efficientnet-lite0",
        layers: Sequence[str] | None = None,
        *,
        pooling: str | Sequence[str] = "auto",
        size: int | tuple[int, int] | None = None,
        input_fit: str = "auto",
        crop_share: float = 0.0,
        weights: str | os.PathLike[str] = "imagenet",
        preprocessing: str | Mapping[str, Any] = "auto",
        resize: str | None = None,
        antialias: bool = True,
        views: Sequence[str] = ("identity",),
        value_range: tuple[float, float] | None = None,
        dtype: str = "float16",
        engine: str = "auto",
        precision: str = "auto",
        batch_size: int = 32,
        home: str | os.PathLike[str] | None = None,
        cache: Literal["home"] | None = "home",
    ) -> None:
        self.backbone = backbone
        self.layers = layers
        self.pooling = pooling
        self.size = size
        self.input_fit = input_fit
        self.crop_share = crop_share
        self.weights = weights
        self.preprocessing = preprocessing
        self.resize = resize
        self.antialias = antialias
        self.views = views
        self.value_range = value_range
        self.dtype = dtype
        self.engine = engine
        self.precision = precision
        self.batch_size = batch_size
        self.home = home
        self.cache = cache

    def _check(self) -> None:
        super()._check()
        experiment = self._experiment("folder")
        compute = experiment.compute
        models.backbone_engine(experiment.backbone.name, compute.engine, compute.precision)
        resizing_of(experiment)

    def _home(self) -> Path:
        return chosen_home(self.home)

    def _prepared(self, X: Any) -> tuple[GivenImages, ImageRecipe]:
        self._check()
        images = given_images(X, self._reading())
        _say(images)
        if images.size is None:
            return images, self._recipe()
        return images, ImageRecipe(self._experiment("npz"), {}, Resizing(images.size))

    def _reading(self) -> Reading:
        ranges = ranges_asked(self._experiment("folder").dataset)
        return Reading(ranges=ranges, remedies={"dataset.value_range": "value_range=(LOW, HIGH)"})

    def _recipe(self) -> ImageRecipe:
        experiment = self._experiment("folder")
        ranges, pixels = ranges_asked(experiment.dataset), {DECODING: RECIPE}
        identity = {"dataset.value_range": {kind: list(found) for kind, found in ranges.items()}} if ranges else {}
        return ImageRecipe(experiment, {**pixels, **identity}, replace(resizing_of(experiment), ranges=ranges))

    def _experiment(self, source: str) -> Experiment:
        """Return the settings as an experiment's, checked as those of the command line are."""
        if self.precision == "int8":
            raise RequestError(
                "int8 is calibrated on training images, which an Extractor has not: make a cache by `bottleneck features DATA "
                "--set compute.precision=int8`, and take bf.open_features(path).extractor()."
            )
        if not isinstance(self.backbone, str | os.PathLike):
            raise RequestError(f"backbone {WHAT_A_BACKBONE_IS}. Received: {self.backbone!r}")
        backbone = os.fspath(self.backbone)
        require_backbone(backbone)
        layers = models.default_layers(backbone) if self.layers is None else self.layers
        published = models.find_source(backbone).protocol
        size = published.size if self.size is None else self.size
        table = {
            "name": "extractor",
            "dataset": {"source": source, "value_range": arguments.plain(self.value_range or ())},
            "backbone": {
                "name": backbone,
                "layers": _listed(layers),
                "weights": arguments.plain(self.weights),
                "preprocessing": arguments.plain(self.preprocessing),
            },
            "input": {
                "size": [arguments.plain(size)] * 2 if isinstance(size, int | np.integer) else arguments.plain(size),
                "fit": self.input_fit,
                "crop_share": arguments.plain(self.crop_share),
                "resize": published.kernel if self.resize is None else self.resize,
                "antialias": arguments.plain(self.antialias),
                "views": _listed(self.views),
            },
            "features": {"pooling": _listed(self.pooling), "dtype": self.dtype},
            "compute": {
                "engine": self.engine,
                "precision": self.precision,
                "batch_size": arguments.plain(self.batch_size),
            },
        }
        return resolved(restored_experiment(table, "Extractor"))


class CacheExtractor(ImageTransformer):
    """Features of images exactly as a cache has them: same network, layers, sizes, decoding, numbers and batches.

    `open_features(path).extractor()` makes it. On the machine, or one of its kind, that made the cache its rows come out bit for
    bit; layers are side by side, positions and views averaged. Images of another size than the cache's are resized as files are.
    See `Extractor` for what is kept and how it works in scikit-learn.

    Args:
        path: the cache's folder.
        home: the artifacts folder; None: the one that the cache is in, else as for `Extractor`.
        cache: as for `Extractor`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        home: str | os.PathLike[str] | None = None,
        cache: Literal["home"] | None = "home",
    ) -> None:
        self.path = path
        self.home = home
        self.cache = cache

    def _check(self) -> None:
        super()._check()
        cache = self._open()
        recipe_of_cache(cache, self._home())
        if text := another_machine(cache):
            warnings.warn(text, UserWarning, stacklevel=4)

    def _home(self) -> Path:
        if self.home is not None:
            return chosen_home(self.home)
        folder = self._path().resolve().parent
        return folder.parent if folder.name == "features" else chosen_home(None)

    def _prepared(self, X: Any) -> tuple[GivenImages, ImageRecipe]:
        super()._check()
        recipe = self._recipe()
        images = given_images(X, Reading(recipe.experiment.dataset.max_pixels, recipe.resizing.ranges))
        _say(images)
        return images, recipe

    def _recipe(self) -> ImageRecipe:
        return recipe_of_cache(self._open(), self._home())

    def _open(self) -> features.Features:
        return features.open_features(self._path())

    def _path(self) -> Path:
        return arguments.path("path", self.path, "the folder of a cache")


def _say(images: GivenImages) -> None:
    for text in images.notices:
        warnings.warn(text, UserWarning, stacklevel=5)


def _listed(value: Any) -> Any:
    """Return one word as a list of it."""
    return [value] if isinstance(value, str) else arguments.plain(value)
