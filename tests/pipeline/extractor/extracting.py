"""Extractors of small pictures, and what they keep."""

import subprocess
import sys
from pathlib import Path

import numpy as np

import bottleneck_features as bf
from bottleneck_features.features import list_caches, open_features

LAYERS = ["block5c_add", "top_activation"]
WIDTH = 112 + 1280
SCRIPT = """
import sys
import numpy as np
from sklearn.datasets import load_digits
import bottleneck_features as bf
images = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
x = bf.Extractor(size=96, batch_size=4, home=sys.argv[1]).transform(images)
np.save(sys.argv[2], x)
"""


def cached(folder: Path, paths: list[str]) -> np.ndarray:
    rows = {}
    for split in open_features(folder).values():
        layers = [split.features[layer][:] for layer in LAYERS]
        rows |= dict(zip(split.ids, np.concatenate(layers, axis=1), strict=True))
    return np.stack([rows["/".join(Path(path).parts[-2:])] for path in paths]).astype(np.float32)


def small(home: Path, **settings: object) -> bf.Extractor:
    return bf.Extractor(**{"size": 32, "home": home, **settings})


def caches(home: Path) -> list[Path]:
    return sorted(info.path for info in list_caches(home / "features"))


def kept(home: Path) -> list[Path]:
    return [path for path in caches(home) if path.name.startswith("extractor-")]


def started(home: Path, out: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(home), str(out)], stderr=subprocess.DEVNULL)
