"""Folders of pictures for the pages: twenty unequal classes with long names, and two classes with copies across the splits."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SIDE = 64  # pixels
COPIES = 5  # training images that are in the test folder too, one of them under the other class


def twenty_classes(folder: Path) -> Path:
    """Write handwritten digits, dark on light and light on dark, from about 90 to about 10 images of a class."""
    digits, random = load_digits(), np.random.default_rng(0)
    for digit, word in enumerate(WORDS):
        own = random.permutation(np.flatnonzero(digits.target == digit))
        for half, ground in enumerate(("black ink on white paper", "white chalk on a blackboard")):
            rows = own[half * (len(own) // 2) :][: len(own) // 2]
            name = f"handwritten digit {word}, {ground}, scanned at eight by eight pixels"
            for row in rows[: max(9, int(len(rows) * (1 - 0.045 * (digit + 10 * half))))]:
                _written(digits.images[row], bool(half), folder / name / f"{row:04d}.png")
    return folder


def two_classes(folder: Path) -> tuple[Path, set[str]]:
    """Write threes and eights with a train and a test folder; some training images are in the test folder too.

    Returns:
        The folder, and the names of the files of the test folder that are copies.
    """
    digits, random = load_digits(), np.random.default_rng(0)
    for digit in (3, 8):
        for place, row in enumerate(random.permutation(np.flatnonzero(digits.target == digit))):
            split = "train" if place < 110 else "test"
            noisy = np.clip(digits.images[row] + random.normal(0, 4, (8, 8)), 0, 16)  # so that not all are told apart
            _written(noisy, False, folder / split / WORDS[digit] / f"{row:04d}.png")
    copied = set()
    for number, source in enumerate(sorted((folder / "train" / "three").iterdir())[:COPIES]):
        target = folder / "test" / ("eight" if number == 0 else "three") / f"copy-{source.name}"
        shutil.copyfile(source, target)
        copied.add(target.name)
    return folder, copied


def _written(image: np.ndarray, inverted: bool, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (image * 255 / 16).round().astype(np.uint8)
    drawn = Image.fromarray(pixels if inverted else 255 - pixels)
    drawn.resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB").save(path)
