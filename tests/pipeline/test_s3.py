"""Stage one and two against a real S3 server on the loopback interface."""

import json
import os
import signal
import subprocess
import time

import pytest
from commandline import SLOW, SMALL, bottleneck, command, shard_hashes
from imagefiles import class_folders, encoded, picture
from packing import image_files, parquet_of_folder, tar_of

pytest.importorskip("s3fs", reason="extra `store` is not installed")
pytest.importorskip("moto", reason="extra `store-server` is not installed")

from s3server import BUCKET, s3_server

pytestmark = pytest.mark.slow

LITE = ("backbone.name=efficientnet-lite0", "backbone.layers=top_activation", "input.size=32,32")


@pytest.fixture(scope="module")
def server():
    with s3_server() as environment:
        yield environment


def _stored(server: dict[str, str], folder: str) -> list[str]:
    import s3fs

    store = s3fs.S3FileSystem(
        endpoint_url=server["AWS_ENDPOINT_URL"],
        key="test",
        secret="test",
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    return [str(name) for name in store.find(f"{BUCKET}/{folder}")]


def _put(server: dict[str, str], name: str, content: bytes) -> str:
    import s3fs

    store = s3fs.S3FileSystem(
        endpoint_url=server["AWS_ENDPOINT_URL"], key="test", secret="test", skip_instance_cache=True
    )
    store.pipe_file(f"{BUCKET}/{name}", content)
    return f"s3://{BUCKET}/{name}"


def _settings(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def test_a_run_that_is_killed_goes_on_from_the_store_on_another_machine_and_a_head_is_trained_from_it(server, tmp_path):
    words = ("features", *SLOW, *_settings(f"features.store=s3://{BUCKET}/caches"))
    with subprocess.Popen(
        command(*words, home=tmp_path / "first"), stderr=subprocess.DEVNULL, env={**os.environ, **server}
    ) as process:
        while process.poll() is None and sum("/.journal/train/" in name for name in _stored(server, "caches")) < 4:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not any(name.endswith("/manifest.json") and ".journal" not in name for name in _stored(server, "caches"))

    done = bottleneck(*words, "--json", home=tmp_path / "second", **server)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["images_resumed"] >= 4 * 64
    assert result["images"] + result["images_resumed"] == 1797
    assert bottleneck("features", *SLOW, home=tmp_path / "plain").returncode == 0
    assert shard_hashes(tmp_path / "second") == shard_hashes(tmp_path / "plain")
    assert not any("/.journal/" in name for name in _stored(server, "caches"))

    head = bottleneck("train-head", *words[1:], "--json", home=tmp_path / "third", **server)
    assert head.returncode == 0, head.stderr
    expected = bottleneck("train-head", *SLOW, "--json", home=tmp_path / "plain")
    accuracies = [json.loads(one.stdout)["methods"][0]["accuracy"]["test"] for one in (head, expected)]
    assert accuracies[0] == accuracies[1] > 0.8
    assert shard_hashes(tmp_path / "third") == shard_hashes(tmp_path / "plain")


def test_images_in_the_store_give_the_features_of_the_folder_and_a_poisoned_one_is_left_out(server, tmp_path):
    root = class_folders(tmp_path / "pictures")
    files = [(file.relative_to(root).as_posix(), file.read_bytes()) for file in image_files(root)]
    poison = ("green/poison.jpg", encoded(picture())[:200])
    for shard in range(3):
        members = files[10 * shard : 10 * (shard + 1)] + [poison] * (shard == 1)
        _put(server, f"images/{shard:04d}.tar", tar_of(tmp_path / "x.tar", members).read_bytes())
    table = _put(server, "tables/all.parquet", parquet_of_folder(root, tmp_path / "x.parquet").read_bytes())
    places = {
        "folder": (f"dataset.path={root}",),
        "tar": ("dataset.source=tar", f"dataset.path=s3://{BUCKET}/images/{{0000..0002}}.tar"),
        "tar folder": ("dataset.source=tar", f"dataset.path=s3://{BUCKET}/images"),
        "parquet": ("dataset.source=parquet", f"dataset.path={table}", "dataset.id_column=image.path"),
    }
    hashes = {}
    for name, settings in places.items():
        words = ("-e", "natural-images", *_settings(*settings, *LITE))
        done = bottleneck("features", *words, "--json", home=tmp_path / name, **server)
        assert done.returncode == 0, done.stderr
        left_out = "1 of 31 images cannot be used" in "".join(json.loads(done.stdout)["warnings"])
        assert left_out == name.startswith("tar")
        hashes[name] = shard_hashes(tmp_path / name)
    assert hashes["folder"] == hashes["tar"] == hashes["tar folder"] == hashes["parquet"]


def test_a_store_that_cannot_be_reached_or_does_not_exist_is_said_in_one_line(server, tmp_path):
    wrong = {**server, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    for environment, url, reason in (
        (wrong, f"s3://{BUCKET}/caches", "Could not connect to the endpoint URL"),
        (server, "s3://no-such-bucket/caches", "The specified bucket does not exist"),
    ):
        done = bottleneck("features", *SMALL, *_settings(f"features.store={url}"), home=tmp_path, **environment)
        assert done.returncode == 1
        assert reason in done.stderr
        assert "Traceback" not in done.stderr


def test_a_store_that_goes_away_costs_nothing_that_was_published(tmp_path):
    with s3_server() as server:
        words = ("features", *SLOW, *_settings(f"features.store=s3://{BUCKET}/caches"))
        with subprocess.Popen(
            command(*words, home=tmp_path), stderr=subprocess.PIPE, env={**os.environ, **server}, text=True
        ) as process:
            while process.poll() is None and sum("/.journal/train/" in name for name in _stored(server, "caches")) < 2:
                time.sleep(0.05)
            os.kill(int(server["SERVER_PID"]), signal.SIGKILL)
            _, errors = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "What is finished is kept" in errors
    assert "Traceback" not in errors
    with s3_server() as server:
        done = bottleneck(*words, "--json", home=tmp_path, **server)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images_resumed"] >= 2 * 64
