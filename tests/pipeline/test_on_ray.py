"""`features --engine-on ray`: what is asked of a cluster, and, on one, the bytes of a local run through any death."""

import importlib.util
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from commandline import SLOW, SMALL, bottleneck, command, heed_ctrl_c, invoke, shard_hashes
from imagefiles import class_folders, encoded, picture, write

from bottleneck_features.features.journal import read_journals
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.extraction.extract import open_for_extraction
from bottleneck_features.pipeline.extraction.on_ray import require_same_identity
from bottleneck_features.pipeline.extraction.ray_workers import Cluster, allocate_workers

RAY = ("--engine-on", "ray", "--workers", "2")
KILLS = 20

on_a_cluster = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'bottleneck-features[ray]'"
)


def test_without_ray_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    done = invoke("features", *SMALL, "--engine-on", "ray", home=tmp_path)
    assert done.exit_code == 2
    assert done.stderr.endswith("Error: --engine-on ray needs Ray: pip install 'bottleneck-features[ray]'\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--workers", "2"), "--workers: only with --engine-on ray."),
        (("--address", "auto"), "--address: only with --engine-on ray."),
        (("--devices-per-worker", "1"), "--devices-per-worker: only with --engine-on ray."),
        (("--engine-on", "ray", "--shard", "1/2"), "--shard 1/2 and --engine-on ray cannot be combined"),
        (("--engine-on", "ray", "--workers", "0"), "0 is not in the range x>=1"),
        (("--engine-on", "spark"), "'spark' is not one of 'local', 'ray'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, options, message):
    done = invoke("features", *SMALL, *options, home=tmp_path)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not list(tmp_path.glob("features/*"))


@on_a_cluster
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("somewhere", "--address is HOST:PORT, ray://HOST:PORT or auto. Received: 'somewhere'"),
        ("127.0.0.1:9", "--address '127.0.0.1:9': there is no Ray cluster ([Errno 111] Connection refused). Start one"),
        ("ray://127.0.0.1:9", "--address 'ray://127.0.0.1:9': there is no Ray cluster ([Errno 111]"),
    ],
)
def test_an_address_without_a_cluster_is_one_line(tmp_path, address, message):
    done = invoke("features", *SMALL, "--engine-on", "ray", "--address", address, home=tmp_path)
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("nodes", "asked", "shared"),
    [
        ([{"CPU": 8}], Cluster(), (1, 0, 8)),
        ([{"CPU": 2}], Cluster(workers=2), (2, 0, 1)),
        ([{"CPU": 16}, {"CPU": 4}], Cluster(), (2, 0, 8)),
        ([{}, {"CPU": 16}, {"CPU": 16}], Cluster(), (2, 0, 16)),
        ([{"CPU": 16, "GPU": 4}], Cluster(), (4, 1, 4)),
        ([{"CPU": 16, "GPU": 4}], Cluster(devices=2), (2, 2, 8)),
        ([{"CPU": 16, "GPU": 4}, {"CPU": 64}], Cluster(workers=2), (2, 1, 8)),
        ([{"CPU": 16, "GPU": 4}], Cluster(devices=0), (1, 0, 16)),
    ],
)
def test_every_worker_gets_as_many_threads_as_let_all_of_them_fit(nodes, asked, shared):
    assert allocate_workers(nodes, asked) == shared


@pytest.mark.parametrize("asked", [Cluster(workers=5), Cluster(workers=1, devices=1)])
def test_workers_that_do_not_fit_are_refused_with_what_there_is_room_for(asked):
    with pytest.raises(
        RequestError, match=r"has no room for --workers \d, only for [04].*has 1 nodes with 4 processors"
    ):
        allocate_workers([{"CPU": 4}], asked)


def test_a_worker_that_sees_other_data_stops_the_run_and_names_the_difference(tmp_path):
    opened = open_for_extraction(load_experiment("digits", ["dataset.limit=120"]), tmp_path)
    require_same_identity(opened.identity, opened)
    with pytest.raises(
        PipelineError, match=r"(?s)The worker on .* has other data.*dataset\.train.*the same files under"
    ):
        require_same_identity({**opened.identity, "dataset.train": "0" * 64}, opened)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("undisturbed")
    assert bottleneck("features", *SLOW, home=home).returncode == 0
    return shard_hashes(home)


