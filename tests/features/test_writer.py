"""A writer stores what it was given or says why not, and goes on where another stopped."""

from __future__ import annotations

import json
import os
import shutil
import stat

import h5py
import numpy as np
import pytest
import small_cache
from small_cache import LAYERS

from bottleneck_features.features import (
    ArraySpec,
    CacheDamaged,
    CacheError,
    CacheIncomplete,
    CacheMissing,
    CacheVersion,
    DiskFull,
    FeatureError,
    SplitPlan,
    Targets,
    list_caches,
    open_features,
    removal,
    remove_cache,
    verify,
)
from bottleneck_features.features.manifest import seal

ONE = {"pool": ArraySpec((4,), "float16")}
TWO_SAMPLES = {"train": SplitPlan(np.array(["cat.png", "dog.png"]))}
ONE_SAMPLE = SplitPlan(np.array(["a"]))


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, 65505.0, -1e6])
def test_values_that_float16_cannot_hold_are_refused_with_layer_and_id(tmp_path, bad):
    features = np.ones((2, 4), np.float32)
    features[1, 2] = bad
    with small_cache.writer(tmp_path, splits=TWO_SAMPLES, arrays=ONE) as writer:
        with pytest.raises(FeatureError, match=r"'pool': 1 values .* 'dog.png'\. Nothing"):
            writer.write(writer.pending[0], {"pool": features})
        assert len(writer.pending) == 1
        assert not list((tmp_path / "train").iterdir())


@pytest.mark.parametrize("bad", [np.inf, np.nan, 1e39])
def test_values_that_float32_cannot_hold_are_refused_too(tmp_path, bad):
    with small_cache.writer(tmp_path, splits=TWO_SAMPLES, arrays={"pool": ArraySpec((), "float32")}) as writer:
        with pytest.raises(FeatureError, match=r"'cat\.png'"):
            writer.write(writer.pending[0], {"pool": np.array([bad, 1.0])})
        writer.write(writer.pending[0], {"pool": np.array([3e38, 1.0])})


def test_the_largest_float16_is_stored_exactly(tmp_path):
    features = np.full((2, 4), [65504, -65504, 6e-8, 0], np.float32)
    with small_cache.writer(tmp_path, splits=TWO_SAMPLES, arrays=ONE) as writer:
        writer.write(writer.pending[0], {"pool": features})
        writer.finish()
    np.testing.assert_array_equal(open_features(tmp_path)["train"].x, features.astype(np.float16))


@pytest.mark.parametrize(
    "arrays", [{}, {"pool": np.ones((3, 4))}, {"pool": np.ones((2, 4), np.int64)}, {"poll": np.ones((2, 4))}]
)
def test_arrays_of_another_shape_kind_or_name_are_refused(tmp_path, arrays):
    writer = small_cache.writer(tmp_path, splits=TWO_SAMPLES, arrays=ONE)
    with writer, pytest.raises(FeatureError, match="pool"):
        writer.write(writer.pending[0], arrays)


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        ([3], {}, r"0…2, .* 3 for sample 0"),
        ([0, -1], {}, r"-1 for sample 1"),
        ([0.5], {}, "integers"),
        ([0], {"train": ["a", "b"]}, "a group for each label"),
        ([0], {"test": ["a"]}, "a group for each label"),
        ([0], {"train": ["a\0"]}, "NUL"),
    ],
)
def test_targets_that_cannot_be_stored_are_refused(tmp_path, labels, groups, message):
    with pytest.raises(FeatureError, match=message):
        _ = Targets(
            ("a", "b", "c"), {"train": np.array(labels)}, {name: np.array(own, object) for name, own in groups.items()}
        ).digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shard_size": 0}, "shard_size must be ≥ 1"),
        ({"compression": "gzip"}, "none, blosc2.*'gzip'"),
        ({"splits": {}}, "needs a split"),
        ({"splits": {"quarantine": TWO_SAMPLES["train"]}}, "split's name"),
        ({"splits": {"../up": TWO_SAMPLES["train"]}}, "split's name"),
        ({"arrays": {"a/b": ArraySpec((1,), "float16")}}, "without '/'"),
        ({"arrays": {"a": ArraySpec((1,), "int8")}}, "float16, float32.*'int8'"),
        ({"arrays": {"a": ArraySpec((0,), "float16")}}, "≥ 1"),
        ({"splits": {"train": SplitPlan(np.array(["a", "a"]))}}, "'a' 2 times"),
        ({"splits": {"train": SplitPlan(np.array(["a", ""]))}}, "empty"),
        ({"splits": {"targets": ONE_SAMPLE}}, "split's name"),
        ({"splits": {"train": SplitPlan(np.array(["a"]), np.zeros((2, 32), np.uint8))}}, "a SHA-256 for each id"),
        (
            {"splits": {"train": ONE_SAMPLE}, "targets": Targets(("a",), {"train": np.zeros(2, int)})},
            "a label for each id",
        ),
        (
            {"splits": {"train": ONE_SAMPLE}, "targets": Targets(("a",), {"test": np.zeros(1, int)})},
            "a label for each id",
        ),
    ],
)
def test_a_plan_that_cannot_be_stored_is_refused_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(CacheError, match=message):
        small_cache.writer(tmp_path / "cache", **changes)
    assert not (tmp_path / "cache").exists()


