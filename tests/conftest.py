"""What all tests share: a finished extraction, and the real data where they are to be had."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from commandline import SMALL, invoke
from described import undescribed
from hypothesis import settings

from bottleneck_features import models
from bottleneck_features.pipeline.extraction import networks
from bottleneck_features.pipeline.results import Result

BUILD = networks.build_network

settings.register_profile("shared machine", deadline=None)  # others use its cores too: no example has a time of its own
settings.load_profile("shared machine")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait leave the cores to the other tests


@contextmanager
def _built_by(build: Callable[[networks.WantedNetwork], models.Extractor]) -> Iterator[None]:
    """Let `build` take the place of `build_network` in every module that has it."""
    before = networks.build_network
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("bottleneck_features.") and vars(module).get("build_network") is before:
                patch.setattr(module, "build_network", build)
        yield


@pytest.fixture(scope="session", autouse=True)
def shared_networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where each network that commands in this process compile is kept besides: in other homes it is copied, not compiled."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "networks"

    def copied_or_built(wanted: networks.WantedNetwork) -> models.Extractor:
        kept = folder / wanted.folder.name
        if kept.is_dir() and not wanted.folder.exists():
            shutil.copytree(kept, wanted.folder)
            if found := networks.open_network(wanted):
                return found
        made = BUILD(wanted)
        if wanted.folder.is_dir() and not kept.exists():
            copy = shutil.copytree(wanted.folder, tmp_path_factory.mktemp("network") / kept.name)
            folder.mkdir(exist_ok=True)
            with suppress(OSError):  # another worker was first
                copy.rename(kept)
        return made

    with _built_by(copied_or_built):
        yield folder


@pytest.fixture(scope="module")
def own_networks() -> Iterator[None]:
    """Let a module's commands compile what is not in their homes, as users' do."""
    with _built_by(BUILD):
        yield


@pytest.fixture(scope="session", autouse=True)
def undescribed_results() -> Iterator[list[str]]:
    """What the JSON schema refuses, or leaves out, of the results that commands in this process have written."""
    found: list[str] = []
    as_json = Result.as_json

    def looked_at(self: Result) -> dict[str, Any]:
        content = as_json(self)
        as_read = json.loads(json.dumps(content))
        found.extend(f"the result of {self.command}: {problem}" for problem in undescribed(as_read))
        return content

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Result, "as_json", looked_at)
        yield found


@pytest.fixture(autouse=True)
def every_result_is_described(undescribed_results: list[str]) -> Iterator[None]:
    """Fail a test whose commands write a result with a key that docs/reference/result.md does not have, or of another type."""
    yield
    problems = undescribed_results[:]
    undescribed_results.clear()
    assert not problems, "describe it in pipeline/result_schema, then type: make reference-pages\n" + "\n".join(
        problems
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
    done = invoke("features", *SMALL, home=home)
    assert done.exit_code == 0, done.output
    return home


@pytest.fixture(scope="session")
def trained(extracted: Path) -> Path:
    """The same folder with a head on its features."""
    done = invoke("train-head", *SMALL, "--set", "head.epochs=10", home=extracted)
    assert done.exit_code == 0, done.output
    return extracted
