"""A cache leaves as plain files that NumPy and Parquet readers take."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
import small_cache
from small_cache import LAYERS, SAMPLES

from bottleneck_features.features import (
    ArraySpec,
    Beside,
    CacheError,
    Column,
    Targets,
    export,
    export_features,
    open_features,
)


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
    assert table.column_names == ["id", "label", "class_name", "split", "group", "features"]
    assert table["split"].to_pylist() == ["train"] * len(train)
    assert table["group"].null_count == len(train), "there are no groups"
    assert table["id"].to_pylist() == list(train.ids)
    assert table["label"].to_pylist() == list(train.y)
    assert table["class_name"].to_pylist() == [small_cache.CLASS_NAMES[label] for label in train.y]
    flat = np.array(table["features"].to_pylist(), np.float32)
    np.testing.assert_array_equal(flat, np.asarray(train.features["early"], np.float32).reshape(len(train), -1))
    assert table.schema.metadata[b"shape"] == b"2,3,4"
    assert json.loads(table.schema.metadata[b"bottleneck"]) == {"cache_key": open_features(cache).key, "layer": "early"}


def test_parquet_takes_columns_of_the_caller_with_nulls_where_a_sample_has_none(cache, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(export, "BLOCK_BYTES", 1000)  # many blocks
    long, odd = (
        (lambda split, rows: [f"{split.name} {one}" for one in split.ids[rows]]),
        (lambda split, rows: [None if label == 1 else label / 4 for label in split.y[rows].tolist()]),
    )
    beside = Beside({"file": Column("text", long), "share": Column("number", odd)}, {"method": "ridge"})
    for file, split in zip(
        export_features(cache, tmp_path, "x", "parquet", beside=beside), ("train", "test"), strict=True
    ):
        table, own = parquet.read_table(file), open_features(cache)[split]
        assert table.column_names == ["id", "label", "class_name", "split", "group", "file", "share", "features"]
        assert table["file"].to_pylist() == [f"{split} {one}" for one in own.ids]
        assert table["share"].to_pylist() == [{0: 0.0, 1: None, 2: 0.5}[label] for label in own.y.tolist()]
        assert table.schema.field("share").type == "float"
        assert json.loads(table.schema.metadata[b"bottleneck"])["method"] == "ridge"


def test_parquet_has_the_group_of_each_sample(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    plans = small_cache.plans({"train": 4})
    of_groups = Targets(("a",), {"train": np.zeros(4, int)}, {"train": np.array(["p1", "p1", "", "p2"])})
    path = small_cache.make(tmp_path / "cache", splits=plans, targets=of_groups)
    (file,) = export_features(path, tmp_path, "x", "parquet")
    assert parquet.read_table(file)["group"].to_pylist() == ["p1", "p1", None, "p2"]


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
    beside = Beside({"file": Column("text", lambda split, rows: split.ids[rows].tolist())})
    path = small_cache.make(tmp_path / "cache", arrays=layer, splits=small_cache.plans({"train": 2000}), shard_size=100)
    size = open_features(path)["train"].x.nbytes
    pyarrow = pytest.importorskip("pyarrow")
    usual = pyarrow.default_memory_pool()
    pool = pyarrow.proxy_memory_pool(usual)  # counts from zero, whatever other tests took
    pyarrow.set_memory_pool(pool)
    tracemalloc.start()
    try:
        export_features(path, tmp_path / "out", "x", format, beside=beside)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        pyarrow.set_memory_pool(usual)
    assert peak < size / 4
    assert pool.max_memory() < size / 2
