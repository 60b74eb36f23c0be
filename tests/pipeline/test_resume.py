"""Stage one with a real backbone, stopped in the middle."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commandline import SLOW, bottleneck, command, heed_ctrl_c, invoke, shard_hashes, small_disk


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("undisturbed")
    done = invoke("features", *SLOW, home=home)
    assert done.exit_code == 0, done.output
    return shard_hashes(home)


@pytest.fixture
def home(undisturbed, shared_networks, tmp_path) -> Path:
    """An artifacts folder with the compiled network, which spares each process its start."""
    shutil.copytree(shared_networks, tmp_path / "networks")
    return tmp_path


def _stop_after_shards(home: Path, shards: int, how: signal.Signals) -> tuple[int, str]:
    with subprocess.Popen(
        command("features", *SLOW, home=home), stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c
    ) as process:
        while process.poll() is None and len(list(home.glob("features/*/*/*.h5"))) < shards:
            time.sleep(0.01)
        process.send_signal(how)
        _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(home, undisturbed):
    code, errors = _stop_after_shards(home, 3, signal.SIGINT)
    assert code == 1
    assert "Traceback" not in errors
    assert "the same command continues" in errors
    done = bottleneck("features", *SLOW, "--json", home=home)
    result = json.loads(done.stdout)
    assert result["images_resumed"] >= 2 * 64
    assert result["images"] + result["images_resumed"] == 1797
    assert shard_hashes(home) == undisturbed


@pytest.mark.slow
def test_a_run_killed_twice_ends_with_the_same_bytes(home, undisturbed):
    for shards in (1, 9):
        code, _ = _stop_after_shards(home, shards, signal.SIGKILL)
        assert code == -signal.SIGKILL
    assert bottleneck("features", *SLOW, home=home).returncode == 0
    assert shard_hashes(home) == undisturbed


@pytest.mark.slow
def test_a_full_artifacts_folder_is_said_before_any_work_and_leaves_nothing_half_written(tmp_path):
    try:
        with small_disk(tmp_path / "full", "1500k") as home:
            done = bottleneck("features", *SLOW, home=home)
            left = [file.name for file in home.rglob("*.tmp")]
    except PermissionError as error:
        pytest.skip(str(error))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "needs" in done.stderr
    assert "are free" in done.stderr
    assert not left


@pytest.mark.slow
def test_of_two_runs_at_once_one_works_and_the_other_says_who_does(tmp_path, undisturbed):
    with subprocess.Popen(command("features", *SLOW, home=tmp_path), stderr=subprocess.PIPE, text=True) as first:
        while first.poll() is None and not list(tmp_path.glob("features/*/*/*.h5")):
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)  # however slow the second is to start, it finds the first at work
        second = bottleneck("features", *SLOW, home=tmp_path)
        first.send_signal(signal.SIGCONT)
        first.communicate(timeout=120)
    assert second.returncode == 1
    assert f"Process {first.pid}" in second.stderr
    assert first.returncode == 0
    assert shard_hashes(tmp_path) == undisturbed
