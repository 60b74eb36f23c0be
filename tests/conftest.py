"""What all tests share: a finished extraction, and the real data where they are to be had."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import SMALL, invoke
from hypothesis import settings

from bottleneck_features.pipeline.extraction import networks

settings.register_profile("shared machine", deadline=None)  # others use its cores too: no example has a time of its own
settings.load_profile("shared machine")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait leave the cores to the other tests


@pytest.fixture(scope="session", autouse=True)
def shared_networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where commands in this process keep the networks they compile, for all homes: each is compiled once in a run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "networks"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            networks, "NETWORKS", str(folder)
        )  # an absolute path, so that the home before it counts for nothing
        yield folder


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
    done = invoke("features", *SMALL, home=home)
    assert done.exit_code == 0, done.output
    return home


@pytest.fixture(scope="session")
def trained(extracted: Path) -> Path:
    """The same folder with a head on its features."""
    done = invoke("train-head", *SMALL, "--set", "head.epochs=10", home=extracted)
    assert done.exit_code == 0, done.output
    return extracted
