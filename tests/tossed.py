"""Pictures whose classes are tossed, so that nothing can be learned of them."""

from pathlib import Path

import numpy as np
from commandline import invoke
from imagefiles import encoded, write
from PIL import Image, ImageOps

from bottleneck_features.pipeline.datasets.sources.embedded import photo_patches

CLASSES = ("heads", "tails")
COPIES = {
    "as it is.png": lambda picture: encoded(picture, "PNG"),
    "again.png": lambda picture: encoded(picture, "PNG"),
    "mirrored.png": lambda picture: encoded(ImageOps.mirror(picture), "PNG"),
    "compressed.jpg": lambda picture: encoded(picture, quality=90),
}


def tossed(root: Path, pictures: int, names: tuple[str, ...], *settings: str, rare: int = 2) -> tuple[str, ...]:
    """Write patches of photographs, each in as many files as there are names, into the classes by lot, and extract them.

    Args:
        root: the artifacts folder; the pictures are written below it.
        pictures: how many.
        names: some of `COPIES`.
        settings: more `section.key=value`.
        rare: one of so many pictures is in the second class.

    Returns:
        The words that name the experiment on the command line.
    """
    dataset, random = photo_patches(), np.random.default_rng(3)
    chosen = random.choice(len(dataset.splits["test"]), pictures, replace=False)
    sides = random.permutation(np.arange(pictures) % rare == 0)
    for number, (side, pixels) in enumerate(zip(sides, dataset.images("test", chosen), strict=True)):
        for name in names:
            write(root / "pictures" / CLASSES[int(side)] / f"{number} {name}", COPIES[name](Image.fromarray(pixels)))
    words: tuple[str, ...] = ("-e", "natural-images")
    for setting in (
        f"dataset.path={root / 'pictures'}", "backbone.name=efficientnet-lite0", "backbone.layers=top_activation",
        "input.size=32,32", *settings,
    ):  # fmt: skip
        words += ("--set", setting)
    done = invoke("features", *words, home=root)
    assert done.exit_code == 0, done.stderr
    return words
