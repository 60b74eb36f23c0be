"""Stored outputs of the reference implementations, and the images they were computed for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from published.weights import SEED

FOLDER = Path(__file__).parents[1] / "data" / "references"
IMAGES = 4


@dataclass(frozen=True)
class Reference:
    """What a reference implementation gave for `input_images(size)`, preprocessed by mean and standard deviation alone.

    Attributes:
        versions: of the packages that computed it.
        weights: SHA-256 of the weights, `weights.digest`.
        images: SHA-256 of the images by size.
        outputs: float32 by size and name: `cls` (n, d), the class token after the final norm; `map` (n, h, w, d), the
            patch tokens after the final norm; `patches` (n, d), their mean; `pooler` (n, d), where there is one;
            `block2` (n, tokens, d), all raw tokens after the second block; `stage…`, a stage's output.
    """

    versions: dict[str, str]
    weights: str
    images: dict[int, str]
    outputs: dict[int, dict[str, np.ndarray]]


def read_reference(kind: str) -> Reference:
    with np.load(FOLDER / f"{kind}.npz") as stored:
        facts = json.loads(str(stored["facts"]))
        outputs: dict[int, dict[str, np.ndarray]] = {int(size): {} for size in facts["images"]}
        for key in stored.files:
            if key != "facts":
                size, name = key.split("/")
                outputs[int(size)][name] = stored[key]
    images = {int(size): digest for size, digest in facts["images"].items()}
    return Reference(facts["versions"], facts["weights"], images, outputs)


def write_reference(kind: str, reference: Reference) -> Path:
    facts = {"versions": reference.versions, "weights": reference.weights, "images": reference.images}
    arrays = {f"{size}/{name}": array for size, named in reference.outputs.items() for name, array in named.items()}
    FOLDER.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(FOLDER / f"{kind}.npz", facts=np.array(json.dumps(facts)), **arrays)
    return FOLDER / f"{kind}.npz"


def input_images(size: int) -> np.ndarray:
    """Make images (n, size, size, 3), uint8: smooth fields with noise. Integers only, so that all machines agree."""
    random = np.random.default_rng([SEED, size])
    coarse = random.integers(0, 256, (IMAGES, 4, 4, 3))
    repeats = -(-size // 4)
    field = coarse.repeat(repeats, axis=1).repeat(repeats, axis=2)[:, :size, :size]
    for axis in (1, 2) * 2:
        field = box_blurred(field, axis, repeats)
    return np.clip(field + random.integers(-20, 21, field.shape), 0, 255).astype(np.uint8)


def box_blurred(field: np.ndarray, axis: int, width: int) -> np.ndarray:
    before, after = width // 2, width - 1 - width // 2
    padding = [(before, after) if number == axis else (0, 0) for number in range(field.ndim)]
    padded = np.pad(field, padding, mode="edge")
    return sum(np.take(padded, range(start, start + field.shape[axis]), axis=axis) for start in range(width)) // width


def normalised(images: np.ndarray, preprocessor: Mapping[str, tuple[float, float, float]]) -> np.ndarray:
    """Bring uint8 images (n, h, w, 3) to what the network takes, float32."""
    scaled = images.astype(np.float64) / 255
    return ((scaled - preprocessor["mean"]) / preprocessor["std"]).astype(np.float32)


def centred_error(found: np.ndarray, expected: np.ndarray) -> float:
    """‖found − expected‖ over ‖expected − its mean over the images‖: what all images share hides nothing."""
    if found.shape != expected.shape:
        raise ValueError(f"Different shapes. Received: {found.shape}, expected {expected.shape}")
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected - expected.mean(axis=0)))
