"""Whatever was written, whatever the shard size: indexing a cache is indexing the NumPy array it was made from."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import small_cache
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from small_cache import LAYERS, SAMPLES

from bottleneck_features.features import ArraySpec, CacheWriter, SplitPlan, Targets, open_features

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
settings.register_profile("cache", deadline=None, max_examples=30)


@settings(settings.get_profile("cache"))
@given(
    data=st.data(),
    shape=st.sampled_from([(), (1,), (3,), (2, 3), (2, 2, 2)]),
    dtype=st.sampled_from(["float16", "float32"]),
    ids=st.lists(text, min_size=1, max_size=40, unique=True),
    shards=st.integers(1, 6),
    compression=st.sampled_from(["none", "none", "blosc2"]),
)
def test_any_cache_reads_back_as_it_was_written(data, shape, dtype, ids, shards, compression):
    shard_size = -(-len(ids) // shards)
    finite = npst.arrays(dtype, (len(ids), *shape), elements={"allow_nan": False, "allow_infinity": False})
    features = data.draw(finite)
    labels = data.draw(npst.arrays(np.int64, len(ids), elements=st.integers(0, 4)))
    with tempfile.TemporaryDirectory() as folder:
        split = _written(Path(folder), features, labels, ids, shard_size, compression)["train"]
        assert split.x.shape == features.shape
        assert split.x.dtype == features.dtype
        np.testing.assert_array_equal(np.asarray(split.x), features)
        np.testing.assert_array_equal(split.y, labels)
        assert list(split.ids) == ids
        for key in (
            data.draw(npst.basic_indices((len(ids), *shape), allow_newaxis=True)),
            data.draw(st.slices(len(ids))),
            data.draw(npst.arrays(np.bool_, len(ids))),
            data.draw(npst.integer_array_indices((len(ids),), result_shape=npst.array_shapes(max_dims=2, max_side=9)))[
                0
            ],
        ):
            np.testing.assert_array_equal(split.x[key], features[key], err_msg=repr(key))


@settings(settings.get_profile("cache"))
@given(data=st.data())
def test_mixed_indices_on_several_axes_are_numpys(spatial, data):
    x, whole = spatial
    rows = data.draw(npst.integer_array_indices((len(whole),), result_shape=st.just((4,))))[0]
    columns = data.draw(st.sampled_from([0, -1, slice(None), slice(1, 3), np.array([0, 1, 1, 0]), Ellipsis, None]))
    rest = data.draw(st.sampled_from([(), (0,), (slice(None), 2), (np.array([2, 0, 1, 3]),)]))
    for key in ((rows, columns, *rest), (slice(3, 31), columns, *rest), (7, columns, *rest)):
        np.testing.assert_array_equal(*_outcomes(x, whole, key), err_msg=repr(key))


def _outcomes(x, whole, key):
    """Both results, or both names of the error."""
    outcome = []
    for array in (x, whole):
        try:
            outcome.append(array[key])
        except IndexError:
            outcome.append("IndexError")
    return outcome


@pytest.fixture(scope="module")
def spatial(tmp_path_factory):
    path = small_cache.make(tmp_path_factory.mktemp("spatial") / "cache")
    return open_features(path)["train"].features["early"], small_cache.expected("train", "early", SAMPLES, LAYERS)


@pytest.mark.parametrize("key", [53, -54, [0, 53], "a", [0.5], (0, 9)])
def test_wrong_indices_raise_index_errors_as_numpys_do(spatial, key):
    with pytest.raises(IndexError):
        spatial[0][key]


def test_an_array_with_wrong_dtype_or_no_copy_is_refused_where_a_copy_is_needed(spatial):
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(spatial[0], copy=False)
    assert np.asarray(spatial[0], dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize("compression", ["none", "blosc2"])
def test_only_what_lies_on_disk_as_it_is_becomes_an_array_without_a_copy(tmp_path, compression):
    cache = small_cache.make(tmp_path / "cache", shard_size=100, compression=compression)
    x = open_features(cache)["train"].x
    assert x[3:5].flags.writeable == x[7].flags.writeable == (compression == "blosc2")
    if compression == "none":
        assert not np.asarray(x, copy=False).flags.owndata
        return
    with pytest.raises(ValueError, match="compressed"):
        np.asarray(x, copy=False)


def test_iterating_gives_each_sample_once(spatial):
    np.testing.assert_array_equal(np.stack(list(spatial[0])), spatial[1])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_more_shards_than_a_process_may_have_files_open_are_read(tmp_path):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    path = small_cache.make(tmp_path / "cache", splits=small_cache.plans({"train": 120}), shard_size=1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 60, hard))
    try:
        train = open_features(path)["train"]
        np.testing.assert_array_equal(train.x, small_cache.expected("train", "late", {"train": 120}, LAYERS))
        assert train.features["early"][np.arange(119, -1, -1)].shape == (120, 2, 3, 4)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _written(folder, features, labels, ids, shard_size, compression):
    spec = {"layer": ArraySpec(features.shape[1:], features.dtype.name)}
    plan = {"train": SplitPlan(np.array(ids, dtype=object))}
    targets = Targets(tuple("abcde"), {"train": labels})
    with CacheWriter(
        folder, {}, plan, spec, targets, shard_size=shard_size, provenance={}, compression=compression
    ) as writer:
        for shard in writer.pending:
            writer.write(shard, {"layer": features[shard.start : shard.stop]})
        writer.finish()
    return open_features(folder)
