"""Image files the tests make: pictures that tell their class by colour, and every way a file can be broken."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from bottleneck_features.pipeline.datasets.pixels.decoding import MAX_PIXELS, Checked, check_and_load
from bottleneck_features.pipeline.datasets.pixels.resizing import Resizing

COLOURS = {"blue": (30, 40, 220), "green": (30, 200, 40), "red": (220, 40, 30)}
PHOTO = (40, 30)  # width, height


def picture(
    seed: int = 0, colour: tuple[int, int, int] = (120, 130, 140), size: tuple[int, int] = PHOTO
) -> Image.Image:
    """A noisy picture about a colour."""
    noise = np.random.default_rng(seed).normal(0, 12, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    """The bytes of a file."""
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def check(content: bytes, max_pixels: int = MAX_PIXELS, bands: tuple[int, ...] = ()) -> Checked:
    """What is in a file, by a decoding that is as small as it can be."""
    return check_and_load(content, Resizing((1, 1), bands=tuple(bands)), max_pixels)[0]


def write(path: Path, content: bytes) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def class_folders(root: Path, images: int = 10, classes: tuple[str, ...] = tuple(COLOURS)) -> Path:
    """A folder for each colour, with JPEG pictures of it."""
    for number, name in enumerate(classes):
        for i in range(images):
            content = encoded(picture(1000 * number + i, COLOURS.get(name, (10 * number, 90, 90))))
            write(root / name / f"{name} {i}.jpg", content)
    return root
