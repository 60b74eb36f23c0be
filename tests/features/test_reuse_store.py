"""Rows that caches of an object store have are copied too."""

from __future__ import annotations

import uuid

import fsspec
from picture_caches import PICTURES, extract, open_writer, pictures_with, same_bytes

from bottleneck_features.features import fetch, verify
from bottleneck_features.features.store import Store


def test_rows_are_taken_from_a_store_and_only_the_shards_that_have_them_are_fetched(tmp_path, monkeypatch):
    store = f"memory://{uuid.uuid4().hex}/caches"
    pictures = {"train": [*PICTURES["train"][5:25], "new"], "test": []}
    extract_into(f"{store}/base", tmp_path / "first machine" / "base", PICTURES)
    fetched = []
    get = Store.get
    monkeypatch.setattr(Store, "get", lambda self, name: fetched.append((self.url, name)) or get(self, name))
    asked, reused = extract_into(f"{store}/grown", tmp_path / "second machine" / "grown", pictures)
    assert asked == ["new"]
    assert reused.rows == {"base": 20}
    assert {name for url, name in fetched if url.endswith("/base") and name.endswith(".h5")} == {
        "train/00000.h5", "train/00001.h5", "train/00002.h5"
    }  # fmt: skip
    extract(tmp_path / "fresh", pictures, None)
    same_bytes(tmp_path / "second machine/grown", tmp_path / "fresh")
    assert not (tmp_path / "second machine/grown/.donors").exists()
    asked, reused = extract_into(f"{store}/corrected", tmp_path / "third machine/corrected", pictures, labels="other")
    assert (asked, reused.rows) == ([], {"grown": 21})
    fetch(f"{store}/corrected", tmp_path / "fetched")
    assert verify(tmp_path / "fetched").ok


def test_what_is_linked_is_counted_once_among_what_a_store_has(tmp_path):
    extract(tmp_path / "base", PICTURES)
    url = f"memory://{uuid.uuid4().hex}/caches/corrected"
    with open_writer(tmp_path / "corrected", PICTURES, labels="other", donors=[tmp_path / "base"], url=url) as writer:
        assert (writer.done_images, writer.total_images, writer.pending) == (55, 55, [])


def test_a_damaged_object_of_a_store_gives_no_rows(tmp_path):
    store = f"memory://{uuid.uuid4().hex}/caches"
    extract_into(f"{store}/base", tmp_path / "first" / "base", PICTURES)
    files, path = fsspec.core.url_to_fs(f"{store}/base/train/00001.h5")
    content = bytearray(files.cat_file(path))
    content[-9] ^= 1
    files.pipe_file(path, bytes(content))
    asked, _ = extract_into(
        f"{store}/grown", tmp_path / "second" / "grown", pictures_with(train=["new", *PICTURES["train"]])
    )
    assert asked == ["new", *PICTURES["train"][10:20]]


def extract_into(url, path, pictures, **changes):
    return extract(path, pictures, [], url=url, **changes)
