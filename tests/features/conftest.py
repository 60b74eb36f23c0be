"""Small caches of deterministic pseudo-features, as every test of the cache needs them."""

from __future__ import annotations

import pytest
import small_cache


@pytest.fixture
def cache(tmp_path):
    """A finished cache with two layers and two splits."""
    return small_cache.make(tmp_path / "features" / "digits-tiny-00000000")
