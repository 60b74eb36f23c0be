"""Contact sheets: a few images of a class at a glance, in their own proportions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.datasets import Dataset
from pipeline.datasets.decoding import Target, load
from pipeline.repeats import Place

MOST = 40  # thumbnails of a class
MOST_OF_ALL = 2000
FEWEST = 8
SIDE, GAP, COLUMNS = 80, 4, 10  # pixels, pixels, thumbnails
PAPER = (255, 255, 255)


def contact_sheets(dataset: Dataset, folder: Path, seed: int) -> list[Path]:
    """Draw the contact sheet of every class as a JPEG file.

    Args:
        dataset: the open data set.
        folder: where the files go; it must exist.
        seed: the same seed shows the same images.

    Returns:
        The files, in the order of the classes.
    """
    most = min(MOST, max(FEWEST, MOST_OF_ALL // len(dataset.class_names)))
    random = np.random.default_rng(seed)
    paths = []
    for number in range(len(dataset.class_names)):
        places = [
            Place(split, int(index))
            for split, samples in dataset.splits.items()
            for index in np.flatnonzero(samples.labels == number)
        ]
        chosen = np.sort(random.permutation(len(places))[:most])
        paths.append(draw_sheet(dataset, [places[i] for i in chosen], folder / f"class-{number:03d}.jpg"))
    return paths


def draw_sheet(dataset: Dataset, places: Sequence[Place], path: Path) -> Path:
    """Draw the images at some places as thumbnails in rows of ten, and return `path`."""
    rows, step = -(-len(places) // COLUMNS), SIDE + GAP
    sheet = Image.new("RGB", (COLUMNS * step + GAP, rows * step + GAP), PAPER)
    for number, place in enumerate(places):
        thumbnail = _thumbnail(dataset, place)
        row, column = divmod(number, COLUMNS)
        left = GAP + column * step + (SIDE - thumbnail.width) // 2
        sheet.paste(thumbnail, (left, GAP + row * step + (SIDE - thumbnail.height) // 2))
    sheet.save(path, "JPEG", quality=85)
    return path


def _thumbnail(dataset: Dataset, place: Place) -> Image.Image:
    if place.split not in dataset.origins:
        image = Image.fromarray(dataset.images(place.split, np.array([place.index]))[0])
        return image.resize(_fitted(image.width, image.height), Image.Resampling.NEAREST)
    origin = dataset.origins[place.split][place.index]
    width, height = _fitted(origin.record.width, origin.record.height)
    return Image.fromarray(load(origin.path, Target((height, width)), origin.record.sha256))


def _fitted(width: int, height: int) -> tuple[int, int]:
    scale = SIDE / max(width, height)
    return max(1, round(scale * width)), max(1, round(scale * height))
