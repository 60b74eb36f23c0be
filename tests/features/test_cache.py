"""A cache gives back what was written, in the same bytes, to this package and to plain HDF5."""

from __future__ import annotations

import time

import h5py
import numpy as np
import pytest
import small_cache
from small_cache import LAYERS, SAMPLES

from bottleneck_features import features
from bottleneck_features.features import ArraySpec, open_features


@pytest.mark.parametrize("split", SAMPLES)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_cache_gives_back_the_features_labels_and_ids_it_was_given(cache, split, layer):
    opened = open_features(cache)[split]
    plan = small_cache.plans(SAMPLES)[split]
    np.testing.assert_array_equal(opened.features[layer], small_cache.expected(split, layer, SAMPLES, LAYERS))
    np.testing.assert_array_equal(opened.y, np.arange(len(plan.ids)) % len(small_cache.CLASS_NAMES))
    np.testing.assert_array_equal(opened.contents, plan.contents)
    assert opened.groups is None
    np.testing.assert_array_equal(opened.ids, plan.ids)
    assert opened.x is opened.features["late"]


@pytest.mark.parametrize("layers", [LAYERS, {"only": ArraySpec((5,), "float16")}])
def test_the_virtual_file_shows_plain_hdf5_the_same_arrays_from_any_folder(tmp_path, monkeypatch, layers):
    path = small_cache.make(tmp_path / "cache", arrays=layers)
    monkeypatch.chdir("/")
    train = open_features(path)["train"]
    with h5py.File(path / "train.h5") as file:
        for layer in layers:
            name = "features" if len(layers) == 1 else f"features/{layer}"
            np.testing.assert_array_equal(file[name], train.features[layer])
        np.testing.assert_array_equal(file["labels"], train.y)
        np.testing.assert_array_equal(file["ids"].asstr()[:], train.ids)


def test_a_moved_cache_still_reads(cache, tmp_path):
    moved = cache.rename(tmp_path / "elsewhere")
    with h5py.File(moved / "test.h5") as file:
        np.testing.assert_array_equal(file["features/late"], open_features(moved)["test"].x)


def test_plain_hdf5_shows_what_is_missing_as_nan_and_label_minus_one(cache):
    (cache / "train/00002.h5").unlink()
    with h5py.File(cache / "train.h5") as file:
        assert np.isnan(file["features/late"][20:30]).all()
        assert (file["labels"][20:30] == np.arange(20, 30) % 3).all()
        assert file["ids"][20] == b""
        assert np.isfinite(file["features/late"][30:]).all()
    (cache / "targets.h5").unlink()
    with h5py.File(cache / "train.h5") as file:
        assert (file["labels"][:] == -1).all()


@pytest.mark.parametrize("compression", ["none", "blosc2"])
def test_the_same_content_gives_the_same_bytes_at_another_time(tmp_path, compression):
    first = small_cache.make(tmp_path / "a", compression=compression)
    time.sleep(1.1)
    second = small_cache.make(tmp_path / "b", compression=compression)
    assert small_cache.file_bytes(first) == small_cache.file_bytes(second)


def test_a_blosc2_cache_is_smaller_and_reads_the_same(tmp_path):
    layers = {"flat": ArraySpec((64, 64), "float16")}
    plain, packed = (small_cache.make(tmp_path / kind, arrays=layers, compression=kind) for kind in ("none", "blosc2"))
    rows = np.array([52, 0, 11, 11, 30])
    for key in (slice(None), slice(5, 25), rows, 7):
        np.testing.assert_array_equal(open_features(packed)["train"].x[key], open_features(plain)["train"].x[key])
    assert len((packed / "train/00000.h5").read_bytes()) < len((plain / "train/00000.h5").read_bytes())


def test_open_takes_the_manifest_path_too_and_tells_what_is_inside(cache):
    opened = open_features(cache / "manifest.json")
    assert opened.path == cache
    assert opened.layers == ("early", "late")
    assert opened.class_names == small_cache.CLASS_NAMES
    assert opened.identity == small_cache.IDENTITY
    assert opened.provenance == small_cache.PROVENANCE
    assert {name: len(split) for name, split in opened.items()} == SAMPLES


def test_slices_of_one_shard_are_views_of_the_file_that_cannot_be_written(cache):
    view = open_features(cache)["train"].x[10:20]
    assert not view.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 0


def test_a_cache_can_be_pickled_by_its_path(cache):
    import pickle

    opened = pickle.loads(pickle.dumps(open_features(cache)))
    np.testing.assert_array_equal(opened["test"].x, open_features(cache)["test"].x)
    array = pickle.loads(pickle.dumps(opened["test"].x))
    np.testing.assert_array_equal(array[3], opened["test"].x[3])


def test_list_caches_tells_what_there_is_from_manifests_alone(cache):
    (info,) = features.list_caches(cache.parent)
    assert (info.path, info.experiment, info.backbone, info.complete) == (cache, "digits", "tiny", True)
    assert (info.layers, info.dtype, info.images, info.done_images) == (("early", "late"), "float32", 70, 70)
    assert info.shapes == {"early": (2, 3, 4), "late": (6,)}
    assert info.bytes == sum(len(content) for name, content in small_cache.file_bytes(cache).items() if "/" in name)


def test_a_split_without_samples_is_allowed(tmp_path):
    path = small_cache.make(tmp_path / "cache", splits=small_cache.plans({"train": 12, "test": 0}))
    assert open_features(path)["test"].x[:].shape == (0, 6)
    with h5py.File(path / "test.h5") as file:
        assert file["features/late"].shape == (0, 6)
