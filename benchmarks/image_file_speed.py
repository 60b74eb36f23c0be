"""How fast stage one is from 2,000 JPEG files of 500×375 pixels, against the same images from memory, in turn.

python benchmarks/image_file_speed.py BACKBONE LAYER     (such as …/resnet50_v15_pqf.keras conv5_block3_out)
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import click
import numpy as np
from PIL import Image
from skimage import data

from bottleneck_features import features, models
from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.datasets.dataset import ArrayDataset
from bottleneck_features.pipeline.experiment import BackboneSettings, Experiment, InputSettings
from bottleneck_features.pipeline.extraction.extract import fill
from bottleneck_features.pipeline.extraction.identity import targets_of
from bottleneck_features.pipeline.results import Clock

FILES, WIDTH, HEIGHT = 2000, 500, 375
SIZE = (200, 200)
BATCH, ROUNDS = 32, 3


@click.command(help=__doc__)
@click.argument("backbone")
@click.argument("layer")
def main(backbone: str, layer: str) -> None:
    """Print images/s of each round and the median ratio."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        _write_files(home / "pictures")
        experiment = Experiment(
            "speed", DatasetSettings("folder", str(home / "pictures"), test_fraction=0.0), BackboneSettings(backbone, (layer,)),
            input=InputSettings(size=SIZE),
        )  # fmt: skip
        files = open_dataset(experiment, home)
        pixels = files.images("train", np.arange(len(files.splits["train"])))
        memory = ArrayDataset("in memory", files.class_names, {"train": pixels}, files.splits)
        extractor = models.build_extractor(
            models.load_backbone(backbone, size=SIZE), [layer], input_shape=SIZE, batch_size=BATCH
        )
        _stage(_few(memory), extractor, home / "warm")
        rounds = []
        for number in range(ROUNDS):
            seconds = [_stage(source, extractor, home / f"{number}-{i}") for i, source in enumerate((memory, files))]
            rounds.append(seconds[0] / seconds[1])
            print(
                ", ".join(f"{FILES / second:.1f}" for second in seconds), "images/s from memory, from files", flush=True
            )
    print(f"{extractor.engine} {extractor.precision}: from files {median(rounds):.1%} of the rate from memory")


def _write_files(folder: Path) -> None:
    """Crops of real photographs at their own scale, saved as cameras do."""
    sources = [Image.fromarray(picture) for picture in (data.chelsea(), data.coffee(), data.astronaut(), data.rocket())]
    random = np.random.default_rng(0)
    for number in range(FILES):
        picture = sources[number % len(sources)]
        left, top = (int(random.integers(0, max(1, side // 4))) for side in picture.size)
        crop = picture.crop((left, top, picture.width, picture.height)).resize(
            (WIDTH, HEIGHT), Image.Resampling.LANCZOS
        )
        path = folder / f"class-{number % 2}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        crop.save(path, quality=90)


def _few(dataset: ArrayDataset) -> Dataset:
    """The first few batches, to warm up."""
    few = dataset.splits["train"].take(np.arange(4 * BATCH))
    return ArrayDataset(
        "few", dataset.class_names, {"train": dataset.images("train", np.arange(4 * BATCH))}, {"train": few}
    )


def _stage(dataset: Dataset, extractor: models.Extractor, path: Path) -> float:
    samples = dataset.splits["train"]
    spec = {layer: features.ArraySpec(shape, "float16") for layer, shape in extractor.output_shapes.items()}
    plan = {"train": features.SplitPlan(samples.ids)}
    start = time.perf_counter()
    writing = features.CacheWriter(
        path, {"run": path.name}, plan, spec, targets_of(dataset), shard_size=256, provenance={}
    )
    with writing as writer:
        fill(writer, dataset, lambda: extractor, BATCH, Clock())
        writer.finish()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
