"""A manifest tells its shards back as they were entered, in any order, also a million of them."""

from __future__ import annotations

import hashlib
import json

import manifest_scale
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bottleneck_features.features.entries import FileEntry, FinishedShards, ShardTable

entries = st.builds(
    FileEntry,
    st.integers(1, 3),
    st.integers(0, 99).map(lambda number: hashlib.sha256(bytes([number])).hexdigest()),
    st.sampled_from([{}, {"labels": 512}, {"labels": 512, "ids": 600}]),
)


def _of(shards, order):
    return ShardTable.none(13).with_finished(FinishedShards.of(index, shards[index]) for index in order)


@settings(max_examples=100, deadline=None)
@given(shards=st.dictionaries(st.integers(0, 12), entries), data=st.data())
def test_entries_come_back_whatever_the_order_they_were_entered_in(shards, data):
    made = _of(shards, data.draw(st.permutations(list(shards))))
    for read in (made, ShardTable.from_json(json.loads(json.dumps(made.as_json())))):
        assert dict(read) == shards
        assert len(read) == len(shards)
        assert {index for index in range(-2, 15) if index in read} == shards.keys()
        assert read == _of(shards, sorted(shards))
        assert read.as_json() == _of(shards, sorted(shards)).as_json()


@settings(max_examples=50, deadline=None)
@given(shards=st.dictionaries(st.integers(0, 12), entries, min_size=1), data=st.data())
def test_entries_differ_when_one_shard_does(shards, data):
    whole = _of(shards, shards)
    index = data.draw(st.sampled_from(sorted(shards)))
    assert whole.without(index) != whole
    assert index not in whole.without(index)
    other = shards[index]._replace(bytes=shards[index].bytes + 7)
    assert whole.with_finished([FinishedShards.of(index, other)]) != whole


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"layouts": []}, "do not cover"),
        ({"layouts": [{"from": 1, "offsets": {}}]}, "do not cover"),
        ({"bytes": [None, None]}, "sizes are not those"),
        ({"bytes": [1]}, "sizes are not those"),
    ],
)
def test_shards_whose_columns_do_not_fit_together_are_an_error(changes, reason):
    sound = {"shards": ["aa" * 32, None], "bytes": [1, None], "layouts": [{"from": 0, "offsets": {}}]}
    assert len(ShardTable.from_json(sound)) == 1
    with pytest.raises(ValueError, match=reason):
        ShardTable.from_json({**sound, **changes})


@pytest.mark.slow
@pytest.mark.parametrize("compressed", [False, True])
def test_a_manifest_of_a_million_shards_opens_and_resumes_in_two_seconds_and_a_gigabyte(tmp_path, compressed):
    for row in manifest_scale.measure(tmp_path / "cache", 10**6, compressed):
        assert row["step"] not in ("open", "resume") or row["cpu"] < 2, row
        assert row["peak_mib"] < 1000, row
