import json
import sys
import threading
import uuid
from pathlib import Path

import numpy as np
import pytest
import small_cache

from bottleneck_features.features import (
    ArraySpec,
    CacheDamaged,
    CacheIncomplete,
    CacheMismatch,
    CacheMissing,
    Partition,
    PublishingWriter,
    StoreError,
    StoreUnavailable,
    fetch,
    open_features,
    share,
    store,
    verify,
)

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def url() -> str:
    """A store of its own in memory, for one cache."""
    return f"memory://{uuid.uuid4().hex}/caches/small"


def _writer(url: str, path: Path, **changes) -> PublishingWriter:
    arguments = {
        "identity": small_cache.IDENTITY,
        "splits": small_cache.plans(small_cache.SAMPLES),
        "arrays": small_cache.LAYERS,
        "targets": small_cache.targets(changes.get("splits", small_cache.plans(small_cache.SAMPLES))),
        "shard_size": 10,
        "provenance": small_cache.PROVENANCE,
        **changes,
    }
    return PublishingWriter(url, path, **arguments)


def _objects(url: str) -> dict[str, bytes]:
    store, path = fsspec.core.url_to_fs(url)
    return {name[len(path) + 1 :]: store.cat_file(name) for name in store.find(path)}


def _put(url: str, name: str, content: bytes) -> None:
    store, path = fsspec.core.url_to_fs(url)
    store.pipe_file(f"{path}/{name}", content)


def _write(writer: PublishingWriter, count: int | None = None) -> list[str]:
    written = writer.pending[:count]
    for shard in written:
        writer.write(shard, small_cache.shard_arrays(shard, small_cache.LAYERS))
    return [shard.file for shard in written]


def _make(url: str, path: Path, **changes) -> None:
    with _writer(url, path, **changes) as writer:
        _write(writer)
        assert writer.finish() == 0


def test_what_is_published_is_byte_for_byte_a_cache(url, tmp_path):
    _make(url, tmp_path / "here")
    plain = small_cache.make(tmp_path / "plain")
    objects = _objects(url)
    assert {name: content for name, content in objects.items() if name.endswith(".h5")} == small_cache.file_bytes(plain)
    assert set(objects) == {*small_cache.file_bytes(plain), "manifest.json"}
    assert objects["manifest.json"] == (tmp_path / "here" / "manifest.json").read_bytes()
    for name, content in objects.items():
        target = tmp_path / "copy" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    assert verify(tmp_path / "copy").ok
    assert small_cache.lasting(tmp_path / "copy") == small_cache.lasting(plain)


def test_nobody_sees_a_manifest_before_the_last_shard_is_there(url, tmp_path):
    with _writer(url, tmp_path / "here") as writer:
        while _write(writer, 1):
            assert "manifest.json" not in _objects(url)
            with pytest.raises(CacheMissing, match="only an unfinished feature cache"):
                fetch(url, tmp_path / "reader")
        writer.finish()
    assert json.loads(_objects(url)["manifest.json"])["complete"] is True


@pytest.mark.parametrize("same_machine", [True, False])
def test_a_run_goes_on_where_the_store_says_that_the_last_one_stopped(url, tmp_path, same_machine):
    with _writer(url, tmp_path / "first") as writer:
        done = _write(writer, 3)
    with _writer(url, tmp_path / ("first" if same_machine else "second")) as writer:
        assert writer.done_images == sum(map(len, small_cache_shards(writer, done)))
        rest = _write(writer)
        assert not set(rest) & set(done)
        writer.finish()
    assert small_cache.file_bytes(fetch(url, tmp_path / "reader")) == small_cache.file_bytes(
        small_cache.make(tmp_path / "plain")
    )


def small_cache_shards(writer: PublishingWriter, files: list[str]) -> list:
    """The shards of these files."""
    manifest = writer._published
    return [shard for split in manifest.splits for shard in manifest.shards(split) if shard.file in files]


def test_a_shard_without_its_entry_is_computed_again_and_taken_as_it_is(url, tmp_path):
    with _writer(url, tmp_path / "first") as writer:
        (file,) = _write(writer, 1)
    store, path = fsspec.core.url_to_fs(url)
    for name in store.find(f"{path}/.journal/{file.split('/')[0]}"):
        store.rm_file(name)
    with _writer(url, tmp_path / "second") as writer:
        assert writer.pending[0].file == file
        _write(writer)
        writer.finish()
    assert verify(tmp_path / "second").ok


