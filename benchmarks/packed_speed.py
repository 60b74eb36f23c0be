"""How fast packed images are read, against loose files.

BOTTLENECK_REAL_DATA=… python benchmarks/packed_speed.py

Reads and decodes the training images of mini natural images (224×224) from the folder, a tar archive and a Parquet file, in
turn, in batches of 32; everything is in the page cache.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import click
import numpy as np
from arguments import real_data

from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.experiment_file import load_experiment

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # where images are packed as people pack them

from packing import parquet_of_folder, tar_of_folder

BATCH, ROUNDS = 32, 7


@click.command(help=__doc__)
@real_data
def main(data: Path) -> None:
    """Print images/s of each source: the median of the rounds, the least and the most."""
    root = data / "mini_natural_images" / "train"
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        paths = {
            "folder": root,
            "tar": tar_of_folder(root, home / "x.tar"),
            "parquet": parquet_of_folder(root, home / "x.parquet"),
        }
        opened = {source: _open(source, path, home) for source, path in paths.items()}
        rates: dict[str, list[float]] = {source: [] for source in opened}
        for number in range(ROUNDS + 1):
            for source, dataset in opened.items():
                rate = _rate(dataset)
                if number:  # the first one warms up
                    rates[source].append(rate)
        for source, found in rates.items():
            print(f"{source}: {median(found):.0f} images/s ({min(found):.0f} to {max(found):.0f})")


def _open(source: str, path: Path, home: Path) -> Dataset:
    words = (f"dataset.source={source}", f"dataset.path={path}", "dataset.test_fraction=0")
    return open_dataset(load_experiment("natural-images", words), home)


def _rate(dataset: Dataset) -> float:
    count = len(dataset.splits["train"])
    started = time.process_time()
    for start in range(0, count, BATCH):
        dataset.images("train", np.arange(start, min(start + BATCH, count)))
    return count / (time.process_time() - started)


if __name__ == "__main__":
    main()