def _start(home: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("features", *SLOW, "--json", *(words or RAY), home=home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,
    )


def _workers(pid: int) -> list[psutil.Process]:
    """The workers below a process, as Ray names them."""
    try:
        below = psutil.Process(pid).children(recursive=True)
        return [process for process in below if "ShardWorker" in " ".join(process.cmdline())]
    except psutil.NoSuchProcess:
        return []


def _entered(home: Path) -> list[tuple[str, int]]:
    """Every entry of a shard in the journals of an unfinished cache."""
    records = [records for folder in home.glob("features/*") for records in read_journals(folder)]
    return [(found.split, index) for found in records for index in found.rows["index"].tolist()]


def _shards(home: Path) -> list[Path]:
    return list(home.glob("features/*/*/*.h5"))


def _wait_for_shards(process: subprocess.Popen[str], home: Path, count: int) -> None:
    while process.poll() is None and len(_shards(home)) < count:
        time.sleep(0.02)


def _end(process: subprocess.Popen[str], again_in: Path | None = None) -> dict[str, object]:
    out, error = process.communicate(timeout=900)
    if (
        again_in and "Ray could not be started on this machine" in error
    ):  # it gives up after 30 s where others hold the cores
        return _end(_start(again_in), again_in)
    assert process.returncode == 0, error
    return json.loads(out)


@on_a_cluster
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_workers_make_the_bytes_of_a_local_run_and_keep_ray_off_the_terminal(tmp_path, undisturbed):
    process = _start(tmp_path)
    out, error = process.communicate(timeout=900)
    assert process.returncode == 0, error
    result = json.loads(out)
    assert (result["images"], result["shards_left"], result["workers"], result["worker_deaths"]) == (1797, 0, 2, 0)
    assert 0 < result["shard_seconds"]["mean"] <= result["shard_seconds"]["longest"]
    assert all(re.match(r"features: [\d,]+ of 1797, ", line) for line in error.splitlines() if line), error
    assert shard_hashes(tmp_path) == undisturbed
    assert not list(tmp_path.glob("features/*/.journal/*"))
    again = json.loads(bottleneck("features", *SLOW, "--json", *RAY, home=tmp_path).stdout)
    assert again["images"] == 0


@on_a_cluster
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ctrl_c_keeps_what_is_done_and_a_local_run_goes_on(tmp_path, undisturbed):
    process = _start(tmp_path)
    _wait_for_shards(process, tmp_path, 5)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert error.endswith("Stopped. Every finished shard is kept: the same command continues where this one stopped.\n")
    assert "Traceback" not in error
    rest = _end(_start(tmp_path, "--wait", "60"))
    assert rest["images_resumed"] >= 4 * 64
    assert rest["images"] + rest["images_resumed"] == 1797
    assert shard_hashes(tmp_path) == undisturbed


@on_a_cluster
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_parts_that_were_done_elsewhere_are_not_done_again(tmp_path, undisturbed):
    part = _end(_start(tmp_path, "--shard", "2/3"))
    rest = _end(_start(tmp_path))
    assert part["images"] + rest["images"] == 1797
    assert rest["images_resumed"] > 0
    assert shard_hashes(tmp_path) == undisturbed


@on_a_cluster
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_workers_and_drivers_killed_at_random_lose_nothing_and_do_nothing_twice(tmp_path, undisturbed, capsys):
    chance, kills, runs, twice = random.Random(0), {"worker": 0, "driver": 0}, 0, 0
    while sum(kills.values()) < KILLS:
        home = tmp_path / str(runs)
        runs += 1
        process = _start(home)
        while process.poll() is None and sum(kills.values()) < KILLS:
            _wait_for_shards(process, home, len(_shards(home)) + chance.choice((0, 0, 1, 3)))
            time.sleep(chance.uniform(0, 1))
            if not (workers := _workers(process.pid)):
                continue
            who = chance.choice(list(kills))
            (process if who == "driver" else chance.choice(workers)).kill()
            kills[who] += 1
            entered = _entered(home)
            twice = max(twice, len(entered) - len(set(entered)))
            if who == "driver":
                process.communicate()
                process = _start(home)
        result = _end(process, home)
        assert result["images"] + result["images_resumed"] == 1797
        assert shard_hashes(home) == undisturbed
    with capsys.disabled():
        print(f"\n{kills} killed in {runs} caches, {twice} shards entered twice")
    assert twice == 0


@on_a_cluster
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_shard_that_its_dead_worker_had_finished_is_not_done_again(tmp_path):
    process, kill_at = _start(tmp_path), [4, 8, 12]
    while process.poll() is None:
        entered = _entered(tmp_path)
        assert len(entered) == len(set(entered))
        if kill_at and len(entered) >= kill_at[0] and (workers := _workers(process.pid)):
            workers[0].kill()
            del kill_at[0]
        time.sleep(0.05)
    assert _end(process)["worker_deaths"] > 0


@on_a_cluster
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_workers_that_always_die_end_the_run_with_one_line(tmp_path):
    process = _start(tmp_path)
    while process.poll() is None:
        for worker in _workers(process.pid):
            worker.kill()
        time.sleep(0.2)
    _, error = process.communicate()
    assert process.returncode == 1
    assert "Error: 5 workers died before they were ready. Ray's message for the last one: " in error
    assert "Traceback" not in error


@pytest.fixture
def two_nodes() -> Iterator[object]:
    from ray.cluster_utils import Cluster as Nodes

    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    yield nodes
    nodes.shutdown()


@on_a_cluster
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_node_that_goes_away_leaves_its_shards_to_the_others(tmp_path, undisturbed, two_nodes):
    process = _start(tmp_path, *RAY, "--address", two_nodes.address)
    _wait_for_shards(process, tmp_path, 4)
    two_nodes.remove_node(two_nodes.worker_nodes.copy().pop(), allow_graceful=False)
    result = _end(process)
    assert result["worker_deaths"] >= 1
    assert shard_hashes(tmp_path) == undisturbed


@on_a_cluster
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_broken_image_is_quarantined_as_in_a_local_run(tmp_path):
    broken = class_folders(tmp_path / "pictures", 30) / "red" / "red 7.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    pictures = ("-e", "natural-images", "--set", f"dataset.path={tmp_path / 'pictures'}", "--set", "input.size=64,64")
    words = (*pictures, "--set", "backbone.name=efficientnet-lite0", "--set", "backbone.layers=top_activation")
    words = (*words, "--set", "features.shard_size=8", "--json")
    found = {}
    for name, where in (("local", ()), ("ray", RAY)):
        done = bottleneck("features", *words, *where, home=tmp_path / name)
        assert done.returncode == 0, done.stderr
        quarantine = tmp_path / name / "runs" / "natural-images" / "quarantine.csv"
        found[name] = (quarantine.read_text(), shard_hashes(tmp_path / name))
    assert "red 7.jpg" in found["ray"][0]
    assert found["ray"] == found["local"]


@on_a_cluster
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_workers_take_rows_that_another_cache_has(tmp_path):
    pictures = class_folders(tmp_path / "pictures", images=40)
    settings = [f"dataset.path={pictures}", "dataset.test_fraction=0.25", "backbone.name=efficientnet-lite0"]
    settings += [
        "backbone.weights=imagenet",
        "backbone.layers=top_activation",
        "input.size=32,32",
        "features.shard_size=16",
    ]
    words = ("features", "-e", "natural-images", *(word for one in settings for word in ("--set", one)), "--json")
    first = json.loads(bottleneck(*words, home=tmp_path / "home").stdout)
    assert first["images"] == 120
    for number in range(3):
        write(pictures / "blue" / f"new {number}.jpg", encoded(picture(90_000 + number)))
    grown = bottleneck(*words, *RAY, home=tmp_path / "home")
    assert grown.returncode == 0, grown.stderr
    result = json.loads(grown.stdout)
    assert (result["images"], result["images_reused"], result["images_resumed"]) == (3, 120, 0)
    assert result["reused_from"] == {Path(first["cache"]).name: 120}
    fresh = json.loads(bottleneck(*words, home=tmp_path / "fresh").stdout)
    for file in Path(fresh["cache"]).rglob("*.h5"):
        assert file.read_bytes() == (Path(result["cache"]) / file.relative_to(fresh["cache"])).read_bytes()
