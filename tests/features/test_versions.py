"""A cache of format version 1 opens, and goes on, as one of today."""

from __future__ import annotations

import json

import numpy as np
import pytest
import small_cache
from small_cache import LAYERS

from bottleneck_features.features import open_features, verify
from bottleneck_features.features.manifest import _seal, load


def as_version_1(path):
    """Rewrites a manifest as release 0.1.0 before journals wrote it: sizes in the layouts, one for each run."""
    content = json.loads((path / "manifest.json").read_text())
    content["version"] = 1
    for split in content["splits"]:
        sizes, runs = split.pop("bytes"), split["layouts"]
        split["layouts"] = []
        for index, size in enumerate(sizes):
            offsets = [run["offsets"] for run in runs if run["from"] <= index][-1:]
            layout = {"from": index, "bytes": size, "offsets": offsets[0] if offsets else {}}
            if size is not None and (not split["layouts"] or {**split["layouts"][-1], "from": index} != layout):
                split["layouts"].append(layout)
    content["sha256"] = _seal(content)
    (path / "manifest.json").write_text(json.dumps(content, indent=1) + "\n")
    return content


@pytest.mark.parametrize("compression", ["none", "blosc2"])
def test_a_cache_of_version_1_opens_and_verifies(tmp_path, compression):
    path = small_cache.make(tmp_path / "cache", compression=compression)
    now = dict(load(path).finished())
    as_version_1(path)
    assert dict(load(path).finished()) == now
    assert verify(path).ok
    late = small_cache.expected("train", "late", small_cache.SAMPLES, LAYERS)
    np.testing.assert_array_equal(open_features(path)["train"].x, late)


@pytest.mark.parametrize("compression", ["none", "blosc2"])
def test_an_unfinished_cache_of_version_1_is_finished_and_has_todays_version_then(tmp_path, compression):
    path = small_cache.make(tmp_path / "cache", compression=compression)
    whole, files = small_cache.lasting(path), small_cache.file_bytes(path)
    content = as_version_1(path)
    content["complete"] = False
    for split in content["splits"]:
        split["virtual"] = None
        split["shards"][1:] = [None] * (len(split["shards"]) - 1)
        del split["layouts"][1:]
    content["sha256"] = _seal(content)
    (path / "manifest.json").write_text(json.dumps(content, indent=1))
    with small_cache.writer(path) as writer:
        assert len(writer.pending) == 6
        small_cache.fill(writer, LAYERS)
    assert small_cache.lasting(path) == whole
    assert small_cache.file_bytes(path) == files
    assert json.loads((path / "manifest.json").read_text())["version"] == 2
