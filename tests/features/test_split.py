"""Some samples of a split are a split; what it gives in blocks and tables is what lies in the cache."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import small_cache
from hypothesis import given
from hypothesis import strategies as st
from small_cache import CLASS_NAMES, LAYERS, SAMPLES, expected

from bottleneck_features.features import (
    ArraySpec,
    CacheError,
    Places,
    RearrangedFeatures,
    Split,
    Targets,
    open_features,
)

GROUPS = {split: np.array([f"pätient {i // 4}" for i in range(n)]) for split, n in SAMPLES.items()}
N = SAMPLES["train"]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    targets = Targets(CLASS_NAMES, {split: np.arange(n) % 3 for split, n in SAMPLES.items()}, GROUPS)
    return open_features(small_cache.make(tmp_path_factory.mktemp("cache") / "small", targets=targets))


@pytest.fixture(scope="module", params=["as it is kept", "rearranged"])
def split(request, opened) -> Split:
    if request.param == "as it is kept":
        return opened["train"]
    places = Places(("train", "test"), np.zeros(N, int), np.arange(N)[::-1].copy())
    return RearrangedFeatures(opened, {"train": places})["train"]


ROWS = st.one_of(
    st.slices(N),
    st.lists(st.integers(-N, N - 1), max_size=20),
    st.lists(st.booleans(), min_size=N, max_size=N).map(np.array),
)


def assert_same(part: Split, whole: Split, rows) -> None:
    for name in ("y", "ids", "groups", "contents"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[rows], err_msg=name)
    for layer, array in whole.features.items():
        np.testing.assert_array_equal(part.features[layer], array[:][rows], err_msg=layer)
        assert all((one == other).all() for one, other in zip(part.features[layer], array[:][rows], strict=True))
    np.testing.assert_array_equal(part.x[:], part.features["late"][:])
    assert (part.name, part.class_names, len(part)) == (whole.name, whole.class_names, len(part.y))


@given(rows=ROWS, again=st.slices(10))
def test_some_samples_are_a_split_of_their_own_and_some_of_those_too(split, rows, again):
    rows = np.array(rows, np.int64) if isinstance(rows, list) else rows
    part = split[rows]
    assert_same(part, split, rows)
    kept = np.arange(N)[rows][again]
    assert_same(part[again], split, kept)


def test_a_slice_of_one_shard_is_a_view_and_reads_nothing_before_it_is_used(opened):
    train = opened["train"]
    whole, part = train.x[0:10], train[2:8]
    assert np.shares_memory(part.x[:], whole)
    assert np.shares_memory(part[1:3].x[:], whole)
    assert np.shares_memory(np.asarray(part.x, copy=False), whole)
    assert not np.shares_memory(train[[2, 3]].x[:], whole)
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(train[8:12].x, copy=False)  # of two shards


def test_views_go_to_others_by_numpys_buffer_without_a_copy_and_cannot_be_written_to(opened):
    rows = opened["train"].x[:10]
    view = memoryview(rows)
    assert view.readonly
    assert view.contiguous
    assert np.shares_memory(np.frombuffer(view.cast("B"), rows.dtype), rows)
    for array in (rows, opened["train"].y, opened["train"][[3, 1]].y):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize(
    ("rows", "received"),
    [(3, "3"), ("x", "'x'"), (None, "None"), (np.ones(4, bool), "an array of bool of shape (4,)"), ([[1, 2]], "[[1, 2]]")],
    ids=str,
)  # fmt: skip
def test_what_is_no_slice_of_samples_is_refused_with_what_is(opened, rows, received):
    with pytest.raises(IndexError) as refused:
        opened["train"][rows]
    assert str(refused.value).startswith("Index a split with a slice (split[3:4] for one sample)")
    assert str(refused.value).endswith(f"Received: {received}")


def test_samples_out_of_bounds_and_loops_over_a_split_are_refused(opened):
    with pytest.raises(IndexError, match="53 is out of bounds"):
        opened["train"][[0, 53]]
    with pytest.raises(TypeError, match="not iterable"):
        iter(opened["train"])


@pytest.mark.parametrize("rows", [slice(4, 30), slice(None, None, -2), [3, 1]], ids=str)
def test_some_samples_are_pickled_by_their_cache(opened, rows):
    part = opened["train"][rows]
    content = pickle.dumps(part)
    assert len(content) < 1000
    assert_same(pickle.loads(content), part, slice(None))


@pytest.mark.parametrize("size", [1, 7, 10, 53, 1000])
@pytest.mark.parametrize("layers", [None, "early", ["early"], ["late", "early"]], ids=str)
def test_blocks_are_all_samples_in_their_order(split, size, layers):
    blocks = list(split.blocks(size, layers))
    assert [len(y) for _, y in blocks] == [len(x) for x, _ in blocks]
    assert all(len(y) == size for _, y in blocks[:-1])
    x = np.concatenate([x for x, _ in blocks])
    np.testing.assert_array_equal(np.concatenate([y for _, y in blocks]), split.y)
    if layers == ["late", "early"]:
        wanted = np.concatenate([split.features[layer][:].reshape(N, -1) for layer in layers], axis=1)
    else:
        wanted = split.features["early" if layers else "late"][:]
    np.testing.assert_array_equal(x, wanted)


@pytest.mark.parametrize("compression", ["none", "blosc2"])
def test_blocks_of_a_cache_take_the_memory_of_a_block(tmp_path, compression):
    layers = {"wide": ArraySpec((20_000,), "float32")}
    plans = small_cache.plans({"train": 300})
    path = small_cache.make(tmp_path / "cache", splits=plans, arrays=layers, compression=compression)
    train = open_features(path)["train"]
    total = 0.0
    tracemalloc.start()
    try:
        for x, _ in train.blocks(16):
            total += float(x[0, 0])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total
    assert train.x.nbytes == 24_000_000
    assert peak < 6_000_000


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "all"])
def test_a_block_of_no_samples_is_refused_before_the_first_is_read(opened, size):
    with pytest.raises(ValueError, match=f"1 at least. Received: {size!r}"):
        opened["train"].blocks(size)


@pytest.mark.parametrize("table", ["blocks", "frame", "arrow", "arrow_batches"])
def test_a_layer_that_is_not_there_names_the_nearest(opened, table):
    with pytest.raises(CacheError, match="There is no layer 'lite' in this cache. There is: 'late'"):
        getattr(opened["train"], table)(layers=["lite"])


def test_blocks_of_no_layer_are_refused(opened):
    with pytest.raises(CacheError, match="Name at least one layer of 'early', 'late'"):
        opened["train"].blocks(layers=[])


@pytest.mark.parametrize("rows", [slice(None), slice(5, 25), [7, 3, 3], slice(0, 0)], ids=str)
def test_a_frame_has_a_row_per_sample_and_a_column_per_value(split, rows):
    pandas = pytest.importorskip("pandas")
    part = split[rows]
    frame = part.frame(["late", "early"])
    assert list(frame.columns[:5]) == ["id", "split", "label", "y", "group"]
    assert frame["id"].tolist() == part.ids.tolist()
    assert frame["y"].tolist() == part.y.tolist()
    assert frame["group"].tolist() == part.groups.tolist()
    assert set(frame["split"]) <= {"train"}
    assert frame["label"].tolist() == [CLASS_NAMES[label] for label in part.y]
    assert isinstance(frame["label"].dtype, pandas.CategoricalDtype)
    assert frame["label"].cat.categories.tolist() == list(CLASS_NAMES)
    assert list(frame.columns[5:]) == [f"late_{i}" for i in range(6)] + [f"early_{i}" for i in range(24)]
    assert frame["late_0"].dtype == np.float32
    assert frame["early_0"].dtype == np.float16
    np.testing.assert_array_equal(frame.filter(like="late_").to_numpy(), part.features["late"][:])
    np.testing.assert_array_equal(
        frame.filter(like="early_").to_numpy(), part.features["early"][:].reshape(len(part), 24)
    )


def test_a_frame_without_layers_has_no_features_and_without_groups_no_group(cache):
    pytest.importorskip("pandas")
    frame = open_features(cache)["test"].frame()
    assert list(frame.columns) == ["id", "split", "label", "y"]
    assert frame["id"][3] == "test/ïmage-3.png"
    assert frame.groupby("label", observed=True).size().tolist() == [6, 6, 5]


WITHOUT = """
import sys
sys.modules[sys.argv[2]] = None
from bottleneck_features import CacheError, open_features
try:
    getattr(open_features(sys.argv[1])["train"], sys.argv[3])()