def test_an_unfinished_cache_does_not_open_and_says_how_far_it_is(tmp_path):
    with small_cache.writer(tmp_path) as writer:
        for shard in writer.pending[:3]:
            writer.write(shard, small_cache.shard_arrays(shard, LAYERS))
        assert (writer.done_images, writer.total_images) == (30, 70)
        with pytest.raises(CacheIncomplete, match="5 of 8 shards"):
            writer.finish()
    with pytest.raises(CacheIncomplete, match=r"3 of 8 shards .* Run the extraction again"):
        open_features(tmp_path)


def test_the_shard_size_of_an_unfinished_cache_wins(tmp_path):
    with small_cache.writer(tmp_path / "a") as writer:
        writer.write(writer.pending[0], small_cache.shard_arrays(writer.pending[0], LAYERS))
    with small_cache.writer(tmp_path / "a", shard_size=7, compression="blosc2") as writer:
        assert len(writer.pending[0]) == 10
        small_cache.fill(writer, LAYERS)
    assert small_cache.file_bytes(tmp_path / "a") == small_cache.file_bytes(small_cache.make(tmp_path / "b"))


def test_writing_a_finished_cache_again_changes_no_file(cache):
    def state():
        return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in cache.rglob("[!.]*")}

    before = state()
    small_cache.make(cache, provenance={"experiment": "another time"})
    assert {path for path, was in before.items() if state()[path] != was} == set()


def test_too_little_space_is_refused_at_the_start_with_both_figures(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100_000))
    with pytest.raises(DiskFull, match=r"needs 532\.8 kB in .*, only 100\.0 kB are free"):
        small_cache.make(tmp_path / "cache")


def test_what_is_already_written_needs_no_space_any_more(cache, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 0))
    with small_cache.writer(cache) as writer:
        assert writer.pending == []


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CacheError, match=r"Cannot write .*file.*choose another"):
        small_cache.make(tmp_path / "file" / "cache")


@pytest.mark.parametrize(("version", "advice"), [(4, "Upgrade bottleneck-features"), (2, "cache rm"), (1, "cache rm")])
def test_another_format_version_is_refused_with_advice(cache, version, advice):
    content = json.loads((cache / "manifest.json").read_text())
    content["version"] = version
    content["sha256"] = seal(content)
    (cache / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(CacheVersion, match=advice):
        open_features(cache)
    with pytest.raises(CacheVersion, match=advice):
        small_cache.make(cache)
    assert advice in list_caches(cache.parent)[0].problem


def test_removing_shows_first_and_then_removes_the_cache_and_nothing_else(cache):
    (cache / "notes.txt").write_text("mine")
    planned = removal(cache)
    assert (cache / "manifest.json").exists()
    assert planned.bytes >= sum(map(len, small_cache.file_bytes(cache).values()))
    remove_cache(cache)
    assert [path.name for path in cache.rglob("*")] == ["notes.txt"]
    with pytest.raises(CacheMissing, match="nothing is removed"):
        remove_cache(cache)


def test_a_removed_cache_leaves_no_folder(cache):
    remove_cache(cache)
    assert not cache.exists()


def test_ids_that_drift_are_refused_on_open(cache):
    first, second = (cache / "train" / f"0000{i}.h5" for i in (0, 1))
    swapped = first.read_bytes(), second.read_bytes()
    second.write_bytes(swapped[0])
    first.write_bytes(swapped[1])
    with pytest.raises(CacheDamaged, match="ids or content hashes"):
        open_features(cache)


def test_features_under_another_samples_id_are_found_by_verify(cache):
    with h5py.File(cache / "train" / "00001.h5", "r+") as shard:
        rows = shard["features/late"]
        rows[0], rows[1] = rows[1], rows[0]
    assert [problem.file for problem in verify(cache).problems] == ["train/00001.h5"]


def test_files_are_readable_by_others_as_the_umask_says(cache):
    assert stat.S_IMODE((cache / "train/00000.h5").stat().st_mode) & 0o400
