"""What `inspect` and `train-head` find of what was planted: repeats of training images in the test split, stamps and frames.

BOTTLENECK_REAL_DATA=… python benchmarks/planted.py FOLDER

Repeats: of four data sets as folders, 20 training images each are put among the test images as they are, saved at JPEG quality
30, mirrored, and both. Stamps and frames: on all or on half of the images of one class of mini natural images (960 of the test
images) and of emergency vehicles, before they are resized to 224×224.
"""

import csv
import json
import pickle
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from arguments import real_data
from PIL import Image, ImageDraw, ImageOps

from bottleneck_features.pipeline.datasets.dataset import ArrayDataset, Samples
from bottleneck_features.pipeline.datasets.sources.embedded import photo_patches
from bottleneck_features.pipeline.inspection.regions import find_marks
from bottleneck_features.pipeline.inspection.shortcuts import shortcuts_of_regions

PLANTED, SIDE, OF_A_CLASS = 20, 224, 120
KINDS = ("copied", "quality30", "mirrored", "mirrored30")


class Picture(NamedTuple):
    """One image, its split and its class."""

    image: Image.Image
    split: str
    label: str


def natural_images(data: Path, splits: tuple[str, ...] = ("train", "test")) -> Iterator[Picture]:
    """Give at most 120 images of each class of each split."""
    for split in splits:
        for folder in sorted((data / "mini_natural_images" / split).iterdir()):
            for file in islice(sorted(folder.iterdir()), OF_A_CLASS):
                yield Picture(Image.open(file).convert("RGB"), split, folder.name)


def emergency(data: Path) -> Iterator[Picture]:
    """Give every photograph, each third one for testing."""
    with (data / "emergency_small" / "train.csv").open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file)):
            image = Image.open(data / "emergency_small" / "images" / row["image_names"]).convert("RGB")
            yield Picture(image, "train" if number % 3 else "test", f"class {row['emergency_or_not']}")


def cifar10(data: Path) -> Iterator[Picture]:
    """Give the first 1,000 training and test images."""
    for split, name in (("train", "data_batch_1"), ("test", "test_batch")):
        batch = pickle.loads((data / "cifar-10-batches-py" / name).read_bytes(), encoding="bytes")
        pixels = batch[b"data"][:1000].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        for image, label in zip(pixels, batch[b"labels"][:1000], strict=True):
            yield Picture(Image.fromarray(image), split, f"class {label}")


def patches(data: Path) -> Iterator[Picture]:
    """Give the training and test images of photo-patches."""
    dataset = photo_patches()
    for split in ("train", "test"):
        labels = dataset.splits[split].labels
        for image, label in zip(dataset.images(split, np.arange(len(labels))), labels, strict=True):
            yield Picture(Image.fromarray(image), split, dataset.class_names[label])


SETS: dict[str, Callable[[Path], Iterator[Picture]]] = {
    "mini natural images": natural_images,
    "emergency vehicles": emergency,
    "CIFAR-10 (JPEG q75)": cifar10,
    "photo-patches": patches,
}


def _lay_out(pictures: list[Picture], root: Path) -> None:
    train = [number for number, picture in enumerate(pictures) if picture.split == "train"]
    for number, (image, split, label) in enumerate(pictures):
        (root / split / label).mkdir(parents=True, exist_ok=True)
        image.save(root / split / label / f"{split}-{number}.png")
    chosen = np.random.default_rng(0).permutation(train)[: PLANTED * len(KINDS)].reshape(len(KINDS), PLANTED)
    for kind, numbers in zip(KINDS, chosen, strict=True):
        for number in numbers:
            image, _, label = pictures[number]
            shown = ImageOps.mirror(image) if kind.startswith("mirrored") else image
            quality = {"suffix": ".jpg", "quality": 30} if kind.endswith("30") else {"suffix": ".png"}
            shown.save(root / "test" / label / f"leak-{kind}-train-{number}{quality.pop('suffix')}", **quality)


def _result(command: str, *words: str) -> dict:
    line = [sys.executable, "-m", "bottleneck_features", command, *words, "--json"]
    return json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)


def _tally(pairs: list[tuple[str, str]]) -> str:
    found = set()
    for first, second in [*pairs, *((second, first) for first, second in pairs)]:
        planted = re.search(r"leak-(\w+)-(train-\d+)\.", first)
        if planted and f"/{planted[2]}." in second:
            found.add((planted[1], first))
    counts = Counter(kind for kind, _ in found)
    others = sum("leak-" not in "".join(pair) for pair in pairs)
    return " | ".join([*(f"{counts[kind]} of {PLANTED}" for kind in KINDS), str(others)])


