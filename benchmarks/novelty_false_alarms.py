"""How often images like those that a head has seen are called unlike them, over many draws of what it has seen.

BOTTLENECK_REAL_DATA=… python benchmarks/novelty_false_alarms.py HOME     (HOME keeps the features of EfficientNet-Lite0)
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from arguments import NEW, real_data
from PIL import Image

from bottleneck_features import Extractor
from bottleneck_features.models.neighbours import kth_distances
from bottleneck_features.models.rows import unit_rows
from bottleneck_features.pipeline.methods.novelty import KTH, Novelty, learn_novelty

NOMINAL, NEW_IMAGES = 0.05, 500
PHOTOGRAPHS, CROPS, SIDE = 600, 8, 64
GIANTS, GIANT_CROPS = 20, 60
FOLDS, HELD_OUT = 5, 0.2
RULE = "this one"

Sizes = Callable[[int, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Source:
    """Features of images, `(n, d)`, and the groups that they are in, `(n,)`."""

    rows: np.ndarray
    groups: np.ndarray

    def images(self, groups: np.ndarray, sizes: np.ndarray, random: np.random.Generator) -> "Source":
        """Return at most so many images of each of some groups."""
        chosen = [
            random.permutation(np.flatnonzero(self.groups == group))[:size]
            for group, size in zip(groups, sizes, strict=True)
        ]
        return Source(self.rows[np.concatenate(chosen)], np.repeat(np.arange(len(chosen)), list(map(len, chosen))))


def everything(count: int, _: np.random.Generator) -> np.ndarray:
    """Return sizes without a limit."""
    return np.full(count, 10**9)


def equal(count: int, _: np.random.Generator) -> np.ndarray:
    """Return groups of 4."""
    return np.full(count, 4)


def zipf(count: int, random: np.random.Generator) -> np.ndarray:
    """Return Zipf's sizes, 1 to 8."""
    return np.minimum(random.zipf(1.6, count), CROPS)


def one_giant(count: int, random: np.random.Generator) -> np.ndarray:
    """Return groups of 1 to 3 after one of 60."""
    return np.append(GIANT_CROPS, random.integers(1, 4, count - 1))


def _crops(files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    random, crops, groups = np.random.default_rng(0), [], []
    for group, place in enumerate(random.permutation(len(files))[:PHOTOGRAPHS].tolist()):
        photograph = Image.open(files[place]).convert("RGB")
        for _ in range(GIANT_CROPS if group < GIANTS else CROPS):
            left, top = (int(random.integers(0, side - SIDE + 1)) for side in photograph.size)
            crops.append(np.asarray(photograph.crop((left, top, left + SIDE, top + SIDE))))
            groups.append(group)
    return np.stack(crops), np.array(groups)


def _rules(seen: Source, new: Source, random: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Give the name of each rule, and which new images it flags."""
    own = learn_novelty(seen.rows, seen.groups)
    distances = own.distances(new.rows)
    yield RULE, own.p_values(distances) <= NOMINAL
    yield "each image counts once", _by_image(own).p_values(distances) <= NOMINAL
    alone = learn_novelty(seen.rows, np.arange(len(seen.rows)))
    yield "groups ignored", alone.p_values(distances) <= NOMINAL
    rows, queries, count = unit_rows(seen.rows), unit_rows(new.rows), own.count
    fold, apart = (random.permutation(count) % FOLDS)[seen.groups], np.empty(len(rows), np.float32)
    for one in range(FOLDS):
        apart[fold == one] = kth_distances(rows[fold == one], rows[fold != one], KTH)
    yield f"{FOLDS} folds", replace(own, apart=apart).p_values(distances) <= NOMINAL
    held_out = np.isin(seen.groups, random.permutation(count)[: round(HELD_OUT * count)])
    known = kth_distances(rows[held_out], rows[~held_out], KTH)
    threshold = np.quantile(known, 1 - NOMINAL, method="higher")
    yield "quantile of held-out images", kth_distances(queries, rows[~held_out], KTH) > threshold


def _by_image(own: Novelty) -> Novelty:
    return replace(own, groups=np.arange(len(own.rows), dtype=np.int32))


def simulate(source: Source, count: int, sizes: Sizes, draws: int) -> tuple[float, dict[str, np.ndarray]]:
    """Return how many images were seen on average, and by rule the share of each draw's new groups that is flagged."""
    random, groups, seen_images = np.random.default_rng(0), np.unique(source.groups), 0
    shares: dict[str, list[float]] = {}
    for _ in range(draws):
        order = random.permutation(groups)
        if sizes is one_giant:
            order = np.append(random.integers(GIANTS), random.permutation(groups[GIANTS:]))
        wanted = sizes(len(order), random)
        seen = source.images(order[:count], wanted[:count], random)
        new = source.images(order[count:][:NEW_IMAGES], wanted[count:][:NEW_IMAGES], random)
        seen_images += len(seen.rows)
        for name, flagged in _rules(seen, new, random):
            by_group = np.bincount(new.groups, flagged) / np.bincount(new.groups)
            shares.setdefault(name, []).append(float(by_group.mean()))
    return seen_images / draws, {name: np.array(found) for name, found in shares.items()}


def _sources(data: Path, home: Path) -> dict[str, Source]:
    extractor = Extractor(home=home)
    files = sorted((data / "mini_natural_images").rglob("*.jpg"))
    natural = extractor.transform(files)
    with np.load(data / "cifar10-first4000-lossless.npz") as found:
        cifar = extractor.transform(found["x"])
    rows = list(csv.DictReader((data / "emergency_small" / "train.csv").open()))
    emergency = extractor.transform([data / "emergency_small" / "images" / row["image_names"] for row in rows])
    photos = np.unique([row["photo"] for row in rows], return_inverse=True)[1]
    pixels, photographs = _crops([file for file in files if min(Image.open(file).size) >= 2 * SIDE])
    return {
        "mini natural images": Source(natural, np.arange(len(natural))),
        "CIFAR-10, the first 4,000": Source(cifar, np.arange(len(cifar))),
        "emergency vehicles, by photograph": Source(emergency, photos),
        "crops of mini natural images": Source(extractor.transform(pixels), photographs),
    }


@click.command(help=__doc__)
@click.argument("home", type=NEW)
@real_data
@click.option("--draws", default=100, show_default=True)
def main(home: Path, data: Path, draws: int) -> None:
    """Print the mean share of false alarms by each rule, and what 90 % of the draws are between."""
    sources = _sources(data, home)
    cases = [
        *((name, count, everything) for name in list(sources)[:2] for count in (20, 50, 200, 1000)),
        ("emergency vehicles, by photograph", 130, everything),
        *(("crops of mini natural images", count, sizes) for count in (50, 200) for sizes in (equal, zipf, one_giant)),
    ]
    for name, count, sizes in cases:
        images, shares = simulate(sources[name], count, sizes, draws)
        print(f"{name}, {sizes.__name__}: {images:,.0f} images in {count:,} groups")
        for rule, found in shares.items():
            low, high = np.percentile(found, [5, 95])
            print(f"  {rule:30} {100 * found.mean():5.1f} % [{100 * low:.1f}, {100 * high:.1f}]", flush=True)


if __name__ == "__main__":
    main()
