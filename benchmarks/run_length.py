"""How near stage one comes to the bare forward pass, by the length of the run, and what lies between: synthetic 32×32 images.

python benchmarks/run_length.py …/resnet50_v15_pqf.keras conv5_block3_out --images 8192 --images 1228800
"""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np

from bottleneck_features import features, models
from bottleneck_features.pipeline.datasets.dataset import ArrayDataset, Dataset, Samples
from bottleneck_features.pipeline.extraction.extract import fill
from bottleneck_features.pipeline.extraction.identity import targets_of
from bottleneck_features.pipeline.results import Clock

SIDE = 32
SHARD = 1024
WARM_BATCHES = 8


@click.command(help=__doc__)
@click.argument("backbone")
@click.argument("layer")
@click.option("--images", "lengths", type=int, multiple=True, required=True, help="Of a run; may be repeated.")
@click.option("--batch", default=256, show_default=True, help="Images per batch.")
@click.option("--side", default=200, show_default=True, help="Of the network's input.")
def main(backbone: str, layer: str, lengths: tuple[int, ...], batch: int, side: int) -> None:
    """Print images/s of the network alone, with resizing, with batches from memory, and of stage one, which writes too."""
    network = models.load_backbone(backbone, size=(side, side))
    stage, bare = (
        models.build_extractor(network, [layer], input_shape=shape, batch_size=batch)
        for shape in ((SIDE, SIDE), (side, side))
    )
    random = np.random.default_rng(0)
    placed = random.integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    pixels = random.integers(0, 256, (max(*lengths, WARM_BATCHES * batch), SIDE, SIDE, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as scratch:
        bare.repeat(placed, WARM_BATCHES)
        _stage(_first(pixels, WARM_BATCHES * batch), stage, Path(scratch) / "warm")
        print(f"{stage.engine} {stage.precision}, batches of {batch}; images/s", flush=True)
        print("images | bare pass | with resizing | from memory | stage one | seconds outside extracting")
        for number, wanted in enumerate(lengths):
            batches = max(1, wanted // batch)
            count = batches * batch
            passes = (
                partial(bare.repeat, placed, batches),
                partial(stage.repeat, pixels[:batch], batches),
                partial(_map, stage, pixels[:count]),
            )
            whole, extracting = _stage(_first(pixels, count), stage, Path(scratch) / str(number))
            rates = [count / seconds for seconds in (*map(_seconds, passes), whole)]
            columns = [f"{rate:,.0f} ({rate / rates[0]:.0%})" for rate in rates]
            print(f"{count:,}", *columns, f"{whole - extracting:.2f} of {whole:.2f}", sep=" | ", flush=True)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _map(extractor: models.Extractor, pixels: np.ndarray) -> None:
    for _ in extractor.map(np.split(pixels, len(pixels) // extractor.batch_size)):
        pass


def _first(pixels: np.ndarray, count: int) -> Dataset:
    samples = Samples(np.array([f"synthetic-{i:07d}" for i in range(count)]), np.zeros(count, np.int64))
    return ArrayDataset("synthetic noise", ("noise",), {"train": pixels[:count]}, {"train": samples})


def _stage(dataset: Dataset, extractor: models.Extractor, path: Path) -> tuple[float, float]:
    """Return the seconds of stage one, and those of them that it extracted."""
    spec = {layer: features.ArraySpec(shape, "float16") for layer, shape in extractor.output_shapes.items()}
    plan = {"train": features.SplitPlan(dataset.splits["train"].ids)}
    clock = Clock()
    start = time.perf_counter()
    writing = features.CacheWriter(
        path, {"run": path.name}, plan, spec, targets_of(dataset), shard_size=SHARD, provenance={}
    )
    with writing as writer:
        fill(writer, dataset, lambda: extractor, extractor.batch_size, clock)
        writer.finish()
    return time.perf_counter() - start, clock.seconds["extract"]


if __name__ == "__main__":
    main()
