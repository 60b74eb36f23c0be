"""In a cache of more shards than are looked at on opening, each is checked when it is first read."""

from __future__ import annotations

import numpy as np
import pytest
import small_cache
from small_cache import LAYERS, SAMPLES

from bottleneck_features.features import CacheDamaged, open_features, quarantine, reader


@pytest.fixture
def large(cache, monkeypatch):
    """The finished cache, counted as large."""
    monkeypatch.setattr(reader, "EAGERLY_CHECKED", 5)
    monkeypatch.setattr(quarantine, "EAGERLY_CHECKED", 5)
    return cache


def test_a_large_cache_opens_without_reading_a_shard_and_reads_the_same(large):
    (large / "train").rename(large / "away")
    opened = open_features(large)
    assert [len(opened[split]) for split in SAMPLES] == list(SAMPLES.values())
    (large / "away").rename(large / "train")
    train = opened["train"]
    np.testing.assert_array_equal(train.x, small_cache.expected("train", "late", SAMPLES, LAYERS))
    np.testing.assert_array_equal(train.y, np.arange(SAMPLES["train"]) % 3)
    np.testing.assert_array_equal(train.ids, small_cache.plans(SAMPLES)["train"].ids)


def test_a_missing_shard_of_a_large_cache_is_named_when_it_is_read(large):
    (large / "train/00001.h5").unlink()
    train = open_features(large)["train"]
    assert len(train.x[:10]) == 10
    with pytest.raises(CacheDamaged, match=r"train/00001\.h5 is missing"):
        train.x[10:11]
    with pytest.raises(CacheDamaged, match=r"train/00001\.h5 is missing"):
        _ = train.ids


def test_exchanged_shards_of_a_large_cache_are_found_when_ids_are_used(large):
    a, b, aside = large / "train/00001.h5", large / "train/00002.h5", large / "aside"
    a.rename(aside), b.rename(a), aside.rename(b)
    train = open_features(large)["train"]
    with pytest.raises(CacheDamaged, match="not those the cache was made with"):
        _ = train.ids


def test_resuming_a_large_cache_looks_at_no_shard(large):
    (large / "train/00001.h5").unlink()
    with small_cache.writer(large) as writer:
        assert writer.requeued == ()
        assert writer.pending == []
