"""Contact sheets: a few images of a class at a glance, in their own proportions."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.datasets.dataset import ImageOrigin
from bottleneck_features.pipeline.datasets.pixels.unusable import UnusableImage
from bottleneck_features.pipeline.errors import ChangedImage
from bottleneck_features.pipeline.evaluation.details import Place, images_at
from bottleneck_features.pipeline.results import write_bytes

_MOST = 40  # thumbnails of a class
MOST_OF_ALL = 2000
_FEWEST = 8
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
    most = min(_MOST, max(_FEWEST, MOST_OF_ALL // len(dataset.class_names)))
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
    for number, thumbnail in enumerate(thumbnails(dataset, places, SIDE)):
        row, column = divmod(number, COLUMNS)
        left = GAP + column * step + (SIDE - thumbnail.width) // 2
        sheet.paste(thumbnail, (left, GAP + row * step + (SIDE - thumbnail.height) // 2))
    content = BytesIO()
    sheet.save(content, "JPEG", quality=85)
    write_bytes(path, content.getvalue())
    return path


def thumbnails(dataset: Dataset, places: Sequence[Place], side: int) -> Iterator[Image.Image]:
    """Yield the images at some places in their own proportions, `side` pixels on the longer side.

    Raises:
        ChangedImage: a file is no longer the one that was scanned.
    """
    origins = [origin for place in places if (origin := dataset.origin(place.split, place.index))]
    for origin in origins:
        yield _from_file(origin, side)
    if not origins:
        for pixels in images_at(dataset, places):
            image = Image.fromarray(pixels)
            yield image.resize(_fitted(image.width, image.height, side), Image.Resampling.NEAREST)


def _from_file(origin: ImageOrigin, side: int) -> Image.Image:
    width, height = _fitted(origin.header.width, origin.header.height, side)
    try:
        return Image.fromarray(origin.pixels((height, width)))
    except UnusableImage as problem:
        raise ChangedImage(
            f"'{origin.location}' is no longer what it was at the start: {problem}. Put it back."
        ) from problem


def _fitted(width: int, height: int, side: int) -> tuple[int, int]:
    scale = side / max(width, height)
    return max(1, round(scale * width)), max(1, round(scale * height))
