"""What all tests share: a finished extraction, and the real data where they are to be had."""

import os
from pathlib import Path

import pytest
from commandline import SMALL, bottleneck, invoke
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)  # others use its cores too: no example has a time of its own
settings.load_profile("shared machine")


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("BOTTLENECK_REAL_DATA")
    if not folder:
        pytest.skip("BOTTLENECK_REAL_DATA is not set: no real CIFAR-10 and ResNet weights")
    return Path(folder)


@pytest.fixture(scope="session")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifacts folder in which stage one has run on 120 + 120 digits at 32×32 pixels."""
    home = tmp_path_factory.mktemp("artifacts")
    done = bottleneck("features", *SMALL, home=home)
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(scope="session")
def trained(extracted: Path) -> Path:
    """The same folder with a head on its features."""
    done = invoke("train-head", *SMALL, "--set", "head.epochs=10", home=extracted)
    assert done.exit_code == 0, done.output
    return extracted
