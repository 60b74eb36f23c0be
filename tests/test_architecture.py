"""Imports go down only, without circles, and the check that says so sees every module and every fault."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOM = "bottleneck_features.pipeline"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("bottleneck_features", "pipeline", "features", "models"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def check(checkout: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(ROOT / "tests" / "import_contracts.py"), str(checkout)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_imports_go_down_only_and_every_module_was_seen():
    done = check(ROOT)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("pipeline/datasets/scanning.py", f"from {ROOM}.evaluation import scores", "imports go down only"),
        ("pipeline/errors.py", f"import {ROOM}.commandline.cli", "imports go down only"),
        ("features/lock.py", "from bottleneck_features.models import errors", "do not know each other"),
        ("models/heads.py", f"from {ROOM} import results", "do not know each other"),
        ("pipeline/stages/probe.py", f"from {ROOM}.stages import compare", "stages do not import one another"),
        ("features/entries.py", "from bottleneck_features.features import writer", "no circle"),
        ("features/identity.py", "def f():\n    import bottleneck_features.features.catalog", "no circle"),
        ("features/reader.py", "import keras", "without a deep-learning framework"),
    ],
)
@pytest.mark.parametrize("types_only", [True, pytest.param(False, marks=pytest.mark.slow)])  # types are easier to miss
def test_an_import_that_runs_up_or_in_a_circle_is_refused(checkout, file, line, contract, types_only):
    planted = checkout / file
    if types_only:
        line = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    " + line.replace("\n", "\n    ")
    planted.write_text(f"{planted.read_text()}\n\n{line}\n")
    done = check(checkout)
    assert done.returncode == 1, done.stdout
    said = " ".join(done.stdout.split())
    broken = said.partition("Broken contracts")[2]
    assert contract in broken


def test_a_checkout_whose_links_are_missing_does_not_pass_as_empty(checkout):
    (checkout / "bottleneck_features" / "features").unlink()
    done = check(checkout)
    assert done.returncode == 1
    assert "lacks" in done.stdout
    assert "bottleneck_features.features" in done.stdout
