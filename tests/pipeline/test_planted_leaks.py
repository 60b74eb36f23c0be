"""Twenty training images of each kind in the test split: copied, saved at JPEG quality 30, mirrored, or both."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from commandline import invoke
from PIL import Image, ImageOps

from bottleneck_features.pipeline.datasets.sources.embedded import photo_patches

KINDS = ("copied", "quality30", "mirrored", "mirrored30")
PLANTED = 20
CLASSES = ("moon", "text", "cell", "coffee", "grass", "page")  # smooth pictures, symmetric ones, texture


@pytest.fixture(scope="module")
def leaky(tmp_path_factory) -> Path:
    """Real patches in folders, with eighty of the training images once more among the test images."""
    root, patches = tmp_path_factory.mktemp("leaky"), photo_patches()
    own = [patches.class_names.index(name) for name in CLASSES]
    for split in ("train", "test"):
        labels = patches.splits[split].labels
        for number in np.flatnonzero(np.isin(labels, own)).tolist():
            folder = root / "data" / split / patches.class_names[labels[number]]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(patches.images(split, np.array([number]))[0]).save(folder / f"{split}-{number}.png")
    files = sorted((root / "data" / "train").rglob("*.png"))
    chosen = np.random.default_rng(0).permutation(len(files))[: PLANTED * len(KINDS)].reshape(len(KINDS), PLANTED)
    for kind, numbers in zip(KINDS, chosen, strict=True):
        for number in numbers:
            _plant(files[number], root / "data" / "test" / files[number].parent.name, kind)
    return root


def _plant(file: Path, folder: Path, kind: str) -> None:
    image = Image.open(file)
    if kind.startswith("mirrored"):
        image = ImageOps.mirror(image)
    name = f"leak-{kind}-{file.stem}"
    if kind.endswith("30"):
        image.save(folder / f"{name}.jpg", quality=30)
    else:
        image.save(folder / f"{name}.png")


def _found(pairs: list[tuple[str, str]]) -> Counter:
    """Count the planted images by their kind, of pairs of ids in either order, that were found with their own original."""
    found = set()
    for first, second in [*pairs, *((second, first) for first, second in pairs)]:
        planted = re.search(r"leak-(\w+)-(train-\d+)\.", first)
        if planted and f"/{planted[2]}." in second:
            found.add((planted[1], first))
    return Counter(kind for kind, _ in found)


def test_inspect_finds_all_of_them(leaky):
    result = json.loads(invoke("inspect", str(leaky / "data"), "--name", "leaky", "--json", home=leaky).stdout)
    pairs = [(pair["first"]["id"], pair["second"]["id"]) for pair in result["repeats"]["pairs"]]
    assert _found(pairs) == dict.fromkeys(KINDS, PLANTED)
    others = [pair for pair in pairs if "leak-" not in "".join(pair)]
    assert len(others) <= 5  # neighbouring places of the same photograph


def test_train_head_finds_all_of_them(leaky):
    small = ("--set", "input.size=32,32", "--set", "backbone.layers=top_activation", "--set", "head.epochs=1")
    words = (str(leaky / "data"), "--name", "leaky", *small)
    assert invoke("features", *words, home=leaky).exit_code == 0
    result = json.loads(invoke("train-head", *words, "--json", home=leaky).stdout)
    pairs = [(pair["scored_id"], pair["learned_id"]) for pair in result["duplicates"]["pairs"]]
    assert _found(pairs) == dict.fromkeys(KINDS, PLANTED)
    assert result["duplicates"]["images"] <= PLANTED * len(KINDS) + 3
    assert any(f"Leak: {result['duplicates']['images']} of the" in warning for warning in result["warnings"])
