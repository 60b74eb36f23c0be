"""The walk-through's stage one, written out cleanly: what the benchmark compares with.

Everything is resized up front, `model.predict` runs in float32, and all features are saved at the end. Nothing of the
project's own path is used.
"""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

BATCH = 32
Predict = Callable[[np.ndarray], np.ndarray]


def predict_by(model: keras.Model) -> Predict:
    """Return what calls a model as the walk-through does."""
    return lambda images: model.predict(images, batch_size=BATCH, verbose=0)


def walk_through(predict: Predict, images: np.ndarray, size: tuple[int, int], target: Path) -> np.ndarray:
    """Extract features as the walk-through does.

    Args:
        predict: takes float32 RGB 0..255 of `size` and gives spatial features.
        images: `(n, height, width, 3)` uint8.
        size: height and width of what it takes.
        target: the .npz file to write.

    Returns:
        The features, `(n, channels)` float32, pooled by their average.
    """
    resized = np.concatenate(
        [tf.image.resize(images[start : start + 500], size).numpy() for start in range(0, len(images), 500)]
    )
    features = predict(resized)
    if features.ndim == 4:
        features = features.mean(axis=(1, 2))
    np.savez(target, features=features)
    return features