def test_of_two_machines_that_compute_other_low_bits_the_first_is_right(url, tmp_path):
    with _writer(url, tmp_path / "first") as first, _writer(url, tmp_path / "second") as second:
        shard = first.pending[0]
        arrays = small_cache.shard_arrays(shard, small_cache.LAYERS)
        first.write(shard, arrays)
        second.write(shard, {layer: values + 1 for layer, values in arrays.items()})
        _write(second)
        second.finish()
    assert verify(tmp_path / "second").ok
    expected = small_cache.file_bytes(small_cache.make(tmp_path / "plain"))
    assert small_cache.file_bytes(tmp_path / "second") == expected


def test_of_two_machines_whose_compressed_shards_differ_in_length_the_first_is_right(url, tmp_path):
    layers = {"features": ArraySpec((256,), "float32")}
    both = {"compression": "blosc2", "arrays": layers}
    with _writer(url, tmp_path / "first", **both) as first, _writer(url, tmp_path / "second", **both) as second:
        shard = first.pending[0]
        arrays = small_cache.shard_arrays(shard, layers)
        first.write(shard, {layer: np.zeros_like(values) for layer, values in arrays.items()})
        kept = _objects(url)[shard.file]
        second.write(shard, arrays)
        assert _objects(url)[shard.file] == kept
        entries = [name for name in _objects(url) if name.startswith(f".journal/{shard.split}/")]
        assert len(entries) == 1
        for rest in second.pending:
            second.write(rest, small_cache.shard_arrays(rest, layers))
        second.finish()
    assert (tmp_path / "second" / shard.file).read_bytes() == kept
    assert verify(fetch(url, tmp_path / "reader")).ok


def test_an_object_that_no_entry_fits_is_written_over(url, tmp_path):
    with _writer(url, tmp_path / "here") as writer:
        shard = writer.pending[0]
        _put(url, shard.file, b"half a shard")
        _write(writer)
        writer.finish()
    assert verify(fetch(url, tmp_path / "reader")).ok


def test_parts_on_machines_that_share_nothing_but_the_store_make_one_cache(url, tmp_path):
    for number in (1, 2, 3):
        with _writer(url, tmp_path / f"machine {number}", part=Partition(number, 3)) as writer:
            _write(writer)
            left = writer.finish()
            assert (left == 0) == (number == 3)
    assert small_cache.file_bytes(fetch(url, tmp_path / "reader")) == small_cache.file_bytes(
        small_cache.make(tmp_path / "plain")
    )
    assert verify(tmp_path / "reader").ok


def test_parts_at_the_same_time_make_one_cache(url, tmp_path):
    left = []

    def extract(number: int) -> None:
        with _writer(url, tmp_path / f"machine {number}", part=Partition(number, 4), shard_size=3) as writer:
            _write(writer)
            left.append(writer.finish())

    threads = [threading.Thread(target=extract, args=(number,)) for number in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert min(left) == 0
    assert verify(fetch(url, tmp_path / "reader")).ok


def test_a_part_with_missing_shards_does_not_finish(url, tmp_path):
    with _writer(url, tmp_path / "here") as writer:
        _write(writer, 2)
        with pytest.raises(CacheIncomplete, match="shards of memory://.* are still to be written"):
            writer.finish()


def test_a_cache_made_before_there_was_a_store_is_published_whole_or_in_part(url, tmp_path):
    plain = small_cache.make(tmp_path / "plain")
    assert share(url, plain)
    assert small_cache.file_bytes(fetch(url, tmp_path / "reader")) == small_cache.file_bytes(plain)
    with small_cache.writer(tmp_path / "begun") as writer:
        shard = writer.pending[0]
        writer.write(shard, small_cache.shard_arrays(shard, small_cache.LAYERS))
    with _writer(f"{url}-2", tmp_path / "begun") as writer:
        assert shard not in writer.pending
        _write(writer)
        writer.finish()
    assert verify(fetch(f"{url}-2", tmp_path / "other")).ok


@pytest.mark.parametrize("damage", ["lost", "flipped"])
def test_a_cache_that_was_damaged_here_is_not_published_until_it_is_mended(url, tmp_path, damage):
    plain = small_cache.make(tmp_path / "plain")
    expected = small_cache.file_bytes(plain)
    shard = plain / "train" / "00001.h5"
    if damage == "lost":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    assert not share(url, plain)
    assert _objects(url) == {}
    with _writer(url, plain) as writer:
        assert _write(writer) == ["train/00001.h5"]
        writer.finish()
    assert small_cache.file_bytes(fetch(url, tmp_path / "reader")) == expected
    assert verify(plain).ok


def test_a_shard_that_is_lost_while_its_cache_is_published_is_computed_again(url, tmp_path, monkeypatch):
    monkeypatch.setattr("bottleneck_features.features.quarantine.EAGERLY_CHECKED", 0)
    plain = small_cache.make(tmp_path / "plain")
    (plain / "train" / "00001.h5").unlink()
    with _writer(url, plain) as writer:
        assert _write(writer) == ["train/00001.h5"]
        writer.finish()
    assert verify(plain).ok


def test_a_damaged_object_is_found_named_and_computed_again(url, tmp_path):
    _make(url, tmp_path / "here")
    name = "train/00001.h5"
    content = bytearray(_objects(url)[name])
    content[-1] ^= 1
    _put(url, name, bytes(content))
    with pytest.raises(CacheDamaged, match=r"1 objects of memory://.*train/00001\.h5: its SHA-256"):
        fetch(url, tmp_path / "reader")
    assert not (tmp_path / "reader" / "manifest.json").exists()
    with _writer(url, tmp_path / "mender") as writer:
        assert _write(writer) == [name]
        writer.finish()
    assert verify(fetch(url, tmp_path / "reader")).ok
    assert small_cache.file_bytes(tmp_path / "reader") == small_cache.file_bytes(tmp_path / "here")


def test_a_file_that_was_damaged_here_is_fetched_again(url, tmp_path):
    _make(url, tmp_path / "here")
    shard = tmp_path / "here" / "train" / "00000.h5"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1] + b"?")
    assert fetch(url, tmp_path / "here")
    assert shard.read_bytes() == whole


