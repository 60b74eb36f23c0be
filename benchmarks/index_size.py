"""What the index of a large data set costs in memory.

python benchmarks/index_size.py FOLDER 1000000

Writes so many tiny JPEGs into tar shards of 10,000 (WebDataset's convention, 100 classes) and into Parquet files of 100,000
(Hugging Face's) below FOLDER unless they are there, then opens both twice in processes of their own: looking at every image,
and from what was remembered. Bytes are those that the process grows by (peak), and, the second time, those that Python and
NumPy still hold (tracemalloc).
"""

import gc
import itertools
import json
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import click
import psutil
from arguments import NEW

from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.machine import peak_memory_mib

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # where images are packed as people pack them

from imagefiles import encoded, picture
from packing import parquet_of, tar_of

FILES = {"tar": 10_000, "parquet": 100_000}
CLASSES, ROW_GROUP = 100, 1000


@click.command(help=__doc__)
@click.argument("folder", type=NEW)
@click.argument("images", type=click.IntRange(min=1))
@click.option("--source", "only", type=click.Choice(tuple(FILES)), help="Open only this one, in this process.")
@click.option("--recall", is_flag=True, help="Of --source: it was opened before.")
def main(folder: Path, images: int, only: str | None, recall: bool) -> None:
    """Print time, memory at rest and peak memory of both ways."""
    if only:
        print(json.dumps(_open(folder, only, traced=recall)))
        return
    _write(folder, images)
    for source, way in itertools.product(FILES, ("look", "recall")):
        asked = ["--source", source, *["--recall"] * (way == "recall")]
        command = [sys.executable, __file__, str(folder), str(images), *asked]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        print(
            f"{source}, {way}: {found['images']:,} images in {found['seconds']:.1f} s ({found['cpu']:.1f} s of processor time), "
            f"peak {found['peak'] / found['images']:.1f} bytes per image, held {found['held'] / found['images']:.1f}",
            flush=True,
        )


def _write(folder: Path, images: int) -> None:
    pictures = [encoded(picture(label, size=(8, 8))) for label in range(CLASSES)]
    for source, size in FILES.items():
        for first in range(0, images, size):
            path, numbers = folder / source / f"{first // size:05d}.{source}", range(first, min(first + size, images))
            if path.exists():
                continue
            whole = path.with_suffix(".unfinished")
            if source == "parquet":
                rows = [(f"{number:09d}.jpg", pictures[number % CLASSES]) for number in numbers]
                names = [str(label) for label in range(CLASSES)]
                parquet_of(whole, rows, [number % CLASSES for number in numbers], names, ROW_GROUP)
            else:
                members = []
                for number in numbers:
                    label = number % CLASSES
                    members += [(f"{number:09d}.cls", str(label).encode()), (f"{number:09d}.jpg", pictures[label])]
                tar_of(whole, members)
            whole.rename(path)


def _open(folder: Path, source: str, traced: bool) -> dict[str, float]:
    words = (
        f"dataset.source={source}",
        f"dataset.path={folder / source}",
        "dataset.test_fraction=0",
        "input.size=32,32",
    )
    experiment = load_experiment("natural-images", words)
    process = psutil.Process()
    gc.collect()
    before, started = process.memory_info().rss, time.perf_counter()
    dataset = open_dataset(experiment, folder / "home")
    seconds, cpu = time.perf_counter() - started, sum(process.cpu_times()[:2])
    images, peak, held = len(dataset.splits["train"]), int(peak_memory_mib() * 2**20) - before, 0
    if traced:
        del dataset
        tracemalloc.start()
        dataset = open_dataset(experiment, folder / "home")
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    return {"images": images, "seconds": seconds, "cpu": cpu, "peak": peak, "held": held}


if __name__ == "__main__":
    main()
