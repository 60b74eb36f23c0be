"""`features --shard I/N`: several commands make the cache that one command would have made."""

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commandline import SMALL, bottleneck, command, invoke, shard_hashes

SHARDS = (*SMALL, "--set", "features.shard_size=16")
PARTS = ("1/4", "2/4", "3/4", "4/4")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("undisturbed")
    assert invoke("features", *SHARDS, home=home).exit_code == 0
    return shard_hashes(home)


@pytest.mark.parametrize("received", ["0/4", "5/4", "x/y", "3", "1/2/3", "-1/4", "1/0", ""])
def test_a_part_that_is_none_is_refused_with_what_was_received(tmp_path, received):
    done = invoke("features", *SHARDS, "--shard", received, home=tmp_path)
    assert done.exit_code == 2
    assert f"--shard takes I/N, two whole numbers with 1 ≤ I ≤ N, such as 3/16. Received: '{received}'" in done.output
    assert "Traceback" not in done.output


def test_parts_one_after_the_other_make_the_bytes_of_one_run_and_the_last_one_completes(tmp_path, undisturbed):
    first = invoke("features", *SHARDS, "--shard", "2/2", home=tmp_path)
    assert "Part 2/2 is done. 8 shards of the other parts are still to be computed." in first.output
    assert "train-head" not in first.output
    refused = invoke("train-head", *SHARDS, home=tmp_path)
    assert refused.exit_code == 1
    assert "8 of 16 shards are there" in refused.output
    last = invoke("features", *SHARDS, "--shard", "1/2", home=tmp_path)
    assert "next:  bottleneck train-head" in last.output
    again = invoke("features", *SHARDS, "--shard", "1/2", home=tmp_path)
    assert "nothing to do" in again.output
    assert shard_hashes(tmp_path) == undisturbed


@pytest.mark.slow
def test_a_command_without_a_part_completes_what_parts_have_left(tmp_path, undisturbed):
    assert invoke("features", *SHARDS, "--shard", "3/3", home=tmp_path).exit_code == 0
    done = json.loads(invoke("features", *SHARDS, "--json", home=tmp_path).stdout)
    assert (done["part"], done["shards_left"]) == ("1/1", 0)
    assert done["images"] + done["images_resumed"] == 240
    assert done["images_resumed"] > 0
    assert shard_hashes(tmp_path) == undisturbed


def _start(home: Path) -> list[subprocess.Popen[str]]:
    return [
        subprocess.Popen(
            command("features", *SHARDS, "--json", "--shard", part, home=home),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for part in PARTS
    ]


@pytest.mark.slow
def test_four_commands_at_once_make_the_bytes_of_one_run(tmp_path, undisturbed):
    processes = _start(tmp_path)
    ends = [process.communicate(timeout=280) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, ends
    results = [json.loads(out) for out, _ in ends]
    assert sum(result["images"] for result in results) == 240, "nothing twice"
    assert 0 in [result["shards_left"] for result in results]
    assert shard_hashes(tmp_path) == undisturbed


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_four_commands_killed_at_random_end_with_the_bytes_of_one_run(tmp_path, undisturbed):
    chance = random.Random(0)
    for _ in range(5):
        processes = _start(tmp_path)
        while not list(tmp_path.glob("features/*/.journal/*")) and any(process.poll() is None for process in processes):
            time.sleep(0.01)
        for process in chance.sample(processes, 4):
            time.sleep(chance.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
            process.communicate()
    for part in PARTS:
        assert bottleneck("features", *SHARDS, "--shard", part, home=tmp_path).returncode == 0
    assert shard_hashes(tmp_path) == undisturbed