def test_a_store_that_holds_something_else_is_refused_with_what_differs(url, tmp_path):
    _make(url, tmp_path / "here")
    with (
        pytest.raises(CacheMismatch, match="was made from something else"),
        _writer(url, tmp_path / "other", identity={**small_cache.IDENTITY, "backbone": "another"}),
    ):
        pass


def test_shards_that_are_cut_otherwise_are_not_mixed(url, tmp_path):
    with _writer(url, tmp_path / "tens") as writer:
        _write(writer, 1)
    small_cache.make(tmp_path / "sevens", shard_size=7)
    with pytest.raises(CacheMismatch, match="is cut into other shards than"):
        share(url, tmp_path / "sevens")
    with pytest.raises(CacheMismatch, match="is cut into other shards than"):
        _make(url, tmp_path / "sevens")


def test_a_cache_is_opened_by_its_url(url, tmp_path, monkeypatch):
    monkeypatch.setenv("BOTTLENECK_HOME", str(tmp_path / "home"))
    _make(url, tmp_path / "here")
    opened, local = open_features(url), open_features(tmp_path / "here")
    assert opened.path == tmp_path / "home" / "features" / "small"
    for split in local:
        np.testing.assert_array_equal(opened[split].x[:], local[split].x[:])
    with pytest.raises(CacheMissing, match="There is no feature cache at memory://"):
        open_features(f"{url}-none")


def test_a_url_that_cannot_be_opened_says_what_to_install_or_to_write(tmp_path):
    with pytest.raises(StoreUnavailable, match="nonsense://x.*cannot be opened"):
        fetch("nonsense://x/y", tmp_path)
    with pytest.raises(StoreUnavailable, match=r"dropbox.*bottleneck-features\[store\]"):
        fetch("dropbox://x/y", tmp_path)


def test_a_store_that_refuses_ends_in_one_line(tmp_path):
    root = tmp_path / "file in the way"
    root.write_text("")
    with pytest.raises(StoreError, match="Check the URL, the network and the credentials") as refused:
        _writer(f"file://{root}/cache", tmp_path / "here").__enter__()
    assert "\n" not in str(refused.value)


def test_what_others_leave_among_the_entries_is_ignored(url, tmp_path):
    with _writer(url, tmp_path / "here") as writer:
        _write(writer, 1)
    for name in ("train/nonsense", f"elsewhere/00000~1~{'0' * 64}~{'0' * 16}", f"train/99999~1~{'0' * 64}~{'0' * 16}"):
        _put(url, f".journal/{name}", b"")
    manifest = store.published(store.Store(url))
    assert manifest.count_finished() == 1


def test_without_fsspec_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(
        StoreUnavailable, match=r"'s3://bucket/x' needs fsspec.*pip install 'bottleneck-features\[store\]'"
    ):
        fetch("s3://bucket/x", tmp_path)
