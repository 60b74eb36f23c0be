"""Equal identities have one key, different ones are told apart field by field."""

from __future__ import annotations

import json

import numpy as np
import pytest
import small_cache
from hypothesis import given, settings
from hypothesis import strategies as st

from bottleneck_features.features import (
    CacheError,
    CacheMismatch,
    CacheMissing,
    Difference,
    cache_path,
    differences,
    find_cache,
    identity_key,
)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
identities = st.dictionaries(st.text(), values, max_size=6)


@settings(max_examples=50, deadline=None)
@given(fields=identities, seed=st.randoms())
def test_the_order_of_fields_plays_no_part_in_the_key(fields, seed):
    names = list(fields)
    seed.shuffle(names)
    assert identity_key({name: fields[name] for name in names}) == identity_key(fields)


@settings(max_examples=50, deadline=None)
@given(fields=identities)
def test_an_identity_read_back_from_json_has_the_same_key(fields):
    read = json.loads(json.dumps(fields))
    assert identity_key(read) == identity_key(fields)
    assert differences(read, fields) == []


@settings(max_examples=50, deadline=None)
@given(ours=identities, theirs=identities)
def test_keys_are_equal_exactly_when_nothing_differs(ours, theirs):
    assert (identity_key(ours) == identity_key(theirs)) == (differences(ours, theirs) == [])


@settings(max_examples=50, deadline=None)
@given(fields=identities, name=st.text(), value=values)
def test_a_changed_field_is_named_with_both_values(fields, name, value):
    changed = {**fields, name: ["changed", value]}
    found = differences(changed, fields)
    assert [difference.field for difference in found] == [name]
    assert found[0].ours == json.loads(json.dumps(["changed", value]))


def test_nested_fields_are_named_by_their_path():
    ours = {"dataset": {"limit": 0, "source": "digits"}, "size": (8, 8)}
    theirs = {"dataset": {"limit": 100, "source": "digits"}, "size": [8, 8], "views": []}
    assert differences(ours, theirs) == [Difference("dataset.limit", 0, 100), Difference("views", "(absent)", [])]


@pytest.mark.parametrize(
    ("field", "ours", "theirs", "shown"),
    [
        (
            "dataset.test",
            "e37b" * 16,
            "1eae" * 16,
            "dataset.test: other images (e37be37b… asked for, 1eae1eae… in the cache)",
        ),
        (
            "dataset.validation",
            "e37b" * 16,
            "(absent)",
            "dataset.validation: e37be37b… asked for, (absent) in the cache",
        ),
        (
            "backbone.weights",
            f"imagenet:{'0a' * 32}",
            f"imagenet:{'0b' * 32}",
            "backbone.weights: 'imagenet:0a0a0a0a…' asked for, 'imagenet:0b0b0b0b…' in the cache",
        ),
        ("dataset.limit", 0, 100, "dataset.limit: 0 asked for, 100 in the cache"),
    ],
)
def test_of_a_digest_eight_digits_are_shown(field, ours, theirs, shown):
    assert str(Difference(field, ours, theirs)) == shown


def test_numpy_numbers_and_tuples_are_plain_json():
    assert identity_key({"n": np.int64(3), "size": (8, 8)}) == identity_key({"n": 3, "size": [8, 8]})


@pytest.mark.parametrize("value", [float("nan"), object(), b"bytes"])
def test_values_that_json_does_not_have_are_refused(value):
    with pytest.raises(CacheError, match="plain JSON"):
        identity_key({"field": value})


def test_the_folder_is_named_after_experiment_backbone_and_key(tmp_path):
    path = cache_path(tmp_path, "my photos/resnet50.keras", {"a": 1})
    assert path == tmp_path / f"my-photos-resnet50.keras-{identity_key({'a': 1})[:8]}"
    with pytest.raises(CacheError, match="needs a name"):
        cache_path(tmp_path, "///", {})


def test_find_cache_finds_the_cache_of_the_same_identity(tmp_path):
    path = small_cache.make(cache_path(tmp_path, "digits-tiny", small_cache.IDENTITY))
    assert find_cache(tmp_path, "digits-tiny", small_cache.IDENTITY) == path


def test_a_miss_names_each_field_that_differs_from_the_nearest_cache(tmp_path):
    for size, limit in (([8, 8], 5), ([16, 16], 0)):
        identity = {**small_cache.IDENTITY, "size": size, "dataset": {"fingerprint": "d1", "limit": limit}}
        small_cache.make(cache_path(tmp_path, "digits-tiny", identity), identity=identity)
    with pytest.raises(CacheMissing, match=r"size: \[16, 17\] asked for, \[16, 16\] in the cache") as caught:
        find_cache(tmp_path, "digits-tiny", {**small_cache.IDENTITY, "size": [16, 17]})
    assert [difference.field for difference in caught.value.differences] == ["size"]
    assert caught.value.nearest.path.name.startswith("digits-tiny-")


def test_a_miss_without_any_cache_says_so(tmp_path):
    with pytest.raises(CacheMissing, match="extract them first") as caught:
        find_cache(tmp_path / "nothing", "digits-tiny", small_cache.IDENTITY)
    assert caught.value.nearest is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"identity": {**small_cache.IDENTITY, "backbone": "other"}}, "backbone: 'other' asked for, 'tiny'"),
        (
            {"targets": small_cache.targets(small_cache.plans(small_cache.SAMPLES), ("zero", "one", "three"))},
            "class names",
        ),
        ({"splits": small_cache.plans({"train": 53, "test": 16})}, r"ids and contents\.test: '16 samples"),
        ({"arrays": dict(reversed(small_cache.LAYERS.items()))}, "layers and their order"),
    ],
)
def test_a_writer_refuses_a_cache_made_from_something_else(cache, changes, field):
    with pytest.raises(CacheMismatch, match=field), small_cache.writer(cache, **changes):
        pass
