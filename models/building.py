"""Compile an extractor from a backbone, and check it against float32 Keras."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from bottleneck_features.errors import first_line
from bottleneck_features.models.backbones import Backbone
from bottleneck_features.models.engines import Engine, resolve_engine
from bottleneck_features.models.errors import EngineMismatch, EngineUnavailable, require_choice
from bottleneck_features.models.extractor import Extractor
from bottleneck_features.models.input_check import INPUT, input_figures, output_figures
from bottleneck_features.models.networks import write_network
from bottleneck_features.models.recipe import POOLINGS, Recipe
from bottleneck_features.models.tracing import trace, truncated

CHECK_IMAGES = 8
# lowest cosine with the float32 features that an engine may have; a wrong engine is far below
STANDARDISING = (keras.layers.Normalization, keras.layers.BatchNormalization)
LEAST_COSINE = {"float32": 0.9999, "bfloat16": 0.95, "float16": 0.95, "int8": 0.8}


def build_extractor(
    backbone: Backbone,
    layers: Sequence[str],
    *,
    pooling: str | Sequence[str] = "auto",
    input_shape: tuple[int, int] | None = None,
    resize: str = "bilinear",
    antialias: bool = False,
    views: Sequence[str] = ("identity",),
    engine: str = "auto",
    precision: str = "auto",
    batch_size: int = 32,
    calibration: np.ndarray | None = None,
    network_file: Path | None = None,
) -> Extractor:
    """Compile one function that resizes, preprocesses, runs the backbone and pools, and check it.

    Args:
        backbone: from `load_backbone`; its `size` is what images are resized to.
        layers: the layers to take, all in one pass.
        pooling: one of `POOLINGS`, for all layers or one for each.
        input_shape: height and width of the uint8 images; by default the backbone's size.
        resize: kernel, as in `tf.image.resize`.
        antialias: whether the kernel widens when an image shrinks.
        views: `"identity"`, `"hflip"`, or both.
        engine: as in `resolve_engine`.
        precision: as in `resolve_engine`.
        batch_size: images per call.
        calibration: uint8 images `(n, *input_shape, 3)` from the training split. int8 needs them; where given,
            the check at start-up uses the first of them too.
        network_file: where OpenVINO's network is written too, an `.xml` file with a `.bin` file beside it, for
            `open_extractor`; by default nowhere. TensorFlow writes none.

    Returns:
        The extractor.

    Raises:
        UnknownLayer: if a layer does not exist.
        InvalidSetting: if another value is not valid.
        EngineUnavailable: if engine or precision are not to be had here.
        EngineMismatch: if the engine's output is not that of float32 Keras.
        OSError: if `network_file` cannot be written.
    """
    engine, precision = resolve_engine(engine, precision)
    layers = tuple(layers)
    backbone.require_layers(layers)
    poolings = (pooling,) if isinstance(pooling, str) else tuple(pooling)
    recipe = backbone_recipe(backbone, layers, poolings, input_shape, resize=resize, antialias=antialias, views=views)
    model = truncated(backbone.model, layers)
    if engine == "openvino":
        running = _openvino(backbone.name, model, recipe, precision, batch_size, calibration, network_file)
    else:
        running = _tensorflow(backbone, recipe, precision, batch_size)
    images = _check_images(recipe, calibration, batch_size)
    reference = _reference(model, recipe, images)
    shapes = {layer: array.shape[1:] for layer, array in reference.items()}
    gflop = gflop_per_image(model, len(recipe.views))
    unchecked = Extractor(recipe, engine, precision, batch_size, shapes, {}, gflop, running.depth, running)
    check = require_agreement(
        unchecked(images), reference, f"The {engine} engine in {precision}", LEAST_COSINE[precision]
    )
    seen = {INPUT: input_figures(_first_input(backbone, colour_fields(recipe.size, CHECK_IMAGES)))}
    figures = {layer: {**check[layer], **output_figures(reference[layer])} for layer in check}
    return replace(unchecked, check={**figures, **seen})


def backbone_recipe(
    backbone: Backbone,
    layers: tuple[str, ...],
    poolings: tuple[str, ...],
    input_shape: tuple[int, int] | None = None,
    *,
    resize: str = "bilinear",
    antialias: bool = False,
    views: Sequence[str] = ("identity",),
) -> Recipe:
    """Return the recipe of a backbone's layers, with what `auto` means for each; arguments as for `build_extractor`.

    Raises:
        InvalidSetting: if a layer has not what is to be read of it, or another value is not valid.
    """
    poolings = poolings * len(layers) if len(poolings) == 1 else poolings
    for pooling in poolings:
        require_choice("features.pooling", pooling, POOLINGS)
    readings = poolings
    if len(poolings) == len(layers):
        readings = tuple(backbone.reading(layer, pooling) for layer, pooling in zip(layers, poolings, strict=True))
    tokens = tuple(backbone.tokens_of(layer) for layer in layers)
    own = tokens if any(tokens) else ()
    return Recipe(layers, readings, input_shape or backbone.size, backbone.size, resize, antialias, tuple(views), own)


def _openvino(
    name: str,
    model: keras.Model,
    recipe: Recipe,
    precision: str,
    batch_size: int,
    calibration: np.ndarray | None,
    network_file: Path | None,
) -> Engine:
    from bottleneck_features.models.engines.conversion import converted
    from bottleneck_features.models.engines.openvino import OpenVINOEngine

    try:
        network = converted(model, recipe, precision, calibration)
        if network_file:
            write_network(network, network_file)
        return OpenVINOEngine(network, recipe, precision, batch_size)
    except RuntimeError as error:  # OpenVINO's for all it does not know
        raise EngineUnavailable(
            f"OpenVINO cannot run '{name}' ({first_line(error)}): --set compute.engine=tensorflow"
        ) from error


def _tensorflow(backbone: Backbone, recipe: Recipe, precision: str, batch_size: int) -> Engine:
    from bottleneck_features.models.engines.tensorflow import TensorFlowEngine

    return TensorFlowEngine(lambda: backbone.in_precision(recipe.layers, precision), recipe, batch_size)


def _check_images(recipe: Recipe, calibration: np.ndarray | None, batch_size: int) -> np.ndarray:
    """Return the first calibration images, else seeded smooth colour fields with some noise."""
    n = min(CHECK_IMAGES, batch_size)
    if calibration is not None and len(calibration):
        return calibration[:n]
    return colour_fields(recipe.input_shape, n)


def colour_fields(size: tuple[int, int], n: int) -> np.ndarray:
    """Return `n` smooth images of all colours with some noise, uint8 `(n, *size, 3)`; always the same."""
    random = np.random.default_rng(0)
    fields = tf.image.resize(random.uniform(0, 255, (n, 6, 6, 3)), size, "bicubic").numpy()
    return np.clip(fields + random.normal(0, 12, fields.shape), 0, 255).astype(np.uint8)


def _first_input(backbone: Backbone, images: np.ndarray) -> np.ndarray:
    """Return what reaches the first layer with weights that does not standardise itself."""
    graph = backbone.model._functional if isinstance(backbone.model, keras.Sequential) else backbone.model
    nodes = [node for depth in sorted(graph._nodes_by_depth, reverse=True) for node in graph._nodes_by_depth[depth]]
    for node in nodes:
        layer = node.operation
        if not isinstance(layer, STANDARDISING) and getattr(layer, "weights", None):
            before = keras.Model(graph.inputs[0], node.input_tensors[0])
            return np.asarray(before(images.astype(np.float32), training=False))
    return images


def _reference(model: keras.Model, recipe: Recipe, images: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the features by the untouched float32 model."""
    outputs = trace(model, recipe, len(images))(tf.constant(images))
    return {layer: outputs[f"out{i}"].numpy() for i, layer in enumerate(recipe.layers)}