def leaks(folder: Path, data: Path) -> None:
    """Print what both commands find of planted repeats, and how many other pairs they name."""
    print(f"| data, command | {' | '.join(KINDS)} | other pairs |\n|---|" + "---:|" * (len(KINDS) + 1))
    for number, (name, pictures) in enumerate(SETS.items()):
        root, home = folder / f"set{number}", folder / "home"
        _lay_out(list(pictures(data)), root)
        words = [str(root), "--name", f"set{number}", "--home", str(home), "--set", "input.size=64,64"]
        repeats = _result("inspect", *words)["repeats"]["pairs"]
        print(f"| {name}, `inspect` | {_tally([(p['first']['id'], p['second']['id']) for p in repeats])} |", flush=True)
        _result("features", *words)
        found = _result("train-head", *words, "--set", "head.epochs=1")["duplicates"]["pairs"]
        print(f"| {name}, `train-head` | {_tally([(p['scored_id'], p['learned_id']) for p in found])} |", flush=True)


def _stamp(draw: ImageDraw.ImageDraw, size: tuple[int, int]) -> None:
    draw.rectangle((size[0] - 17, 1, size[0] - 2, 16), fill=(220, 30, 30))


def _logo(draw: ImageDraw.ImageDraw, size: tuple[int, int]) -> None:
    left, top = size[0] - 17, size[1] - 17
    for step in range(0, 16, 4):
        draw.line((left, top + step, left + 15, top + step), fill=(255, 255, 0))
        draw.line((left + step, top, left, top + 15), fill=(0, 0, 0))


def _date(draw: ImageDraw.ImageDraw, size: tuple[int, int]) -> None:
    draw.text((size[0] - 62, size[1] - 13), "27.11.2026", fill=(255, 180, 40))


def _frame(wide: int, grey: int) -> Callable[[ImageDraw.ImageDraw, tuple[int, int]], None]:
    def drawn(draw: ImageDraw.ImageDraw, size: tuple[int, int]) -> None:
        for inset in range(wide):
            draw.rectangle((inset, inset, size[0] - 1 - inset, size[1] - 1 - inset), outline=(grey,) * 3)

    return drawn


MARKS = {
    "a red stamp of 16 px": _stamp,
    "a logo of 16 px": _logo,
    "a date": _date,
    **{f"a white frame of {wide} px": _frame(wide, 255) for wide in (1, 2, 4, 8)},
    **{f"a black frame of {wide} px": _frame(wide, 0) for wide in (1, 4)},
}


def _marked(pictures: list[Picture], label: str, mark: Callable | None, share: float) -> str:
    random, shown = np.random.default_rng(0), []
    for picture in pictures:
        image = picture.image.copy()
        if mark and picture.label == label and random.random() < share:
            mark(ImageDraw.Draw(image), image.size)
        shown.append(np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)))
    names = sorted({picture.label for picture in pictures})
    labels = np.array([names.index(picture.label) for picture in pictures])
    samples = Samples(np.arange(len(labels)).astype(str), labels)
    dataset = ArrayDataset("planted", tuple(names), {"train": np.stack(shown)}, {"train": samples})
    rows = np.arange(len(labels))
    found = [one for one in shortcuts_of_regions(find_marks(dataset, labels, rows), labels, None, names) if one.warns]
    return "; ".join(f"{one.name} ({', '.join(one.given_away)}) {one.effect:.1f}" for one in found) or "–"


def marks(data: Path) -> None:
    """Print what `inspect` warns of: the region, its classes, and the effect."""
    sets = {
        "mini natural images, dog": (list(natural_images(data, ("test",))), "dog"),
        "emergency vehicles, class 1": (list(emergency(data)), "class 1"),
    }
    print(f"\n| on the images of one class | {' | '.join(sets)} |\n|---|---|---|")
    rows = [
        ("nothing", None, 1.0),
        *((f"{name}, on {share:.0%}", mark, share) for name, mark in MARKS.items() for share in (1.0, 0.5)),
    ]
    for name, mark, share in rows:
        cells = [_marked(pictures, label, mark, share) for pictures, label in sets.values()]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@real_data
def main(folder: Path, data: Path) -> None:
    """Print both tables."""
    leaks(folder, data)
    marks(data)


if __name__ == "__main__":
    main()
