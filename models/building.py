"""Compile an extractor from a backbone, and check it against a reference in float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from bottleneck_features.errors import first_line
from bottleneck_features.models.backbones import Backbone
from bottleneck_features.models.engine_choice import backbone_engine
from bottleneck_features.models.engines import Engine
from bottleneck_features.models.errors import EngineMismatch, EngineUnavailable, require_choice
from bottleneck_features.models.extractor import Extractor
from bottleneck_features.models.fitting import Fit
from bottleneck_features.models.input_check import input_figures, output_figures
from bottleneck_features.models.layered import Layered
from bottleneck_features.models.networks import write_network
from bottleneck_features.models.recipe import POOLINGS, Recipe

CHECK_IMAGES = 8
# lowest cosine with the float32 features that an engine may have; a wrong engine is far below
LEAST_COSINE = {"float32": 0.9999, "bfloat16": 0.95, "float16": 0.95, "int8": 0.8}


def build_extractor(
    backbone: Layered,
    layers: Sequence[str],
    *,
    pooling: str | Sequence[str] = "auto",
    input_shape: tuple[int, int] | None = None,
    resize: str = "bilinear",
    antialias: bool = False,
    views: Sequence[str] = ("identity",),
    fit: Fit = "stretch",
    crop_share: float = 1.0,
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
        fit: `"stretch"`, `"crop"` or `"pad"`, what images of another aspect become; of those that were fitted before,
            `"stretch"`.
        crop_share: the share of the shorter side that a crop keeps.
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
        EngineMismatch: if the engine's output is not that of the backbone's reference: float32 Keras; of an `.onnx` file ONNX
            Runtime where it and `onnx` are installed; else OpenVINO in float32.
        OSError: if `network_file` cannot be written.
    """
    engine, precision = backbone_engine(backbone.name, engine, precision)
    layers = tuple(layers)
    backbone.require_layers(layers)
    poolings = (pooling,) if isinstance(pooling, str) else tuple(pooling)
    recipe = backbone_recipe(
        backbone,
        layers,
        poolings,
        input_shape,
        resize=resize,
        antialias=antialias,
        views=views,
        fit=fit,
        crop_share=crop_share,
    )
    if engine == "openvino" or not isinstance(backbone, Backbone):
        running = _openvino(backbone, recipe, precision, batch_size, calibration, network_file)
    else:
        running = _tensorflow(backbone, recipe, precision, batch_size)
    images = _check_images(recipe, calibration, batch_size)
    reference = backbone.reference(recipe, images)
    shapes = {layer: array.shape[1:] for layer, array in reference.items()}
    gflop = backbone.gflop_per_image(recipe)
    unchecked = Extractor(recipe, engine, precision, batch_size, shapes, {}, gflop, running.depth, running)
    check = require_agreement(
        unchecked(images),
        reference,
        f"The {engine} engine in {precision}",
        LEAST_COSINE[precision],
        against=backbone.reference_name,
        remedy=backbone.surest,
    )
    seen = input_figures(backbone.first_input(colour_fields(recipe.size, CHECK_IMAGES)))
    figures = {layer: {**check[layer], **output_figures(reference[layer]), **seen} for layer in check}
    return replace(unchecked, check=figures)


def backbone_recipe(
    backbone: Layered,
    layers: tuple[str, ...],
    poolings: tuple[str, ...],
    input_shape: tuple[int, int] | None = None,
    *,
    resize: str = "bilinear",
    antialias: bool = False,
    views: Sequence[str] = ("identity",),
    fit: Fit = "stretch",
    crop_share: float = 1.0,
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
    sizes = input_shape or backbone.size, backbone.size
    return Recipe(layers, readings, *sizes, resize, antialias, tuple(views), own, fit, crop_share)


def _openvino(
    backbone: Layered,
    recipe: Recipe,
    precision: str,
    batch_size: int,
    calibration: np.ndarray | None,
    network_file: Path | None,
) -> Engine:
    from bottleneck_features.models.engines.openvino import OpenVINOEngine

    try:
        network = backbone.converted(recipe, precision, calibration)
        if network_file:
            write_network(network, network_file)
        return OpenVINOEngine(network, recipe, precision, batch_size)
    except RuntimeError as error:  # OpenVINO's for all it does not know
        raise EngineUnavailable(
            f"OpenVINO cannot run '{backbone.name}' ({first_line(error)}). {backbone.surest}"
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


def require_agreement(
    features: dict[str, np.ndarray],
    reference: dict[str, np.ndarray],
    who: str,
    least_cosine: float,
    *,
    against: str = "float32 Keras",
    remedy: str = "",
) -> dict[str, dict[str, float]]:
    """Compare features with the reference, layer by layer.

    Args:
        features: arrays `(n, …)` by layer.
        reference: the same in float32.
        who: what made the features, for the message.
        least_cosine: the least mean cosine over the images.
        against: what made the reference, for the message.
        remedy: what to do about a difference, a sentence.

    Returns:
        By layer, the mean `cosine` over the images, the `lowest_cosine`, and the `relative_error`: the L2 norm of
        all differences over that of the reference.

    Raises:
        EngineMismatch: if a layer has NaN or infinity, or too low a cosine.
    """
    found = {}
    for layer in reference:
        if not np.isfinite(features[layer]).all():
            raise EngineMismatch(
                f"{who} gives NaN or infinity in layer '{layer}' (an overflow): --set compute.precision=float32"
            )
        figures = found[layer] = _compared(features[layer], reference[layer])
        if figures["cosine"] < least_cosine:
            raise EngineMismatch(
                f"{who} disagrees with {against} in layer '{layer}': mean cosine {figures['cosine']:.4f}, "
                f"relative error {figures['relative_error']:.3g}. {remedy}".rstrip()
            )
    return found


def _compared(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (ours, theirs))
    cosines = _cosines(a, b)
    error = float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(b)), 1e-30)
    return {"cosine": float(cosines.mean()), "lowest_cosine": float(cosines.min()), "relative_error": error}


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cosine of each row; of two zero vectors 1, of one 0."""
    lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    product = lengths[0] * lengths[1]
    both_zero = (lengths[0] == 0) & (lengths[1] == 0)
    return np.where(product > 0, (a * b).sum(1) / np.where(product > 0, product, 1), both_zero.astype(float))
