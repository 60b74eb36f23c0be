"""How fast a registered network's own ONNX export runs as a backbone, against the Keras model, in turn.

python benchmarks/onnx_speed.py efficientnet-lite0
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import click
import numpy as np

from bottleneck_features import models
from bottleneck_features.models.building import backbone_recipe
from bottleneck_features.models.deployable import LinearHead, deployable
from bottleneck_features.models.formats import FORMATS

BATCH, BATCHES = 32, 6


@click.command(help=__doc__)
@click.argument("name", default="efficientnet-lite0")
@click.option("--rounds", default=9, show_default=True, help="Of both, one after the other.")
@click.option("--precision", "precisions", multiple=True, default=("float32", "bfloat16", "int8"), show_default=True)
def main(name: str, rounds: int, precisions: tuple[str, ...]) -> None:
    """Export the network, read it back, and run both on the same images."""
    original = models.load_keras_backbone(name)
    layer = models.default_layers(name)[-1]
    images = np.random.default_rng(0).integers(0, 256, (BATCH, *original.size, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        read = models.load_backbone(str(_exported(original, layer, Path(folder))))
        last = next(other for other in read.layer_names if f".{layer}_1." in other)
        for precision in precisions:
            options = {"precision": precision, "batch_size": BATCH, "calibration": images}
            ours = models.build_extractor(original, [layer], **options)
            theirs = models.build_extractor(read, [last], **options)
            rates = [(_rate(ours, images), _rate(theirs, images)) for _ in range(rounds)]
            keras, onnx = (median(column) for column in zip(*rates, strict=True))
            ratios = sorted(other / one for one, other in rates)
            print(
                f"{name} {precision}: Keras {keras:.1f}, ONNX {onnx:.1f} images/s, "
                f"ratio {median(ratios):.3f} ({ratios[0]:.3f}–{ratios[-1]:.3f})"
            )


def _exported(backbone: models.Backbone, layer: str, folder: Path) -> Path:
    recipe = backbone_recipe(backbone, (layer,), ("avg",))
    features = backbone.output_shape(layer)[-1] or 1
    head = LinearHead(np.zeros((2, features), np.float32), np.zeros(2, np.float32), 1.0)
    FORMATS["onnx"].write(deployable(backbone.model, recipe, head), folder / "model.onnx", ["a", "b"])
    return folder / "model.onnx"


def _rate(extractor: models.Extractor, images: np.ndarray) -> float:
    start = time.perf_counter()
    extractor.repeat(images, BATCHES)
    return BATCH * BATCHES / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
