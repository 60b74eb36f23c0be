"""From a Keras model to a network of OpenVINO: the traced function converted, and for int8 quantised."""

from __future__ import annotations

import contextlib
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING
from unittest.mock import patch

import keras
import numpy as np
import tensorflow as tf

from bottleneck_features.models.engines import import_openvino
from bottleneck_features.models.errors import EngineUnavailable
from bottleneck_features.models.recipe import Recipe
from bottleneck_features.models.tracing import RESIZING, trace

if TYPE_CHECKING:
    import openvino

CALIBRATION_BATCH = 4


def converted(
    model: keras.Model, recipe: Recipe, precision: str, calibration: np.ndarray | None = None
) -> openvino.Model:
    """Convert a model for OpenVINO.

    Args:
        model: the truncated float32 model.
        recipe: what surrounds it.
        precision: `"float32"`, `"bfloat16"` or `"int8"`.
        calibration: uint8 images `(n, *input_shape, 3)` of the kind to come, for int8.

    Returns:
        The network of uint8 images in, with the outputs `out0`, `out1`, …, one for each layer of the recipe.

    Raises:
        EngineUnavailable: too few calibration images.
    """
    with _convertible_updates():
        network = from_tensorflow(trace(model, recipe, None))
    return quantised(network, calibration) if precision == "int8" else network


def from_tensorflow(function: Callable) -> openvino.Model:
    """Convert a concrete function."""
    runtime = import_openvino()  # before anything else of OpenVINO, which would report its use
    # shared weights point into the frozen graph, which is gone after the conversion: at random, garbage
    with _working_converter():
        return runtime.convert_model(function, share_weights=False)


@contextlib.contextmanager
def _working_converter() -> Iterator[None]:
    """Tell OpenVINO's converter TensorFlow's version.

    It asks for it by `exec` and then deletes a variable that, since Python 3.13 (PEP 667), no `exec` leaves in a function:
    NameError, in OpenVINO 2026.4.
    """
    from openvino.frontend.tensorflow import utils

    known = {"tensorflow": tf.__version__, "python_version": platform.python_version(), "sys_platform": sys.platform}
    with patch.object(utils, "get_environment_setup", lambda framework: known):
        yield


@contextlib.contextmanager
def _convertible_updates() -> Iterator[None]:
    """Let Keras update slices by operations that OpenVINO knows: Swin's masks are made so, XlaDynamicUpdateSlice has no rule."""
    from keras.src.backend.tensorflow import core

    def slice_update(inputs: tf.Tensor, start_indices: Sequence[int], updates: tf.Tensor) -> tf.Tensor:
        sides = zip(start_indices, updates.shape, inputs.shape, strict=True)
        paddings = [(start, whole - start - part) for start, part, whole in sides]
        inside = tf.pad(tf.ones(updates.shape, tf.bool), paddings)
        return tf.where(inside, tf.pad(updates, paddings), inputs)

    with patch.object(core, "slice_update", slice_update):
        yield


def quantised(model: openvino.Model, calibration: np.ndarray | None) -> openvino.Model:
    """Quantise a trained model, with activation ranges from the calibration images.

    The slower bias correction is worth it: on the real ResNet50 cosine 0.991 with float32 instead of 0.989, on
    EfficientNet-Lite0 0.986 instead of 0.977.

    Raises:
        EngineUnavailable: too few calibration images.
    """
    if calibration is None or len(calibration) < CALIBRATION_BATCH:
        raise EngineUnavailable(f"int8 needs at least {CALIBRATION_BATCH} calibration images.")
    with contextlib.redirect_stdout(sys.stderr):  # NNCF shows its progress on stdout
        import nncf

        batches = len(calibration) // CALIBRATION_BATCH
        model.reshape([CALIBRATION_BATCH, *calibration.shape[1:]])
        data = nncf.Dataset(np.split(calibration[: batches * CALIBRATION_BATCH], batches))
        resizing = nncf.IgnoredScope(
            patterns=[f".*{RESIZING}.*"], validate=False
        )  # the processor has no such int8 product
        return nncf.quantize(
            model, data, preset=nncf.QuantizationPreset.MIXED, subset_size=batches, fast_bias_correction=False,
            ignored_scope=resizing,
        )  # fmt: skip
