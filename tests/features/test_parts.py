"""Processes that share the shards of one cache make the cache that one process would have made."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import threading
import time
from pathlib import Path

import faults
import pytest
import small_cache
from extraction import SHARD_SIZE
from small_cache import LAYERS

from bottleneck_features.features import (
    CacheBusy,
    CacheError,
    CacheIncomplete,
    DiskFull,
    Partition,
    journal,
    list_caches,
    open_features,
    remove_cache,
    verify,
)
from bottleneck_features.features.entries import FileEntry
from bottleneck_features.features.journal import JOURNAL, RECORD, journal_files
from bottleneck_features.features.manifest import create, load

SHARDS = 15  # 11 of train, 4 of test


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return small_cache.make(tmp_path_factory.mktemp("undisturbed") / "cache", shard_size=SHARD_SIZE)


def part_writer(path, number, of, **changes):
    return small_cache.writer(path, shard_size=SHARD_SIZE, part=Partition(number, of), **changes)


def write(writer, count=None):
    """Writes the first pending shards and returns their files."""
    shards = writer.pending[:count]
    for shard in shards:
        writer.write(shard, small_cache.shard_arrays(shard, LAYERS))
    return [shard.file for shard in shards]


@pytest.mark.parametrize("of", [1, 2, 4, 15, 16])
def test_every_shard_is_in_exactly_one_part(undisturbed, tmp_path, of):
    files, images = [], 0
    for number in range(1, of + 1):
        with part_writer(tmp_path / "cache", number, of) as writer:
            files += [shard.file for shard in writer.pending]
            images += writer.total_images
    assert sorted(files) == sorted(shard.file for shard, _ in load(undisturbed).finished())
    assert images == sum(small_cache.SAMPLES.values())


def test_the_last_part_to_finish_completes_the_cache_with_the_bytes_of_one_run(undisturbed, tmp_path):
    left = []
    for number in (2, 4, 1, 3):
        with part_writer(tmp_path / "cache", number, 4) as writer:
            write(writer)
            left.append(writer.finish())
    assert left == [11, 8, 4, 0]
    assert faults.same_as_undisturbed(tmp_path / "cache", undisturbed)
    assert not (tmp_path / "cache" / JOURNAL).exists()


def test_parts_work_at_the_same_time_and_count_their_own_images(tmp_path):
    with part_writer(tmp_path / "cache", 1, 2) as first, part_writer(tmp_path / "cache", 2, 2) as second:
        write(first, 3)
        write(second, 1)
        assert (first.done_images, second.done_images) == (15, 5)
        assert first.total_images + second.total_images == 70
        assert load(tmp_path / "cache").images_done() == 20
        with pytest.raises(CacheIncomplete, match="11 of 15 shards"):
            first.finish()


def test_a_run_without_parts_completes_what_parts_have_left(undisturbed, tmp_path):
    with part_writer(tmp_path / "cache", 2, 3) as writer:
        write(writer, 2)
    with small_cache.writer(tmp_path / "cache", shard_size=SHARD_SIZE) as writer:
        assert len(writer.pending) == SHARDS - 2
        write(writer)
        assert writer.finish() == 0
    assert faults.same_as_undisturbed(tmp_path / "cache", undisturbed)


def test_a_sole_writer_waits_for_parts_and_parts_for_a_sole_writer(tmp_path):
    sole = small_cache.writer(tmp_path / "cache", shard_size=SHARD_SIZE)
    with (
        part_writer(tmp_path / "cache", 1, 2),
        pytest.raises(CacheBusy, match=r"Other processes are writing to .*\. Wait until they are done\.$"),
        sole,
    ):
        pass
    with sole, pytest.raises(CacheBusy, match=f"Process {os.getpid()} on host"), part_writer(tmp_path / "cache", 1, 2):
        pass
    with part_writer(tmp_path / "cache", 1, 2):
        pass


def test_a_part_waits_until_the_sole_writer_is_done(tmp_path):
    (tmp_path / "cache").mkdir()
    with (tmp_path / "cache" / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        threading.Timer(0.3, lambda: fcntl.flock(held, fcntl.LOCK_UN)).start()
        with part_writer(tmp_path / "cache", 1, 2, wait_seconds=60) as writer:
            assert writer.pending


def test_a_part_makes_a_missing_shard_of_its_own_again(undisturbed, tmp_path):
    with part_writer(tmp_path / "cache", 1, 2) as writer:
        files = write(writer)
    (tmp_path / "cache" / files[1]).unlink()
    with part_writer(tmp_path / "cache", 2, 2) as writer:
        write(writer)
        assert writer.finish() == 1, "a cache with a missing shard must not become complete"
    with part_writer(tmp_path / "cache", 1, 2) as writer:
        assert [problem.file for problem in writer.requeued] == [files[1]]
        assert write(writer) == [files[1]]
        assert writer.finish() == 0
    assert faults.same_as_undisturbed(tmp_path / "cache", undisturbed)


@pytest.mark.parametrize("damage", ["lost", "cut"])
def test_a_damaged_shard_is_not_finished_until_it_is_written_again(tmp_path, damage):
    with part_writer(tmp_path / "cache", 1, 2) as writer:
        shard = writer.pending[0]
        write(writer)
        assert writer.is_finished(shard)
    path = tmp_path / "cache" / shard.file
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with part_writer(tmp_path / "cache", 1, 2) as writer:
        assert writer.pending == [shard]
        assert not writer.is_finished(shard)
        write(writer)
        assert writer.is_finished(shard)


def test_a_plan_that_many_begin_at_once_is_begun_once(tmp_path):
    plan = small_cache.writer(tmp_path, shard_size=SHARD_SIZE)._plan.manifest
    other = small_cache.writer(tmp_path, shard_size=7)._plan.manifest
    barrier, found = threading.Barrier(8), []

    def begin(number):
        barrier.wait()
        found.append(create(tmp_path, other if number % 2 else plan).shard_size)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {load(tmp_path).shard_size}


def test_a_plan_is_begun_where_there_are_no_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("no hard links here")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    small_cache.make(tmp_path / "cache")
    assert verify(tmp_path / "cache").ok


def test_whatever_byte_of_a_journal_changes_no_wrong_shard_is_entered(undisturbed, tmp_path):
    with part_writer(tmp_path / "cache", 1, 4) as writer:
        write(writer, 3)
    (written,) = journal_files(tmp_path / "cache")
    right, content = dict(load(undisturbed).finished()), written.read_bytes()
    for position in range(len(content)):
        for mask in (1, 0x80, 0xFF):
            flipped = bytearray(content)
            flipped[position] ^= mask
            written.write_bytes(flipped)
            entered = dict(load(tmp_path / "cache").finished())
            assert entered.items() <= right.items()
            assert len(entered) < 3


def test_a_journal_torn_anywhere_keeps_what_is_whole(undisturbed, tmp_path):
    with part_writer(tmp_path / "cache", 1, 4) as writer:
        write(writer, 3)
    (written,) = journal_files(tmp_path / "cache")
    content = written.read_bytes()
    for length in range(len(content)):
        written.write_bytes(content[:length])
        missing = -(-(len(content) - length) // RECORD.itemsize)
        assert load(tmp_path / "cache").count_finished() == max(0, 3 - missing)


def test_the_journal_of_another_plan_is_not_believed(tmp_path):
    with part_writer(tmp_path / "a", 1, 2) as writer:
        write(writer)
    other = small_cache.writer(tmp_path / "b", shard_size=SHARD_SIZE, identity={**small_cache.IDENTITY, "size": [9, 9]})
    with other:
        shutil.copytree(tmp_path / "a" / JOURNAL, tmp_path / "b" / JOURNAL)
    assert load(tmp_path / "b").count_finished() == 0


def test_a_writer_whose_journal_is_taken_away_enters_all_of_it_again(undisturbed, tmp_path):
    with part_writer(tmp_path / "cache", 1, 2) as writer:
        write(writer, 2)
        shutil.rmtree(tmp_path / "cache" / JOURNAL)
        write(writer, 1)
        assert load(tmp_path / "cache").count_finished() == 3
        shutil.rmtree(tmp_path / "cache" / JOURNAL)
        write(writer)
        writer.finish()
    assert load(tmp_path / "cache").count_finished() == 8


def test_a_journal_folder_that_vanishes_while_a_file_is_made_in_it_is_made_again(tmp_path, monkeypatch):
    """Where locks do not work, whoever completes a cache removes what another has just made."""
    seen, sync = [], journal.sync_folder

    def vanishing(folder: Path) -> None:
        seen.append(folder)
        if len(seen) < 3:
            shutil.rmtree(folder)
        sync(folder)

    monkeypatch.setattr(journal, "sync_folder", vanishing)
    with journal.Journal(tmp_path, "0" * 64) as written:
        written.enter("train", 3, FileEntry(bytes=10, sha256="00" * 32, offsets={}))
    (records,) = journal.read_journals(tmp_path)
    assert records.rows["index"].tolist() == [3]


def test_a_part_that_is_done_twice_leaves_no_journal_in_the_complete_cache(undisturbed, tmp_path):
    with part_writer(tmp_path / "cache", 1, 2) as slow:
        for number in (1, 2):
            with part_writer(tmp_path / "cache", number, 2) as writer:
                write(writer)
                writer.finish()
        write(slow)
        assert journal_files(tmp_path / "cache")
        assert slow.finish() == 0
    assert not (tmp_path / "cache" / JOURNAL).exists()
    assert faults.same_as_undisturbed(tmp_path / "cache", undisturbed)


def test_a_disk_that_fills_up_within_a_record_costs_that_record_only(tmp_path, monkeypatch):
    real = os.fsync

    def torn(descriptor):
        if torn.armed and Path(f"/proc/self/fd/{descriptor}").readlink().suffix == ".records":
            torn.armed = False
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - 20)
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    torn.armed = False
    monkeypatch.setattr(os, "fsync", torn)
    with part_writer(tmp_path / "cache", 1, 2) as writer:
        write(writer, 2)
        torn.armed = True
        with pytest.raises(DiskFull, match="No space left"):
            write(writer, 1)
        assert load(tmp_path / "cache").count_finished() == 2
        write(writer)
        assert load(tmp_path / "cache").count_finished() == 8


def test_a_removed_cache_stops_its_writer_with_a_sentence(tmp_path):
    with part_writer(tmp_path / "cache", 1, 2) as writer:
        write(writer, 1)
        (tmp_path / "cache" / "manifest.json").unlink()
        with pytest.raises(CacheError, match="was removed while it was being written"):
            write(writer, 1)


def test_listing_and_removing_know_of_journals(tmp_path):
    with part_writer(tmp_path / "caches" / "a", 1, 2) as writer:
        write(writer, 2)
    (info,) = list_caches(tmp_path / "caches")
    assert (info.done_images, info.complete) == (10, False)
    remove_cache(info.path)
    assert not info.path.exists()


@pytest.mark.parametrize(("number", "of"), [(0, 4), (5, 4), (-1, 2), (1, 0)])
def test_a_part_that_does_not_exist_is_refused(number, of):
    with pytest.raises(CacheError, match=f"1 ≤ I ≤ N.* Received: {number}/{of}"):
        Partition(number, of)


def _parts_at_once(cache, parts, *options):
    processes = [faults.start(cache, "--part", *part.split("/"), *options) for part in parts]
    return [process.communicate(timeout=200) for process in processes]


@pytest.mark.parametrize("options", [(), ("--lying-locks",)], ids=["locks", "locks that lie"])
def test_four_parts_at_once_make_the_cache_of_one_run(undisturbed, tmp_path, options):
    ends = _parts_at_once(tmp_path / "cache", ["1/4", "2/4", "3/4", "4/4"], "--pause-seconds", "0.01", *options)
    assert not [error for _, error in ends if error]
    assert sum(out.count("wrote") for out, _ in ends) == SHARDS, "nothing twice"
    assert faults.same_as_undisturbed(tmp_path / "cache", undisturbed)


def _killed_at_random(cache, rounds, seed):
    """Starts four parts, kills each at a random moment, again and again; returns how many shards were written."""
    chance, written = random.Random(seed), 0
    for _ in range(rounds):
        processes = [faults.start(cache, "--part", str(n), "4", "--pause-seconds", "0.05") for n in (1, 2, 3, 4)]
        for process in chance.sample(processes, 4):
            time.sleep(chance.uniform(0, 0.15))
            process.kill()
        written += sum(process.communicate()[0].count("wrote") for process in processes)
    return written


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_parts_killed_at_random_lose_nothing_and_do_nothing_twice(undisturbed, tmp_path, rounds):
    cache = tmp_path / "cache"
    before = _killed_at_random(cache, rounds, seed=rounds)
    entered = load(cache).count_finished() if (cache / "manifest.json").exists() else 0
    assert entered >= before, "what a part said it wrote is kept"
    ends = _parts_at_once(cache, ["1/4", "2/4", "3/4", "4/4"])
    assert not [error for _, error in ends if error]
    assert sum(out.count("wrote") for out, _ in ends) == SHARDS - entered, "nothing twice"
    assert faults.same_as_undisturbed(cache, undisturbed)
    assert verify(cache).ok
    assert set(open_features(cache)) == set(small_cache.SAMPLES)
