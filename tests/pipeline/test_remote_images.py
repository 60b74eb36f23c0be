"""Images and caches behind URLs, in a store in memory."""

import json
import uuid
from pathlib import Path

import numpy as np
import pytest
from commandline import SMALL, invoke, shard_hashes
from imagefiles import class_folders
from packing import parquet_of_folder, tar_of_folder, web_dataset

from bottleneck_features.pipeline.datasets import Dataset, open_dataset
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.experiment_file import load_experiment

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def bucket() -> str:
    """A place of its own in the store."""
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def root(tmp_path) -> Path:
    return class_folders(tmp_path / "pictures")


def _put(url: str, file: Path) -> str:
    store, path = fsspec.core.url_to_fs(url)
    store.pipe_file(path, file.read_bytes())
    return url


def _open(source: str, path: str, home: Path, *overrides: str) -> Dataset:
    words = (f"dataset.source={source}", f"dataset.path={path}", "input.size=32,32", *overrides)
    return open_dataset(load_experiment("natural-images", words), home)


def test_packed_images_in_a_store_are_those_of_the_folder(bucket, root, tmp_path):
    folder = _open("folder", str(root), tmp_path)
    tar = _put(f"{bucket}/all.tar", tar_of_folder(root, tmp_path / "x.tar"))
    table = _put(f"{bucket}/all.parquet", parquet_of_folder(root, tmp_path / "x.parquet", row_group_size=7))
    for dataset in (
        _open("tar", tar, tmp_path),
        _open("tar", bucket, tmp_path),
        _open("parquet", table, tmp_path, "dataset.id_column=image.path"),
    ):
        for split, samples in folder.splits.items():
            everything = np.arange(len(samples))
            assert dataset.fingerprint(split) == folder.fingerprint(split)
            np.testing.assert_array_equal(dataset.images(split, everything), folder.images(split, everything))


def test_a_pattern_finds_shards_in_a_store(bucket, root, tmp_path):
    for file in web_dataset(root, tmp_path / "shards", 10).iterdir():
        _put(f"{bucket}/shards/{file.name}", file)
    for pattern in ("pictures-{0000..0002}.tar", "*.tar", ""):
        dataset = _open("tar", f"{bucket}/shards/{pattern}", tmp_path, "dataset.test_fraction=0")
        assert len(dataset.splits["train"]) == 30
    with pytest.raises(RequestError, match="There is no file '/.*pictures-0003.tar' in the store"):
        _open("tar", f"{bucket}/shards/pictures-{{0000..0003}}.tar", tmp_path)
    with pytest.raises(RequestError, match=r"There is no \.tar file at 'memory://"):
        _open("tar", f"{bucket}/nowhere", tmp_path)


def test_an_object_that_changes_after_the_scan_stops_the_run(bucket, root, tmp_path):
    tar = _put(f"{bucket}/all.tar", tar_of_folder(root, tmp_path / "x.tar"))
    dataset = _open("tar", tar, tmp_path)
    _put(tar, tar_of_folder(root / "red", tmp_path / "y.tar"))
    with pytest.raises(PipelineError, match=r"all\.tar: .*is no longer what it was at the start"):
        dataset.images("train", np.arange(len(dataset.splits["train"])))


@pytest.mark.slow
def test_a_head_is_trained_on_another_machine_from_what_was_published(bucket, tmp_path):
    words = (*SMALL, "--set", f"features.store={bucket}/caches")
    done = invoke("features", *words, "--json", home=tmp_path / "first")
    assert done.exit_code == 0, done.output
    head = invoke("train-head", *words, "--json", home=tmp_path / "second")
    assert head.exit_code == 0, head.output
    assert shard_hashes(tmp_path / "first") == shard_hashes(tmp_path / "second")
    again = invoke("features", *words, "--json", home=tmp_path / "third")
    assert json.loads(again.stdout)["images"] == 0
    assert shard_hashes(tmp_path / "first") == shard_hashes(tmp_path / "third")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["lost", "flipped"])
def test_a_cache_that_was_damaged_before_it_is_published_is_mended_by_the_run_that_publishes_it(
    bucket, tmp_path, damage
):
    assert invoke("features", *SMALL, "--json", home=tmp_path).exit_code == 0
    right = shard_hashes(tmp_path)
    shard = next((tmp_path / "features").glob("*/train/00000.h5"))
    content = shard.read_bytes()
    shard.unlink()
    if damage == "flipped":
        shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    words = (*SMALL, "--set", f"features.store={bucket}/caches")
    done = invoke("features", *words, "--json", home=tmp_path)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["images"] > 0
    assert invoke("train-head", *words, "--json", home=tmp_path / "second").exit_code == 0
    assert shard_hashes(tmp_path) == shard_hashes(tmp_path / "second") == right


def test_a_store_is_a_url_and_an_unknown_one_is_refused(tmp_path):
    refused = invoke("features", *SMALL, "--set", "features.store=somewhere/else", home=tmp_path)
    assert refused.exit_code == 2
    assert (
        "store must be a URL such as s3://bucket/prefix; a folder is --home. Received: 'somewhere/else'"
        in refused.stderr
    )
    refused = invoke("features", *SMALL, "--set", "features.store=nonsense://x/y", home=tmp_path)
    assert refused.exit_code == 2
    assert "Protocol not known: nonsense" in refused.stderr


def test_no_cache_anywhere_says_what_to_type(bucket, tmp_path):
    refused = invoke("train-head", *SMALL, "--set", f"features.store={bucket}/caches", home=tmp_path)
    assert refused.exit_code == 2
    assert "Type first: bottleneck features" in refused.stderr
