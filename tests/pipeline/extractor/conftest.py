"""Pictures, homes in which their features are kept or not, and the rows that stage one made of them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from commandline import invoke
from extracting import cached
from imagefiles import class_folders

from bottleneck_features.features import list_caches


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return class_folders(tmp_path_factory.mktemp("pictures"), images=12)


@pytest.fixture(scope="module")
def extracted(tmp_path_factory, pictures) -> Path:
    """A home in which stage one has run on the pictures, at 32 pixels."""
    home = tmp_path_factory.mktemp("home")
    done = invoke("features", str(pictures), "--set", "input.size=32,32", home=home)
    assert done.exit_code == 0, done.output
    return home


@pytest.fixture
def home(extracted, tmp_path) -> Path:
    return Path(shutil.copytree(extracted, tmp_path / "home", copy_function=shutil.copy2))


@pytest.fixture
def empty(extracted, tmp_path) -> Path:
    """A home with networks and without features."""
    shutil.copytree(extracted / "networks", tmp_path / "empty" / "networks")
    return tmp_path / "empty"


@pytest.fixture(scope="module")
def paths(pictures) -> list[str]:
    return [str(path) for path in sorted(pictures.rglob("*.jpg"))]


@pytest.fixture(scope="module")
def labels(paths) -> list[str]:
    return [Path(path).parent.name for path in paths]


@pytest.fixture(scope="module")
def expected(extracted, paths) -> np.ndarray:
    """The rows that stage one made of the paths."""
    (folder,) = (info.path for info in list_caches(extracted / "features"))
    return cached(folder, paths)
