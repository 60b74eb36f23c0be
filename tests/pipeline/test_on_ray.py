"""`features --on ray` makes the cache that a local run makes, also when its workers are killed."""

import hashlib
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from commandline import SMALL, command, invoke

SHARDS = (*SMALL, "--set", "features.shard_size=16")


def _hashes(home: Path) -> dict[str, str]:
    (folder,) = (home / "features").iterdir()
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*.h5")
    }


def test_without_ray_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = invoke("features", *SMALL, "--on", "ray", home=tmp_path)
    assert done.exit_code == 2
    assert done.stderr == "Error: --on ray needs Ray: pip install 'bottleneck-features[ray]'\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--workers", "2"), "--address and --workers are for --on ray"),
        (("--address", "auto"), "--address and --workers are for --on ray"),
        (("--on", "ray", "--shard", "1/2"), "--shard 1/2 and --on ray exclude each other"),
        (("--on", "ray", "--workers", "0"), "0 is not in the range x>=1"),
        (("--on", "spark"), "'spark' is not one of 'local', 'ray'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, options, message):
    done = invoke("features", *SMALL, *options, home=tmp_path)
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'bottleneck-features[ray]'")
    home = tmp_path_factory.mktemp("undisturbed")
    assert invoke("features", *SHARDS, home=home).exit_code == 0
    return _hashes(home)


def _start(home: Path) -> subprocess.Popen[str]:
    words = command("features", *SHARDS, "--json", "--on", "ray", "--workers", "2", home=home)
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_ray_workers_make_the_bytes_of_a_local_run(tmp_path, undisturbed):
    process = _start(tmp_path)
    out, error = process.communicate(timeout=800)
    assert process.returncode == 0, error
    result = json.loads(out)
    assert (result["images"], result["shards_left"]) == (240, 0)
    assert _hashes(tmp_path) == undisturbed


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_ray_worker_is_started_again_and_goes_on(tmp_path, undisturbed):
    process = _start(tmp_path)
    journals: list[Path] = []
    while process.poll() is None and not journals:
        journals = list(tmp_path.glob("features/*/.journal/*"))
        time.sleep(0.01)
    psutil.Process(int(journals[0].name.split("~")[1])).kill()
    _, error = process.communicate(timeout=800)
    assert process.returncode == 0, error
    assert _hashes(tmp_path) == undisturbed
