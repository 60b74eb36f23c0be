"""A cache of a version that this release does not read is refused with what to do."""

import json

import pytest

from bottleneck_features.features import CacheVersion, list_caches, open_features


@pytest.mark.parametrize(("version", "advice"), [(1, "extract again"), (99, "upgrade")])
def test_another_version_is_named_with_what_to_do(cache, tmp_path, version, advice):
    manifest = cache / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": version}))
    with pytest.raises(CacheVersion, match=rf"(?i){version}.*{advice}"):
        open_features(cache)
    (listed,) = list_caches(cache.parent)
    assert str(version) in listed.problem