except CacheError as error:
    print(error)
"""


@pytest.mark.parametrize(("package", "table", "extra"), [("pandas", "frame", "frame"), ("pyarrow", "arrow", "parquet")])
def test_a_table_without_its_package_says_what_to_install(cache, package, table, extra):
    words = [sys.executable, "-c", WITHOUT, str(cache), package, table]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.endswith(f"needs {package}: pip install 'bottleneck-features[{extra}]'\n")


READING = """
import resource, sys
import bottleneck_features as bf
train = bf.open_features(sys.argv[1])["train"]
train.x[:], train.y, train.ids, train.groups, train[3:9].x[:], list(train.blocks(4)), repr(train)
print(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), *sys.modules)
"""
HEAVY = {"tensorflow", "keras", "sklearn", "pandas", "matplotlib", "scipy", "pyarrow", "openvino", "PIL"}


def test_reading_imports_no_framework_and_starts_at_once(cache):
    pytest.importorskip("resource")
    seconds = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", READING, str(cache)], capture_output=True, text=True, check=True)
        spent, *modules = done.stdout.split()
        assert HEAVY & set(modules) == set()
        seconds.append(float(spent))
    assert min(seconds) < 0.6, seconds  # of the processor, Python's own start among them; 0.3 on idle cores


def test_tables_of_arrow_are_batches_of_shards_without_a_copy(opened):
    pyarrow = pytest.importorskip("pyarrow")
    train = opened["train"]
    reader = train.arrow_batches()
    batches = list(reader)
    assert [len(batch) for batch in batches] == [10, 10, 10, 10, 10, 3]
    for number, batch in enumerate(batches):
        values = batch.column("late").flatten()
        assert values.buffers()[1].address == train.x[number * 10 : number * 10 + 1].__array_interface__["data"][0]
    assert reader.schema.field("early").type == pyarrow.list_(pyarrow.float16(), 24)
    assert reader.schema.field("early").metadata == {b"shape": b"[2, 3, 4]"}


@pytest.mark.parametrize("rows", [slice(None), slice(5, 25), [7, 3, 3], slice(0, 0)], ids=str)
def test_a_table_of_arrow_holds_what_the_split_does(split, rows):
    pytest.importorskip("pyarrow")
    part = split[rows]
    table = part.arrow()
    table.validate(full=True)
    assert table.column_names == ["id", "split", "label", "y", "group", "early", "late"]
    assert table["id"].to_pylist() == part.ids.tolist()
    assert table["split"].to_pylist() == ["train"] * len(part)
    assert table["label"].to_pylist() == [CLASS_NAMES[label] for label in part.y]
    assert table["y"].to_pylist() == part.y.tolist()
    assert table["group"].to_pylist() == part.groups.tolist()
    for layer in LAYERS:
        values = np.array(table[layer].to_pylist(), np.float32).reshape(part.features[layer].shape)
        np.testing.assert_array_equal(values, part.features[layer][:])
    assert part.arrow(layers="late").column_names == ["id", "split", "label", "y", "group", "late"]
    assert part.arrow(layers=()).column_names == ["id", "split", "label", "y", "group"]


def test_batches_of_arrow_are_read_one_by_one_into_a_parquet_file(opened, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    reader = opened["test"].arrow_batches(layers="late")
    with parquet.ParquetWriter(tmp_path / "test.parquet", reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    table = parquet.read_table(tmp_path / "test.parquet")
    np.testing.assert_array_equal(np.array(table["late"].to_pylist()), expected("test", "late", SAMPLES, LAYERS))


@pytest.mark.parametrize("layers", [{"y": ArraySpec((), "float32")}, {"label": ArraySpec((2,), "float16")}], ids=str)
def test_a_layer_that_is_called_like_a_column_has_another_name_in_arrow(tmp_path, layers):
    pytest.importorskip("pyarrow")
    path = small_cache.make(tmp_path / "cache", arrays=layers)
    (name,) = layers
    train = open_features(path)["train"]
    table = train.arrow()
    assert table.column_names == ["id", "split", "label", "y", f"features/{name}"]
    np.testing.assert_array_equal(np.array(table[f"features/{name}"].to_pylist()), train.x[:])


def test_batches_of_scattered_samples_are_small_ones(tmp_path):
    pytest.importorskip("pyarrow")
    path = small_cache.make(tmp_path / "cache", splits=small_cache.plans({"train": 2500}), shard_size=2000)
    part = open_features(path)["train"][::-1]
    assert [len(batch) for batch in part.arrow_batches(layers="late")] == [1024, 1024, 452]
    ends = [0, *np.cumsum([len(batch) for batch in part[5:1500].arrow_batches()])]
    assert all(stop - start <= 1024 for start, stop in pairwise(ends))
