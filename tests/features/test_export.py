"""A cache leaves as plain files that NumPy and Parquet readers take."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import small_cache
from small_cache import LAYERS, SAMPLES

from bottleneck_features.features import ArraySpec, CacheError, export, export_features, open_features


def test_npz_has_features_and_labels_as_the_walk_through_saved_them(cache, tmp_path):
    files = export_features(cache, tmp_path / "out", "digits")
    assert [file.name for file in files] == ["digits_train.npz", "digits_test.npz"]
    with np.load(files[0]) as saved:
        np.testing.assert_array_equal(saved["features"], small_cache.expected("train", "late", SAMPLES, LAYERS))
        np.testing.assert_array_equal(saved["labels"], open_features(cache)["train"].y)
        np.testing.assert_array_equal(saved["ids"], open_features(cache)["train"].ids)


def test_npy_files_can_be_memory_mapped(cache, tmp_path):
    files = export_features(cache, tmp_path, "digits", "npy", layer="early")
    mapped = np.load(tmp_path / "digits_train_features.npy", mmap_mode="r")
    np.testing.assert_array_equal(mapped, open_features(cache)["train"].features["early"])
    assert len(files) == 6


def test_parquet_has_one_row_a_sample(cache, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    file, _ = export_features(cache, tmp_path, "digits", "parquet", layer="early")
    table = parquet.read_table(file)
    train = open_features(cache)["train"]
    assert table.column_names == ["id", "label", "class_name", "features"]
    assert table["id"].to_pylist() == list(train.ids)
    assert table["label"].to_pylist() == list(train.y)
    assert table["class_name"].to_pylist() == [small_cache.CLASS_NAMES[label] for label in train.y]
    flat = np.array(table["features"].to_pylist(), np.float32)
    np.testing.assert_array_equal(flat, np.asarray(train.features["early"], np.float32).reshape(len(train), -1))
    assert table.schema.metadata[b"shape"] == b"2,3,4"


@pytest.mark.parametrize("format", ["npz", "npy", "parquet"])
def test_an_export_written_twice_is_the_same_file(cache, tmp_path, format):
    first = export_features(cache, tmp_path / "a", "x", format)
    second = export_features(cache, tmp_path / "b", "x", format)
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_unknown_formats_and_layers_name_those_there_are(cache, tmp_path):
    with pytest.raises(CacheError, match=r"npz, npy, parquet.*'csv'"):
        export_features(cache, tmp_path, "x", "csv")
    with pytest.raises(CacheError, match=r"early, late.*'lat'"):
        export_features(cache, tmp_path, "x", layer="lat")


@pytest.mark.parametrize("format", ["npz", "npy", "parquet"])
def test_memory_stays_flat_in_an_export_of_any_size(tmp_path, monkeypatch, format):
    monkeypatch.setattr(export, "BLOCK_BYTES", 1 << 18)
    layer = {"wide": ArraySpec((4096,), "float16")}
    path = small_cache.make(tmp_path / "cache", arrays=layer, splits=small_cache.plans({"train": 2000}), shard_size=100)
    size = open_features(path)["train"].x.nbytes
    pyarrow = pytest.importorskip("pyarrow")
    usual = pyarrow.default_memory_pool()
    pool = pyarrow.proxy_memory_pool(usual)  # counts from zero, whatever other tests took
    pyarrow.set_memory_pool(pool)
    tracemalloc.start()
    try:
        export_features(path, tmp_path / "out", "x", format)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        pyarrow.set_memory_pool(usual)
    assert peak < size / 4
    assert pool.max_memory() < size / 2
