"""Data sets whose images ship in Python packages: patches of photographs, and handwritten digits."""

import zlib
from importlib.util import find_spec
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
TRAIN_SHARE = 0.6
PATCHES = {"train": 60, "test": 40}
FLATTEST = 3.0  # grey levels: a patch whose standard deviation is below shows nothing but noise
MIDDLE, CONTRAST = 128, 48  # mean and standard deviation of a normalised patch, in grey levels

TEST_DIGITS = 500
SPLIT_SEED = 0
BRIGHTEST = 16  # scikit-learn stores 17 grey levels, 0..16


def photo_patches() -> ArrayDataset:
    """Return patches of the 17 photographs in the scikit-image wheel; the class is the photograph.

    Training patches come from the left 60 % of a photograph and test patches from the rest, so that no pixel is in both.
    Patches are grey and contrast-normalised: brightness and colour give nothing away.

    Returns:
        17 classes, 60 training and 40 test images each, 32×32 RGB (grey).

    Raises:
        PipelineError: scikit-image, whose wheel carries the photographs, is not installed.
    """
    folder = _photographs()
    images: dict[str, list[np.ndarray]] = {split: [] for split in PATCHES}
    ids: dict[str, list[str]] = {split: [] for split in PATCHES}
    for name, file in PHOTOGRAPHS.items():
        with Image.open(folder / file) as photograph:
            grey = np.asarray(photograph.convert("L"), np.float32)
        border = int(grey.shape[1] * TRAIN_SHARE)
        for split, region, offset in (("train", grey[:, :border], 0), ("test", grey[:, border:], border)):
            rng = np.random.default_rng(zlib.crc32(f"{name}/{split}".encode()))
            for top, left in _positions(region, PATCHES[split], rng):
                images[split].append(_normalise(region[top : top + PATCH, left : left + PATCH]))
                ids[split].append(f"{name}-y{top}-x{left + offset}")
    labels = {split: np.repeat(np.arange(len(PHOTOGRAPHS)), count) for split, count in PATCHES.items()}
    return ArrayDataset(
        "photo-patches",
        tuple(PHOTOGRAPHS),
        {split: np.stack(patches) for split, patches in images.items()},
        {split: Samples(np.array(ids[split]), labels[split].astype(np.int64)) for split in PATCHES},
    )


def _photographs() -> Path:
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise PipelineError(
            "The photographs of photo-patches ship in the scikit-image wheel, which is not installed. "
            "Type: pip install 'bottleneck-features[demo]'"
        )
    return Path(spec.origin).parent / "data"


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
