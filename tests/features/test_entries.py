"""A manifest tells its shards back as they were entered, in any order, also a million of them."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.entries import Entries, Entry, layouts_of

entries = st.builds(
    Entry,
    st.integers(1, 3),
    st.integers(0, 99).map(lambda number: hashlib.sha256(bytes([number])).hexdigest()),
    st.sampled_from([{}, {"labels": 512}, {"labels": 512, "ids": 600}]),
)


@settings(max_examples=100, deadline=None)
@given(shards=st.dictionaries(st.integers(0, 12), entries))
def test_entries_come_back_from_hashes_and_layouts(shards):
    hashes = [shards[index].sha256 if index in shards else None for index in range(13)]
    read = Entries(hashes, layouts_of(shards))
    assert dict(read) == shards
    assert len(read) == len(shards)
    assert {index for index in range(-2, 15) if index in read} == shards.keys()


@pytest.mark.parametrize("layouts", [[], [{"from": 1, "bytes": 1, "offsets": {}}]])
def test_a_shard_without_a_layout_is_an_error(layouts):
    with pytest.raises(ValueError, match="do not cover"):
        Entries(["aa", None], layouts)


MILLION = """
import resource, sys, time
from pathlib import Path
from features.entries import Entry
from features.manifest import ArraySpec, Manifest, SplitRecord, load, save
folder = Path(sys.argv[1])
if sys.argv[2] == "write":
    shards = {i: Entry(4225024, f"{i:064x}", {"labels": 2048, "ids": 10240, "features": 22528}) for i in range(10**6)}
    splits = {"train": SplitRecord(10**9, 12, "0" * 64, shards)}
    save(folder, Manifest({}, {"a": ArraySpec((2048,), "float16")}, ("a",), 1000, "none", splits, {}, "now"))
else:
    started = time.perf_counter()
    manifest = load(folder)
    assert manifest.splits["train"].shards[999_999].sha256 == f"{999_999:064x}"
    print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_a_manifest_of_a_million_shards_opens_in_two_seconds_and_a_gigabyte(tmp_path):
    def run(action):
        command = [sys.executable, "-c", MILLION, str(tmp_path), action]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    run("write")
    seconds, kibibytes = map(float, run("read").split())
    assert seconds < 2
    assert kibibytes < 1e6
