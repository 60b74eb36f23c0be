"""Rows that other caches have are copied, bit for bit, and only contents not seen before are asked for."""

from __future__ import annotations

import logging
import os

import numpy as np
import pytest
import small_cache
from picture_caches import (
    LAYERS,
    PICTURES,
    RECIPE,
    extract,
    features_of,
    fill,
    flip,
    open_writer,
    pictures_with,
    same_bytes,
)

from bottleneck_features.features import (
    SHARED,
    CacheBusy,
    FeatureError,
    Partition,
    SplitPlan,
    freed_by,
    open_features,
    quarantine,
    removal,
    remove_cache,
    repair,
    superseded,
    verify,
)
from bottleneck_features.pipeline.extraction.extract import copy_rows


@pytest.fixture
def base(tmp_path):
    """A finished cache of 55 pictures."""
    asked, _ = extract(tmp_path / "base", PICTURES)
    assert asked == PICTURES["train"] + PICTURES["test"]
    return tmp_path / "base"


@pytest.mark.parametrize(
    ("pictures", "new"),
    [
        (pictures_with(train=["new", *PICTURES["train"]]), ["new"]),
        (pictures_with(train=[*PICTURES["train"], "new"]), ["new"]),
        (pictures_with(train=[*PICTURES["train"][:17], "edited", *PICTURES["train"][18:]]), ["edited"]),
        (pictures_with(train=PICTURES["train"][1:]), []),
        (pictures_with(train=PICTURES["train"][::-1]), []),
        ({"train": PICTURES["train"] + PICTURES["test"][:5], "test": PICTURES["test"][5:]}, []),
        ({"train": PICTURES["test"], "test": PICTURES["train"]}, []),
        ({"train": PICTURES["train"] + PICTURES["test"]}, []),
        (
            pictures_with(train=["new", *PICTURES["train"], "new", "new too"], test=["new too", *PICTURES["test"]]),
            ["new", "new too"],
        ),
    ],
    ids=["first", "last", "edited", "removed", "reversed", "moved", "swapped", "no-test", "twins"],
)  # fmt: skip
@pytest.mark.parametrize("compression", ["none", "blosc2"])
def test_only_contents_not_seen_before_are_computed_and_the_bytes_are_those_of_a_fresh_run(
    base, tmp_path, pictures, new, compression
):
    asked, reused = extract(tmp_path / "grown", pictures, [base], compression=compression)
    assert asked == new
    assert sum(reused.rows.values()) == sum(map(len, pictures.values())) - len(new)
    fresh, _ = extract(tmp_path / "fresh", pictures, None, compression=compression)
    assert len(fresh) == sum(map(len, pictures.values()))
    same_bytes(tmp_path / "grown", tmp_path / "fresh")
    assert verify(tmp_path / "grown").ok


def test_other_labels_write_no_shard(base, tmp_path):
    targets = small_cache.targets({s: SplitPlan(np.array(own)) for s, own in PICTURES.items()}, ("a", "b"))
    asked, reused = extract(tmp_path / "corrected", PICTURES, [base], labels="other", targets=targets)
    assert asked == []
    assert reused.rows == {"base": 55}
    opened = open_features(tmp_path / "corrected")
    assert opened.class_names == ("a", "b")
    for split in PICTURES:
        for shard in sorted((base / split).iterdir()):
            assert shard.samefile(tmp_path / "corrected" / split / shard.name)
        np.testing.assert_array_equal(opened[split].x, open_features(base)[split].x)
    remove_cache(base)
    assert verify(tmp_path / "corrected").ok


def test_where_files_cannot_be_linked_they_are_copied(base, tmp_path, monkeypatch):
    def refuse(self, target):
        raise OSError("no hard links here")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    asked, _ = extract(tmp_path / "corrected", PICTURES, [base], labels="other")
    assert asked == []
    same_bytes(tmp_path / "corrected", base)
    assert not (base / "train/00000.h5").samefile(tmp_path / "corrected/train/00000.h5")


