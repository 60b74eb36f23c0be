"""Data sets whose images ship in Python packages: patches of photographs, and handwritten digits."""

import zlib
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise, product
from pathlib import Path

import numpy as np
from PIL import Image

from bottleneck_features.pipeline.datasets.dataset import ArrayDataset, Samples
from bottleneck_features.pipeline.errors import PipelineError

PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "camera": "camera.png",
    "cell": "cell.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "hubble": "hubble_deep_field.jpg",
    "ihc": "ihc.png",
    "moon": "moon.png",
    "motorcycle": "motorcycle_left.png",
    "page": "page.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
    "text": "text.png",
}
PATCH = 32
GAP = 3  # pixels between patches that must not touch
HELD_OUT = {"validation": 12, "test": 20}  # patches of a photograph; the smallest one has no room for more
STRIP_SHARE = 0.25  # of the width: a strip for patches held out is at least so wide
REGIONS, PATCHES_PER_REGION = (2, 3), 8  # of the training part, more along its longer side
DRAW = 0  # the first in which the search for repeated images takes no two different joints between bricks for one
FLATTEST = 3.0  # grey levels: a patch whose standard deviation is below shows nothing but noise
MIDDLE, CONTRAST = 128, 48  # mean and standard deviation of a normalised patch, in grey levels

DATA_NOTES = {
    "photo-patches": "Data: patches of 17 photographs in the scikit-image package, which are its classes. The intervals are for "
    "other patches of these photographs.",
}

TEST_DIGITS = 500
SPLIT_SEED = 0
BRIGHTEST = 16  # scikit-learn stores 17 grey levels, 0..16


def photo_patches() -> ArrayDataset:
    """Return patches of the 17 photographs in the scikit-image wheel; the class is the photograph.

    Validation patches come from one side of a photograph, test patches from the other, training patches from between; every
    second photograph has its sides exchanged. Validation and test patches neither overlap nor touch each other, and each is
    a group of its own. The training part has six regions; patches overlap within a region, which is a group, and are apart
    from those of other regions. Patches are grey and contrast-normalised: brightness and colour give nothing away.

    Returns:
        17 classes; 48 training, 12 validation and 20 test images each; 32×32 RGB (grey).

    Raises:
        PipelineError: scikit-image, whose wheel carries the photographs, is not installed.
    """
    folder = _photographs()
    images: dict[str, list[np.ndarray]] = {}
    ids: dict[str, list[str]] = {}
    groups: dict[str, list[str]] = {}
    for number, (name, file) in enumerate(PHOTOGRAPHS.items()):
        with Image.open(folder / file) as photograph:
            grey = np.asarray(photograph.convert("L"), np.float32)
        for split, region, top, left in _places(name, grey, tuple(HELD_OUT)[:: -1 if number % 2 else 1]):
            images.setdefault(split, []).append(_normalise(grey[top : top + PATCH, left : left + PATCH]))
            ids.setdefault(split, []).append(f"{name}-y{top}-x{left}")
            groups.setdefault(split, []).append(region or ids[split][-1])
    counts = {split: len(found) // len(PHOTOGRAPHS) for split, found in ids.items()}
    labels = {split: np.repeat(np.arange(len(PHOTOGRAPHS)), count) for split, count in counts.items()}
    return ArrayDataset(
        "photo-patches",
        tuple(PHOTOGRAPHS),
        {split: np.stack(patches) for split, patches in images.items()},
        {split: Samples(np.array(ids[split]), labels[split].astype(np.int64)) for split in images},
        {split: np.array(names) for split, names in groups.items()},
    )


def _photographs() -> Path:
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise PipelineError(
            "The photographs of photo-patches ship in the scikit-image wheel, which is not installed. "
            "Type: pip install 'bottleneck-features[demo]'"
        )
    return Path(spec.origin).parent / "data"


def _places(name: str, grey: np.ndarray, sides: tuple[str, ...]) -> Iterator[tuple[str, str, int, int]]:
    """Give the split, the region (empty: none), the top and the left of every patch of a photograph.

    Args:
        name: of the photograph.
        grey: the photograph.
        sides: the splits that its left and its right side are held out for.
    """
    width = grey.shape[1]
    on_left, left_end = _strip(grey, HELD_OUT[sides[0]])
    on_right, right_end = _strip(grey[:, ::-1], HELD_OUT[sides[1]])
    cells = dict(zip(sides, (on_left, [(top, width - PATCH - left) for top, left in on_right]), strict=True))
    for number, (rows, columns) in enumerate(_regions(grey.shape[0], left_end, width - right_end)):
        region = f"{name}-region{number}"
        for top, left in _positions(grey[rows, columns], PATCHES_PER_REGION, _generator(region)):
            yield "train", region, rows.start + top, columns.start + left
    for split, count in HELD_OUT.items():
        for chosen in np.sort(_generator(f"{name}-{split}").choice(len(cells[split]), count, replace=False)):
            yield split, "", *cells[split][chosen]


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng([DRAW, zlib.crc32(name.encode())])


def _strip(grey: np.ndarray, count: int) -> tuple[list[tuple[int, int]], int]:
    """Return at least `count` places on a grid at the left side that show something, and how far they and a gap reach."""
    height, width = grey.shape
    found: list[tuple[int, int]] = []
    left = 0
    while len(found) < count or left < width * STRIP_SHARE:
        tops = range(0, height - PATCH + 1, PATCH + GAP)
        found += [(top, left) for top in tops if grey[top : top + PATCH, left : left + PATCH].std() >= FLATTEST]
        left += PATCH + GAP
    return found, left


def _regions(height: int, left: int, right: int) -> Iterator[tuple[slice, slice]]:
    """Give the rows and columns of the regions between two sides of a photograph, with a gap between regions."""
    across, down = REGIONS if height > right - left else REGIONS[::-1]
    tops = np.linspace(0, height + GAP, down + 1).astype(int).tolist()
    lefts = np.linspace(left, right + GAP, across + 1).astype(int).tolist()
    for rows, columns in product(pairwise(tops), pairwise(lefts)):
        yield slice(rows[0], rows[1] - GAP), slice(columns[0], columns[1] - GAP)


def _positions(region: np.ndarray, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    found: dict[tuple[int, int], None] = {}
    while len(found) < count:
        top, left = (int(rng.integers(0, extent - PATCH + 1)) for extent in region.shape)
        if region[top : top + PATCH, left : left + PATCH].std() >= FLATTEST:
            found[top, left] = None
    return list(found)


def _normalise(patch: np.ndarray) -> np.ndarray:
    levels = np.clip(np.round(MIDDLE + CONTRAST * (patch - patch.mean()) / patch.std()), 0, 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=-1)


def digits() -> ArrayDataset:
    """Return scikit-learn's handwritten digits, 1,297 for training and 500 for testing (stratified), as 8×8 RGB.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (the test
    part, as `sklearn.datasets.load_digits` ships it).
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    grey = np.round(bunch.images * (255 / BRIGHTEST)).astype(np.uint8)
    images = np.repeat(grey[..., None], 3, axis=-1)
    ids = np.array([f"digit-{i:04d}" for i in range(len(images))])
    labels = bunch.target.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(images)), test_size=TEST_DIGITS, stratify=labels, random_state=SPLIT_SEED
    )
    parts = {"train": np.sort(train), "test": np.sort(test)}
    everything = Samples(ids, labels)
    return ArrayDataset(
        "scikit-learn digits",
        tuple(str(name) for name in bunch.target_names),
        {split: images[part] for split, part in parts.items()},
        {split: everything.take(part) for split, part in parts.items()},
    )
