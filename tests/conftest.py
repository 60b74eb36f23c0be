"""What all tests share: the command line as a user runs it, and the real data where they are to be had."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = ("-e", "digits", "--set", "dataset.limit=120", "--set", "input.size=32,32")


def command(*words: str, home: Path) -> list[str]:
    """The words of a command line with its artifacts folder."""
    return [sys.executable, "-m", "pipeline", *words, "--home", str(home)]


def bottleneck(*words: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in a process of its own."""
    return subprocess.run(
        command(*words, home=home),
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, **environment},
        check=False,
    )


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
