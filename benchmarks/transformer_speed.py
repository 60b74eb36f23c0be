"""How fast a ViT-S/14 (DINOv2's small one, random weights: they change no speed) runs, beside ResNet-50 and Keras' `predict`.

Every variant in turn, several times over; the medians count.

    python benchmarks/transformer_speed.py
"""

import statistics
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from bottleneck_features.pipeline.machine import hardware
from bottleneck_features.quiet import import_tensorflow

SIZE, BATCH, BATCHES, TURNS = 224, 32, 2, 5


@click.command(help=__doc__)
def main() -> None:
    """Build both networks, and time them in turn."""
    import_tensorflow()
    import keras_hub

    from bottleneck_features import models

    network = keras_hub.models.DINOV2Backbone(
        patch_size=14,
        num_layers=12,
        hidden_dim=384,
        num_heads=6,
        intermediate_dim=1536,
        image_shape=(518, 518, 3),
        position_embedding_shape=(518, 518),
    )
    images = np.random.default_rng(0).integers(0, 256, (BATCH * BATCHES, SIZE, SIZE, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        name = str(Path(folder, "vit-s14"))
        network.save_to_preset(name)
        del network
        began = time.perf_counter()
        vit = models.load_backbone(name, size=(SIZE, SIZE), preprocessing=models.NAMED["torch"])
        built = {"ViT-S/14": (vit, "norm")}
        fast = models.build_extractor(vit, ["norm"], engine="openvino", precision="auto", batch_size=BATCH)
        print(f"built and compiled a ViT-S/14 in {time.perf_counter() - began:.1f} s ({fast.precision})", flush=True)
        built["ResNet-50"] = (models.load_backbone("resnet50", "random", (SIZE, SIZE)), "conv5_block3_out")
        runs = {
            f"{title}, {precision}": models.build_extractor(
                backbone, [layer], engine="openvino", precision=precision, batch_size=BATCH, calibration=images
            )
            for title, (backbone, layer) in built.items()
            for precision in dict.fromkeys(("float32", fast.precision, "int8"))
        }
        calls = {title: (lambda one=run: [*one.map(np.split(images, BATCHES))]) for title, run in runs.items()}
        for title, (backbone, _) in built.items():
            calls[f"{title}, Keras' predict"] = lambda one=backbone: one.model.predict(images, BATCH, verbose=0)
        seconds: dict[str, list[float]] = {title: [] for title in calls}
        for turn in range(TURNS + 1):
            for title, call in calls.items():
                began = time.perf_counter()
                call()
                if turn:  # the first one warms up
                    seconds[title].append(time.perf_counter() - began)
    print(f"{hardware()['processor']}; {SIZE}×{SIZE}, batches of {BATCH}, medians of {TURNS}")
    for title, taken in seconds.items():
        print(f"{title:32} {len(images) / statistics.median(taken):8.1f} images/s")


if __name__ == "__main__":
    main()
