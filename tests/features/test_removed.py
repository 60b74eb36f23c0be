"""A cache that is removed while it is read says so, and what to do; nothing of it is called damaged."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import small_cache

from bottleneck_features import features


def _by_the_command(cache: Path) -> None:
    features.remove_cache(cache)


def _folder(cache: Path) -> None:
    shutil.rmtree(cache)


def _manifest_and_shards(cache: Path) -> None:
    (cache / "manifest.json").unlink()
    for split in small_cache.SAMPLES:
        shutil.rmtree(cache / split)


def _manifest_and_one_shard(cache: Path) -> None:
    (cache / "manifest.json").unlink()
    (cache / "train/00002.h5").unlink()


def _manifest_and_virtual_files(cache: Path) -> None:
    (cache / "manifest.json").unlink()
    for file in cache.glob("*.h5"):
        file.unlink()


VERIFYING = importlib.import_module("bottleneck_features.features.verify")  # the package has a function of this name
READ = [_by_the_command, _folder, _manifest_and_shards, _manifest_and_one_shard]
SAYS = r"was removed while it was read. Make it again by the `bottleneck features …`"


def _removed_after(monkeypatch: pytest.MonkeyPatch, module: object, name: str, act: Callable[[], object]) -> None:
    """Remove a cache really, when a function of a module has been called once."""
    original = getattr(module, name)

    def called(*arguments: object) -> object:
        found = original(*arguments)
        monkeypatch.setattr(module, name, original)
        act()
        return found

    monkeypatch.setattr(module, name, called)


@pytest.mark.parametrize("remove", READ)
@pytest.mark.parametrize("compression", ["none", "blosc2"])
def test_features_that_are_read_after_their_cache_was_removed(tmp_path, remove, compression):
    pytest.importorskip("hdf5plugin")
    cache = small_cache.make(tmp_path / "small", compression=compression)
    opened = features.open_features(cache)
    remove(cache)
    with pytest.raises(features.CacheRemoved, match=SAYS) as caught:
        np.asarray(opened["train"].x)
    assert "repair" not in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("remove", READ)
def test_a_cache_that_is_removed_while_it_is_opened(cache, monkeypatch, remove):
    _removed_after(monkeypatch, features.reader, "load", lambda: remove(cache))
    with pytest.raises(features.CacheRemoved, match=SAYS):
        features.open_features(cache)


@pytest.mark.parametrize("remove", READ)
def test_a_cache_that_is_removed_while_it_is_hashed(cache, monkeypatch, remove):
    _removed_after(monkeypatch, VERIFYING, "load", lambda: remove(cache))
    with pytest.raises(features.CacheRemoved, match=SAYS):
        features.require_unchanged(cache)


@pytest.mark.parametrize("remove", [*READ, _manifest_and_virtual_files])
def test_a_cache_that_is_removed_while_it_is_verified(cache, monkeypatch, remove):
    _removed_after(monkeypatch, VERIFYING, "load", lambda: remove(cache))
    with pytest.raises(features.CacheRemoved, match=SAYS):
        features.verify(cache)


def test_a_shard_that_is_removed_between_two_looks_at_it(cache, monkeypatch):
    _removed_after(monkeypatch, VERIFYING, "structure_problem", lambda: features.remove_cache(cache))
    with pytest.raises(features.CacheRemoved, match=SAYS):
        features.verify(cache)


def test_a_cache_that_is_removed_while_it_is_exported(cache, tmp_path, monkeypatch):
    from bottleneck_features.features import export

    _removed_after(monkeypatch, export, "open_features", lambda: features.remove_cache(cache))
    with pytest.raises(features.CacheRemoved, match=SAYS):
        features.export_features(cache, tmp_path / "out", "small")


def test_a_shard_that_is_gone_alone_is_still_to_be_repaired(cache):
    opened = features.open_features(cache)
    (cache / "train/00002.h5").unlink()
    with pytest.raises(features.CacheDamaged, match="cache verify --repair") as caught:
        np.asarray(opened["train"].x)
    assert not isinstance(caught.value, features.CacheRemoved)