def gflop_per_image(model: keras.Model, views: int = 1) -> float:
    """Count the multiply-adds of a model's kernels for one image, each as two, in 1e9.

    A kernel is used once at every position of its layer's output; biases, norms and resizing do not count.
    """
    return 2e-9 * views * sum(_positions(layer) * math.prod(layer.kernel.shape) for layer in _kernel_layers(model))


def _kernel_layers(model: keras.Model) -> list[keras.layers.Layer]:
    layers = model._flatten_layers(include_self=False)
    return [layer for layer in layers if getattr(layer, "kernel", None) is not None]


def _positions(layer: keras.layers.Layer) -> int:
    """Count the positions of the output of a layer; one where a layer inside another has no output of its own."""
    output = getattr(layer, "output", None)
    return 1 if output is None else math.prod(size or 1 for size in output.shape[1:-1])


def require_agreement(
    features: dict[str, np.ndarray], reference: dict[str, np.ndarray], who: str, least_cosine: float
) -> dict[str, dict[str, float]]:
    """Compare features with the reference, layer by layer.

    Args:
        features: arrays `(n, …)` by layer.
        reference: the same in float32 Keras.
        who: what made the features, for the message.
        least_cosine: the least mean cosine over the images.

    Returns:
        By layer, the mean `cosine` over the images, the `lowest_cosine`, and the `relative_error`: the L2 norm of
        all differences over that of the reference.

    Raises:
        EngineMismatch: if a layer has NaN or infinity, or too low a cosine.
    """
    return {layer: _compare(layer, features[layer], reference[layer], who, least_cosine) for layer in reference}


def _compare(layer: str, ours: np.ndarray, theirs: np.ndarray, who: str, least_cosine: float) -> dict[str, float]:
    if not np.isfinite(ours).all():
        raise EngineMismatch(
            f"{who} gives NaN or infinity in layer '{layer}' (an overflow): --set compute.precision=float32"
        )
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (ours, theirs))
    cosines = _cosines(a, b)
    error = float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(b)), 1e-30)
    if cosines.mean() < least_cosine:
        raise EngineMismatch(
            f"{who} disagrees with float32 Keras in layer '{layer}': mean cosine {cosines.mean():.4f}, "
            f"relative error {error:.3g}. --set compute.engine=tensorflow --set compute.precision=float32 works."
        )
    return {"cosine": float(cosines.mean()), "lowest_cosine": float(cosines.min()), "relative_error": error}


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine of each row; of two zero vectors 1, of one 0."""
    lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    product = lengths[0] * lengths[1]
    both_zero = (lengths[0] == 0) & (lengths[1] == 0)
    return np.where(product > 0, (a * b).sum(1) / np.where(product > 0, product, 1), both_zero.astype(float))