@pytest.mark.parametrize(
    "changes",
    [{"recipe": "b" * 64}, {"recipe": ""}, {"machine": "two"}, {"donors": None}, {"donors": []}],
    ids=["recipe", "no-recipe", "machine", "no-reuse", "no-donors"],
)
def test_rows_of_another_recipe_or_machine_are_computed(base, tmp_path, changes):
    asked, reused = extract(tmp_path / "other", PICTURES, **{"donors": [base], **changes})
    assert len(asked) == 55
    assert reused.other_machine == ({"base": 55} if "machine" in changes else {})


def test_content_that_is_not_known_is_never_taken_for_the_same(tmp_path):
    plan = {"train": SplitPlan(np.array(["a", "b", "c"]))}
    for name in ("one", "two"):
        with small_cache.writer(
            tmp_path / name, splits=plan, arrays=LAYERS, recipe=RECIPE, donors=[tmp_path / "one"]
        ) as writer:
            assert [len(writer.draft(shard).missing) for shard in writer.pending] == [3]
            writer.write(writer.pending[0], features_of(["a", "b", "c"]))
            writer.finish()


def test_equal_pictures_are_computed_once_also_without_another_cache(tmp_path):
    pictures = {"train": ["a", "b", "a", *(f"p{i}" for i in range(20)), "b"], "test": ["p3", "a", "z"]}
    asked, reused = extract(tmp_path / "cache", pictures)
    assert asked == ["a", "b", *(f"p{i}" for i in range(20)), "z"]
    assert reused.rows == {"cache": 4}
    extract(tmp_path / "fresh", pictures, None)
    same_bytes(tmp_path / "cache", tmp_path / "fresh")


def test_what_an_unfinished_cache_has_is_taken_too(tmp_path):
    with open_writer(tmp_path / "begun", PICTURES) as writer:
        for shard in writer.pending[:2]:
            writer.write(shard, features_of(PICTURES["train"][shard.start : shard.stop]))
    asked, reused = extract(tmp_path / "other", pictures_with(train=PICTURES["train"][3:]), [tmp_path / "begun"])
    assert asked == PICTURES["train"][20:] + PICTURES["test"]
    assert reused.rows == {"begun": 17}


def test_a_run_that_was_killed_goes_on_with_what_it_had_and_what_others_have(base, tmp_path):
    pictures = {"train": [*PICTURES["train"], *(f"new {i}" for i in range(20)), "new 3"], "test": PICTURES["test"]}
    with open_writer(tmp_path / "grown", pictures, donors=[base]) as writer:
        for shard in writer.pending[:1]:
            draft = writer.draft(shard)
            own = [pictures[shard.split][shard.start + i] for i in draft.missing]
            writer.write(shard, draft.filled(features_of(own) if own else {}))
    asked, _ = extract(tmp_path / "grown", pictures, [base])
    assert asked == [f"new {i}" for i in range(10, 20)]
    extract(tmp_path / "fresh", pictures, None)
    same_bytes(tmp_path / "grown", tmp_path / "fresh")


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
@pytest.mark.parametrize(
    "pictures", [PICTURES, pictures_with(train=["new", *PICTURES["train"]])], ids=["linked", "copied"]
)
def test_damaged_rows_are_computed_again_and_named(base, tmp_path, damage, pictures, caplog):
    shard = base / "train/00001.h5"
    content = bytearray(shard.read_bytes())
    shard.unlink()
    if damage != "missing":
        content[-9] ^= 1
        shard.write_bytes(content[: None if damage == "flipped" else 3000])
    with caplog.at_level(logging.WARNING):
        asked, _ = extract(tmp_path / "grown", pictures, [base], labels="other")
    assert [picture for picture in asked if picture != "new"] == PICTURES["train"][10:20]
    extract(tmp_path / "fresh", pictures, None)
    same_bytes(tmp_path / "grown", tmp_path / "fresh")
    assert damage != "flipped" or "train/00001.h5 is damaged" in caplog.text


