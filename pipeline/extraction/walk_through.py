"""The walk-through's stage one, written out cleanly: what the benchmark compares with.

Everything is resized up front, `model.predict` runs in float32, and all features are saved at the end. Nothing of the
project's own path is used.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def walk_through(model: keras.Model, images: np.ndarray, size: tuple[int, int], target: Path) -> np.ndarray:
    """Extract features as the walk-through does.

    Args:
        model: takes float32 RGB 0..255 of `size` and gives spatial features.
        images: `(n, height, width, 3)` uint8.
        size: height and width of the model's input.
        target: the .npz file to write.

    Returns:
        The features, `(n, channels)` float32, pooled by their average.
    """
    resized = np.concatenate(
        [tf.image.resize(images[start : start + 500], size).numpy() for start in range(0, len(images), 500)]
    )
    features = model.predict(resized, batch_size=32, verbose=0)
    if features.ndim == 4:
        features = features.mean(axis=(1, 2))
    np.savez(target, features=features)
    return features
