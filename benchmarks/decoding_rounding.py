"""How far rounding to 8 bits on the host moves pooled features, against resizing in float.

BOTTLENECK_REAL_DATA=… python benchmarks/decoding_rounding.py
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import keras
import numpy as np
import tensorflow as tf
from arguments import real_data
from PIL import Image

from bottleneck_features import models
from bottleneck_features.pipeline.datasets.pixels.decoding import load
from bottleneck_features.pipeline.datasets.pixels.resizing import Resizing

SIDE = 224
PHOTOGRAPHS, ENLARGED = 48, 40
LAYER = "conv5_block3_out"


@click.command(help=__doc__)
@real_data
def main(data: Path) -> None:
    """Print the mean and the largest relative L2 distance."""
    backbone = models.load_backbone(str(data / "weights" / "resnet50_v15_pqf.keras"), size=(SIDE, SIDE))
    network = keras.Model(backbone.model.inputs[0], backbone.model.get_layer(LAYER).output)
    found = sorted((data / "mini_natural_images" / "test").rglob("*.jpg"))
    others = [path for path in found if Image.open(path).size != (SIDE, SIDE)]
    chosen = np.random.default_rng(0).permutation(len(others))[:PHOTOGRAPHS]
    _report("photographs of mini natural images", network, [others[i] for i in chosen])
    with tempfile.TemporaryDirectory() as folder:
        large = []
        for path in sorted((data / "emergency_small" / "images").iterdir())[:ENLARGED]:
            picture = Image.open(path).convert("RGB").resize((1600, 1200), Image.Resampling.BICUBIC)
            large.append(Path(folder) / f"{path.stem}.jpg")
            picture.save(large[-1], quality=92)
        _report("1600×1200, shrunk by libjpeg first", network, large)


def _report(title: str, network: keras.Model, paths: Sequence[Path]) -> None:
    resizing = Resizing((SIDE, SIDE), antialias=True)
    ours = _features(network, [load(path, resizing) for path in paths])
    exact = _features(network, [_in_float(path) for path in paths])
    distance = np.linalg.norm(ours - exact, axis=1) / np.linalg.norm(exact, axis=1)
    print(f"{title}: n = {len(paths)}, mean {distance.mean():.1%}, largest {distance.max():.1%}")


def _in_float(path: Path) -> np.ndarray:
    pixels = np.asarray(Image.open(path).convert("RGB"), np.float32)
    planes = [Image.fromarray(pixels[..., c]).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for c in range(3)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def _features(network: keras.Model, images: Sequence[np.ndarray]) -> np.ndarray:
    batches = [np.stack(images[start : start + 16]).astype(np.float32) for start in range(0, len(images), 16)]
    return np.concatenate([network(tf.constant(batch), training=False).numpy().mean((1, 2)) for batch in batches])


if __name__ == "__main__":
    main()