def test_a_cache_of_many_damaged_shards_is_named_once(base, tmp_path, caplog):
    for shard in (base / "train").iterdir():
        flip(shard)
    with caplog.at_level(logging.WARNING):
        asked, _ = extract(tmp_path / "grown", pictures_with(train=["new", *PICTURES["train"]]), [base])
    assert sorted(asked) == sorted(["new", *PICTURES["train"]])
    assert [record.getMessage().count("is damaged") for record in caplog.records] == [1]


def test_a_shard_that_lacks_damaged_rows_counts_the_others_once(base, tmp_path):
    flip(base / "train/00001.h5")
    pictures = pictures_with(train=PICTURES["train"][5:])  # each shard has rows of two
    with open_writer(tmp_path / "grown", pictures, donors=[base]) as writer:
        copied, computed = sum(copy_rows(writer)), 0
        for shard in writer.pending:
            draft = writer.draft(shard)
            own = [pictures[shard.split][shard.start + i] for i in draft.missing]
            computed += len(own)
            writer.write(shard, draft.filled(features_of(own)))
        assert (copied, computed, writer.reused.rows) == (15, 10, {"base": 40})  # 15 more are linked


def test_a_repaired_cache_does_not_take_the_damaged_shard_back_from_one_that_shares_it(
    base, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(quarantine, "HASHED_WHOLE", 0)  # as in a cache of more than 2 GiB
    extract(tmp_path / "corrected", PICTURES, [base], labels="other")
    shard, changed = base / "train/00001.h5", (base / "train/00001.h5").stat().st_mtime_ns
    flip(shard)
    os.utime(shard, ns=(changed, changed))  # as a failing disk does
    assert repair(base).shared == 1
    asked, _ = extract(base, PICTURES, [tmp_path / "corrected"])
    assert asked == PICTURES["train"][10:20]
    assert "corrected/train/00001.h5 is damaged" in caplog.text
    assert verify(base).ok
    assert not verify(tmp_path / "corrected").ok


def test_a_cache_that_is_removed_while_rows_are_copied_from_it_is_not_called_damaged(base, tmp_path, caplog):
    pictures = pictures_with(train=["new", *PICTURES["train"]])
    asked = []
    with open_writer(tmp_path / "grown", pictures, donors=[base]) as writer:
        for number, shard in enumerate(writer.pending):
            missing = (draft := writer.draft(shard)).missing
            own = [pictures[shard.split][shard.start + i] for i in missing]
            asked += own
            if not number:
                remove_cache(base)
            writer.write(shard, draft.filled(features_of(own) if own else {}))
        writer.finish()
    assert asked == ["new", *PICTURES["train"][10:]]  # those of the shard that was open are still had
    assert [record.getMessage() for record in caplog.records] == [
        f"The cache {base} was removed while rows were copied from it. Its rows are computed again."
    ]
    assert verify(tmp_path / "grown").ok


def test_a_shard_that_is_a_symbolic_link_is_linked_to_the_file_itself(base, tmp_path):
    (base / "train").rename(tmp_path / "elsewhere")
    (base / "train").mkdir()
    for file in sorted((tmp_path / "elsewhere").iterdir()):
        (base / "train" / file.name).symlink_to(os.path.relpath(file, base / "train"))
    asked, _ = extract(tmp_path / "deeper/corrected", PICTURES, [base], labels="other")
    assert asked == []
    shards = list((tmp_path / "deeper/corrected/train").iterdir())
    assert len(shards) == 4
    assert not any(shard.is_symlink() for shard in shards)
    assert verify(tmp_path / "deeper/corrected").ok


def test_a_value_that_the_dtype_cannot_hold_is_refused_with_its_id_beside_copied_rows(base, tmp_path):
    pictures = pictures_with(train=[*PICTURES["train"][:5], "new", *PICTURES["train"][5:]])

    def too_large(own):
        return {**features_of(own), "early": np.full((len(own), 2, 3), 70_000, np.float32)}

    with pytest.raises(FeatureError, match=r"'early': 6 values .* 70000.*ids concerned: 'train/005\.png'"):
        extract(tmp_path / "grown", pictures, [base], compute=too_large)


def test_writers_of_parts_and_side_by_side_take_rows_too(base, tmp_path):
    pictures = {"train": [*PICTURES["train"], *(f"new {i}" for i in range(25))], "test": [*PICTURES["test"], "new 1"]}
    with (
        open_writer(tmp_path / "parts", pictures, donors=[base], part=Partition(1, 2)) as first,
        open_writer(tmp_path / "parts", pictures, donors=[base], part=Partition(2, 2)) as second,
    ):
        asked = [one for writer in (first, second) for one in fill(writer, writer.pending, pictures)]
    assert set(asked) == {f"new {i}" for i in range(25)}
    with open_writer(tmp_path / "shared", pictures, donors=[base], part=SHARED) as writer:
        fill(writer, reversed(writer.pending), pictures)  # as workers do, in any order
    extract(tmp_path / "fresh", pictures, None)
    same_bytes(tmp_path / "parts", tmp_path / "fresh")
    same_bytes(tmp_path / "shared", tmp_path / "fresh")


def test_links_need_no_space(base, tmp_path, monkeypatch):
    monkeypatch.setattr("bottleneck_features.features.storage.free_bytes", lambda folder: 100_000)
    asked, _ = extract(tmp_path / "corrected", PICTURES, [base], labels="other")
    assert asked == []


def test_a_cache_that_is_being_written_is_not_removed_under_its_reader(base):
    with open_writer(base, PICTURES), pytest.raises(CacheBusy):
        remove_cache(base)


def test_a_cache_is_superseded_by_a_later_one_that_has_all_it_has(base, tmp_path):
    grown = {"train": [*PICTURES["train"], "new"], "test": PICTURES["test"]}
    extract(tmp_path / "grown", grown, [base])
    extract(tmp_path / "other machine", {"train": [*grown["train"], *PICTURES["test"]]}, [base], machine="two")
    extract(tmp_path / "other recipe", grown, [base], recipe="c" * 64)
    extract(tmp_path / "less", {"train": PICTURES["train"][:20]}, [base])
    extract(tmp_path / "corrected", grown, [base], labels="other")
    later = tmp_path / "corrected"
    assert superseded(tmp_path) == {base: later, tmp_path / "grown": later, tmp_path / "less": later}
    assert superseded(tmp_path / "nothing") == {}


def test_removing_frees_what_no_other_cache_shares(base, tmp_path):
    extract(tmp_path / "corrected", PICTURES, [base], labels="other")
    shards = sum(file.stat().st_size for file in base.glob("t*/*.h5"))
    first = removal(base)
    assert first.bytes - first.freed == shards
    remove_cache(base)
    left = removal(tmp_path / "corrected")
    assert left.bytes == left.freed > shards


def test_what_removing_several_caches_frees_counts_files_that_only_they_share(base, tmp_path):
    extract(tmp_path / "corrected", PICTURES, [base], labels="other")
    extract(tmp_path / "again", PICTURES, [base], labels="yet another")
    before = _on_disk(tmp_path)
    two = [removal(base), removal(tmp_path / "corrected")]
    assert freed_by(file for one in two for file in one.files) == sum(one.freed for one in two)
    three = [*two, removal(tmp_path / "again")]
    freed = freed_by(file for one in three for file in one.files)
    assert freed > sum(one.freed for one in three)
    for one in three:
        remove_cache(one.path)
    assert before - _on_disk(tmp_path) == freed


def _on_disk(folder):
    return sum({(s := file.stat()).st_ino: s.st_size for file in folder.rglob("*") if file.is_file()}.values())
