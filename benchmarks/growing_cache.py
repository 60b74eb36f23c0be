"""What it takes to add one picture to a large data set, to correct labels, and to look for rows in a large cache.

python benchmarks/growing_cache.py CIFAR NETWORK LAYER
(such as …/cifar-10-batches-py …/resnet50_v15_pqf.keras conv5_block3_out)

The 50,000 training images of CIFAR-10 as PNG files, 200 px, in one data set without a test split. Their features are not
extracted but drawn at random, since what is measured does not depend on them: reading the data set again, finding and copying
the rows, compiling the network, and the forward passes of what is new. Each step is the command, in a process of its own. Then,
in a process of its own too, 1,000,000 rows are looked for in a cache of 1,000,000.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
from PIL import Image

from bottleneck_features.features import ArraySpec, CacheWriter, SplitPlan, Targets
from bottleneck_features.pipeline.datasets.sources.cifar10 import Cifar10
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.extraction.extract import cache_writer, open_for_extraction, outputs_of
from bottleneck_features.pipeline.extraction.networks import build_network, network_of
from bottleneck_features.pipeline.machine import hardware, peak_memory_mib

ROWS, WIDTH, SHARD = 1_000_000, 64, 1024
CORRECTED = 0.05


@click.command()
@click.argument("cifar", type=click.Path(path_type=Path, exists=True))
@click.argument("network")
@click.argument("layer")
@click.option("--images", type=int, default=50_000, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Kept between runs; default: a temporary one.")
def main(cifar: Path, network: str, layer: str, images: int, folder: Path | None) -> None:
    """Print the seconds of each step as JSON."""
    with tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        pictures = place / "pictures"
        if not pictures.exists():
            _write_pictures(cifar, pictures, images)
        sets = {"dataset.path": str(pictures), "dataset.test_fraction": "0", "dataset.fold_case": "false"}
        sets |= {
            "input.size": "200,200",
            "backbone.name": network,
            "backbone.weights": "imagenet",
            "backbone.layers": layer,
        }
        settings = [f"{key}={value}" for key, value in sets.items()]
        _fill_at_random(settings, place / "home")
        steps = {name: _measured(prepare(pictures, place), settings, place / "home") for name, prepare in STEPS.items()}
    with get_context("spawn").Pool(1) as pool:
        looked = pool.apply(look_for_rows)
    print(json.dumps({"hardware": hardware(), "images": images, "steps": steps, f"{ROWS:,} rows": looked}, indent=1))


def _write_pictures(cifar: Path, pictures: Path, images: int) -> None:
    dataset = Cifar10(str(cifar))
    labels = dataset.splits["train"].labels[:images]
    for name in dataset.class_names:
        (pictures / name).mkdir(parents=True)
    for i, (pixels, label) in enumerate(zip(dataset.images("train", np.arange(images)), labels, strict=True)):
        Image.fromarray(pixels).save(pictures / dataset.class_names[label] / f"{i:05d}.png")


def _fill_at_random(settings: list[str], home: Path) -> None:
    opened = open_for_extraction(load_experiment("natural-images", settings), home)
    outputs = outputs_of(build_network(network_of(opened)), opened)
    random = np.random.default_rng(0)
    with cache_writer(opened, outputs) as writer:
        for shard in writer.pending:
            rows = {layer: random.random((len(shard), *shape), np.float32) for layer, shape in outputs.shapes.items()}
            writer.write(shard, rows)
        writer.finish()
    shutil.rmtree(home / "networks", ignore_errors=True)  # the first picture that is added has it compiled


def _add_one(pictures: Path, place: Path) -> list[str]:
    folder = next(path for path in sorted(pictures.iterdir()) if path.is_dir())
    pixels = np.random.default_rng(len(list(folder.iterdir()))).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(folder / f"added {len(list(folder.iterdir()))}.png")
    return []


def _correct(pictures: Path, place: Path) -> list[str]:
    files = sorted(file.relative_to(pictures) for file in pictures.rglob("*.png"))
    names = sorted({file.parts[0] for file in files})
    chosen = np.random.default_rng(0).choice(len(files), int(CORRECTED * len(files)), replace=False)
    rows = [f"{files[i]},{names[(names.index(files[i].parts[0]) + 1) % len(names)]}" for i in chosen]
    (place / "fixes.csv").write_text("\n".join(["id,label", *rows]))
    return [f"dataset.corrections={place / 'fixes.csv'}"]


def _move(pictures: Path, place: Path) -> list[str]:
    rows = [line.rpartition(",") for line in (place / "fixes.csv").read_text().splitlines()[1:]]
    for file, _, label in rows:
        (pictures / file).rename(pictures / label / Path(file).name)
    return []


STEPS = {
    "nothing to do": lambda pictures, place: [],
    "one picture added": _add_one,
    "another picture added, the network compiled before": _add_one,
    "5 % corrected by a table": _correct,
    "5 % moved to other folders": _move,
}


def _measured(more: list[str], settings: list[str], home: Path) -> dict[str, object]:
    words = [word for one in (*settings, *more) for word in ("--set", one)]
    command = [
        sys.executable,
        "-m",
        "bottleneck_features",
        "features",
        "-e",
        "natural-images",
        *words,
        "--home",
        str(home),
    ]
    start = time.perf_counter()
    done = subprocess.run([*command, "--json"], capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(done.stderr)
    result = json.loads(done.stdout)
    counts = {name: result[name] for name in ("images", "images_reused", "peak_memory_mib")}
    return {"seconds": round(seconds, 2), **counts, "phases": result["seconds"]}


def look_for_rows() -> dict[str, float]:
    """Return the seconds and the bytes a row that looking for a million rows among a million takes."""
    contents = np.random.default_rng(0).integers(0, 256, (ROWS, 32), np.uint8)
    ids = np.arange(ROWS).astype("U")
    with tempfile.TemporaryDirectory() as temporary:
        with _writer(Path(temporary) / "a", ids, contents) as writer:
            for shard in writer.pending:
                writer.write(shard, {"a": np.zeros((len(shard), WIDTH), np.float32)})
            writer.finish()
        del writer
        order = np.random.default_rng(1).permutation(ROWS)
        writer = _writer(Path(temporary) / "b", ids, contents[order], donors=[Path(temporary) / "a"])
        before, start = peak_memory_mib(), time.perf_counter()
        with writer:
            seconds = time.perf_counter() - start
            assert not any(writer.lacks(shard) for shard in writer.pending)
    return {"seconds": round(seconds, 2), "bytes a row": round((peak_memory_mib() - before) * 2**20 / ROWS, 1)}


def _writer(folder: Path, ids: np.ndarray, contents: np.ndarray, **more: object) -> CacheWriter:
    plan, targets = {"train": SplitPlan(ids, contents)}, Targets(("a",), {"train": np.zeros(len(ids), np.int64)})
    spec = {"a": ArraySpec((WIDTH,), "float16")}
    return CacheWriter(
        folder,
        {"of": folder.name},
        plan,
        spec,
        targets,
        shard_size=SHARD,
        provenance={},
        recipe="a" * 64,
        machine="m",
        **more,
    )


if __name__ == "__main__":
    main()
