"""Nothing that happens to an extraction or to a disk gives a wrong feature to a reader."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import faults
import pytest
import small_cache
from extraction import SHARD_SIZE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bottleneck_features.features import (
    CacheBusy,
    CacheDamaged,
    CacheIncomplete,
    CacheVersion,
    list_caches,
    open_features,
    repair,
    require_unchanged,
    verify,
)
from bottleneck_features.features.entries import FinishedShards
from bottleneck_features.features.manifest import load, save, update
from bottleneck_features.features.storage import sha256_of, temporary_name

SHARD = "train/00001.h5"
QUARANTINE = sys.modules["bottleneck_features.features.quarantine"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What an extraction that nothing happens to leaves."""
    return small_cache.make(tmp_path_factory.mktemp("undisturbed") / "cache", shard_size=SHARD_SIZE)


@pytest.fixture
def copy(undisturbed, tmp_path):
    """A copy of the undisturbed cache to be damaged."""
    subprocess.run(["cp", "-r", str(undisturbed), str(tmp_path / "copy")], check=True)
    return tmp_path / "copy"


def test_a_killed_extraction_resumes_to_the_same_bytes(undisturbed, tmp_path):
    tally = faults.kills(tmp_path, undisturbed, count=10, seed=0)
    assert tally.wrong == 0, tally
    assert tally.lost_shards <= tally.tries, f"a kill costs one shard at most: {tally}"


def test_an_interrupted_extraction_leaves_finished_shards_and_no_temporary_files(undisturbed, tmp_path):
    tally = faults.kills(tmp_path, undisturbed, count=3, seed=1, kind=signal.SIGINT)
    assert tally.wrong == 0, tally
    assert "temporary shard 0×" in tally.note, tally


def test_a_torn_temporary_file_of_a_dead_process_is_cleared_away_and_never_read(undisturbed, copy):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    torn = temporary_name(copy / SHARD)
    torn = torn.with_name(torn.name.replace(f"~{os.getpid()}~", f"~{dead.pid}~"))
    torn.write_bytes((copy / SHARD).read_bytes()[:1000])
    with small_cache.writer(copy, shard_size=SHARD_SIZE) as writer:
        assert writer.pending == []
    assert not torn.exists()
    assert faults.same_as_undisturbed(copy, undisturbed)


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_shard_that_power_loss_tore_is_named_on_open_and_made_again(undisturbed, copy, damage):
    content = (copy / SHARD).read_bytes()
    (copy / SHARD).unlink()
    if damage == "truncated":
        (copy / SHARD).write_bytes(content[: len(content) // 2])
    with pytest.raises(CacheDamaged, match=SHARD):
        open_features(copy)
    with small_cache.writer(copy, shard_size=SHARD_SIZE) as writer:
        assert [str(shard.file) for shard in writer.pending] == [SHARD]
        assert [problem.file for problem in writer.requeued] == [SHARD]
        with pytest.raises(CacheIncomplete):
            open_features(copy)
        small_cache.fill(writer, small_cache.LAYERS)
    subprocess.run(["rm", "-rf", str(copy / "quarantine")], check=True)
    assert faults.same_as_undisturbed(copy, undisturbed)


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_damaged_targets_are_named_on_open_and_written_again_without_a_shard(undisturbed, copy, damage):
    content = (copy / "targets.h5").read_bytes()
    (copy / "targets.h5").unlink()
    if damage == "truncated":
        (copy / "targets.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(CacheDamaged, match=r"targets\.h5.* computes no features"):
        open_features(copy)
    assert [problem.file for problem in repair(copy).problems] == ["targets.h5"]
    assert not load(copy).complete
    with small_cache.writer(copy, shard_size=SHARD_SIZE) as writer:
        assert writer.pending == []
        writer.finish()
    subprocess.run(["rm", "-rf", str(copy / "quarantine")], check=True)
    assert faults.same_as_undisturbed(copy, undisturbed)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), mask=st.integers(1, 255))
def test_a_flipped_byte_in_the_targets_is_refused_or_changes_nothing(undisturbed, data, mask):
    targets = undisturbed / "targets.h5"
    before = {split: own.y.copy() for split, own in open_features(undisturbed).items()}
    with faults.flipped(targets, data.draw(st.integers(0, targets.stat().st_size - 1)), mask):
        try:
            opened = open_features(undisturbed)
        except CacheDamaged:
            return
        assert opened.class_names == small_cache.CLASS_NAMES
        assert all((opened[split].y == own).all() for split, own in before.items())


def test_a_class_name_that_is_no_text_any_more_is_damage(undisturbed):
    targets = undisturbed / "targets.h5"
    place = targets.read_bytes().index(small_cache.CLASS_NAMES[0].encode()) + 1
    letter = targets.read_bytes()[place]
    with faults.flipped(targets, place, letter), pytest.raises(CacheDamaged, match="labels .* are damaged"):
        open_features(undisturbed)


def test_a_shard_that_is_not_in_the_manifest_is_made_again(undisturbed, tmp_path):
    with small_cache.writer(tmp_path / "cache", shard_size=SHARD_SIZE) as writer:
        (tmp_path / "cache" / SHARD).write_bytes(b"torn")
        small_cache.fill(writer, small_cache.LAYERS)
    assert faults.same_as_undisturbed(tmp_path / "cache", undisturbed)


def _regions(cache):
    """Where in a shard what lies, as HDF5 itself tells."""
    import h5py

    with h5py.File(cache / SHARD) as file:
        spans = {
            name: (file[name].id.get_offset(), file[name].id.get_storage_size())
            for name in ("ids", "contents", "machine", "features/early", "features/late")
        }
    first = min(start for start, _ in spans.values())
    last = max(start + size for start, size in spans.values())
    size = (cache / SHARD).stat().st_size
    return {
        "header": (0, first),
        **{name: (start, start + length) for name, (start, length) in spans.items()},
        "last byte": (size - 1, size),
        "tail": (last - 64, size),
    }


@pytest.mark.parametrize(
    "region", ["header", "ids", "contents", "machine", "features/early", "features/late", "tail", "last byte"]
)
def test_verify_finds_a_flipped_byte_in_every_part_of_a_shard(undisturbed, region):
    low, high = _regions(undisturbed)[region]

    @settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(position=st.integers(low, high - 1), mask=st.integers(1, 255))
    def found(position, mask):
        with faults.flipped(undisturbed / SHARD, position, mask):
            assert [problem.file for problem in verify(undisturbed).problems] == [SHARD]

    found()
    assert verify(undisturbed).ok


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), mask=st.integers(1, 255))
def test_a_flipped_byte_in_the_manifest_is_refused_or_changes_nothing(undisturbed, data, mask):
    manifest = undisturbed / "manifest.json"
    before = small_cache.lasting(undisturbed)
    with faults.flipped(manifest, data.draw(st.integers(0, manifest.stat().st_size - 1)), mask):
        try:
            open_features(undisturbed)
        except (CacheDamaged, CacheVersion):
            return
        assert small_cache.lasting(undisturbed) == before


def test_repair_puts_a_damaged_shard_aside_and_the_next_extraction_makes_it_again(undisturbed, copy):
    faults.flip(copy / SHARD, 5000, 1)
    assert [problem.file for problem in repair(copy).problems] == [SHARD]
    assert (copy / "quarantine").is_dir()
    (info,) = (info for info in list_caches(copy.parent) if info.path == copy)
    assert not info.complete
    with pytest.raises(CacheIncomplete, match="14 of 15"):
        open_features(copy)
    assert faults.finish(copy) == 1
    subprocess.run(["rm", "-r", str(copy / "quarantine")], check=True)
    assert faults.same_as_undisturbed(copy, undisturbed)


def _flip_400_bytes(shard):
    content = bytearray(shard.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(byte ^ 0xFF for byte in content[middle : middle + 400])
    shard.write_bytes(content)


def _made_at(cache, shard, seconds):
    """Let a shard's file be so many seconds newer than the manifest."""
    manifest = (cache / "manifest.json").stat().st_mtime_ns
    os.utime(cache / shard, ns=(manifest, manifest + int(seconds * 1e9)))


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_changed_shard_is_refused_whatever_its_time_before_anything_is_computed(copy, seconds):
    require_unchanged(copy)
    _flip_400_bytes(copy / SHARD)
    _made_at(copy, SHARD, seconds)
    with pytest.raises(
        CacheDamaged, match=rf"(?s){SHARD} is damaged: its SHA-256.*bottleneck cache verify {copy} --repair"
    ):
        require_unchanged(copy)
    repair(copy)
    faults.finish(copy)
    require_unchanged(copy)


def test_of_a_large_cache_only_what_is_newer_than_the_manifest_is_hashed(copy, monkeypatch):
    monkeypatch.setattr(QUARANTINE, "HASHED_WHOLE", 1000)
    hashed = []
    monkeypatch.setattr(QUARANTINE, "sha256_of", lambda path: hashed.append(path) or sha256_of(path))
    for shard, _ in load(copy).finished():
        _made_at(copy, shard.file, -1)
    require_unchanged(copy)
    assert hashed == []
    _made_at(copy, SHARD, 0)
    require_unchanged(copy)
    assert hashed == [copy / SHARD]
    _flip_400_bytes(copy / SHARD)
    with pytest.raises(CacheDamaged, match=SHARD):
        require_unchanged(copy)


def test_of_a_large_cache_every_size_is_looked_at(copy, monkeypatch):
    monkeypatch.setattr(QUARANTINE, "HASHED_WHOLE", 1000)
    with (copy / SHARD).open("ab") as file:
        file.write(b"x")
    (copy / "test/00000.h5").unlink()
    _made_at(copy, SHARD, -60)
    with pytest.raises(CacheDamaged, match=rf"{SHARD} is damaged: \d+ bytes instead of \d+; 1 more"):
        require_unchanged(copy)


def test_repair_writes_a_damaged_virtual_file_anew(undisturbed, copy):
    (copy / "train.h5").write_bytes(b"")
    assert [problem.file for problem in repair(copy).problems] == ["train.h5"]
    subprocess.run(["rm", "-r", str(copy / "quarantine")], check=True)
    assert faults.same_as_undisturbed(copy, undisturbed)


def test_a_torn_manifest_is_refused_until_repair_puts_it_aside(undisturbed, copy):
    content = (copy / "manifest.json").read_bytes()
    (copy / "manifest.json").write_bytes(content[: len(content) // 2])
    with pytest.raises(CacheDamaged, match="--repair"):
        open_features(copy)
    assert not repair(copy).ok
    faults.finish(copy)
    subprocess.run(["rm", "-r", str(copy / "quarantine")], check=True)
    assert faults.same_as_undisturbed(copy, undisturbed)


def test_a_disk_that_fills_up_costs_one_shard_at_most(undisturbed, tmp_path):
    try:
        tally = faults.full_disks(tmp_path / "disk", undisturbed, count=4, seed=0)
    except PermissionError as error:
        pytest.skip(str(error))
    assert tally.wrong == 0, tally
    assert tally.lost_shards <= tally.tries, f"the shard in hand is all that is lost: {tally}"


def test_a_file_size_limit_ends_with_a_message_and_nothing_half_written(undisturbed, tmp_path):
    process = faults.start(tmp_path / "cache", "--file-limit", "6000")
    _, error = process.communicate()
    assert process.returncode == 1
    assert error.startswith("DiskFull: No space left while writing")
    assert not list((tmp_path / "cache").rglob("*.tmp"))
    faults.finish(tmp_path / "cache")
    assert faults.same_as_undisturbed(tmp_path / "cache", undisturbed)


def test_eight_processes_started_at_once_make_one_cache(undisturbed, tmp_path):
    tally = faults.races(tmp_path, undisturbed, 1)
    assert tally.wrong == 0, tally
    assert tally.note.startswith("0 shards"), "with locks that work no shard is written twice"


def test_eight_processes_make_one_cache_where_locks_lie(undisturbed, tmp_path):
    tally = faults.races(tmp_path, undisturbed, 1, "--lying-locks")
    assert tally.wrong == 0, tally


def test_no_entry_is_lost_when_many_change_the_manifest_at_once(copy):
    manifest = load(copy)
    entries = dict(manifest.finished())
    for shard in entries:
        manifest = manifest.without_shard(shard)
    save(copy, manifest)

    def enter(shard):
        update(
            copy, lambda present: present.with_finished([(shard.split, FinishedShards.of(shard.index, entries[shard]))])
        )

    with ThreadPoolExecutor(len(entries)) as pool:
        list(pool.map(enter, entries))
    assert dict(load(copy).finished()) == entries


def test_a_shard_that_cannot_be_read_is_named(copy):
    (copy / SHARD).unlink()
    (copy / SHARD).mkdir()
    with pytest.raises(CacheDamaged, match=f"Cannot read the shard .*{SHARD}"):
        open_features(copy)


def test_a_reader_beside_a_writer_sees_whole_caches_only(tmp_path):
    tally = faults.reading_while_writing(tmp_path, caches=2)
    assert tally.wrong == 0, tally


def test_a_second_run_says_who_holds_the_cache(tmp_path):
    process = faults.start(tmp_path / "cache", "--pause-seconds", "5")
    assert process.stdout.readline().startswith("wrote")
    day = time.strftime("%Y-%m-", time.gmtime())
    says = f"Process {process.pid} on host .* since {day}"
    with pytest.raises(CacheBusy, match=says), small_cache.writer(tmp_path / "cache", shard_size=SHARD_SIZE):
        pass
    process.kill()
    process.communicate()


def test_the_lock_of_a_dead_process_is_taken_over(undisturbed, tmp_path):
    process = faults.start(tmp_path / "cache", "--pause-seconds", "5")
    assert process.stdout.readline().startswith("wrote")
    process.kill()
    process.communicate()
    assert (tmp_path / "cache" / ".lock.json").exists()
    faults.finish(tmp_path / "cache")
    assert faults.same_as_undisturbed(tmp_path / "cache", undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_long_form_gives_no_wrong_result(undisturbed, copy, tmp_path):
    tallies = [
        faults.kills(tmp_path / "kill", undisturbed, count=300, seed=2),
        faults.kills(tmp_path / "interrupt", undisturbed, count=30, seed=3, kind=signal.SIGINT),
        faults.flips(copy, SHARD, range((copy / SHARD).stat().st_size), 0xFF),
        *(faults.flips(copy, SHARD, range(bit, (copy / SHARD).stat().st_size, 50), 1 << bit) for bit in range(8)),
        faults.full_disks(tmp_path / "disk", undisturbed, count=30, seed=4),
        faults.races(tmp_path / "locks", undisturbed, 10),
        faults.races(tmp_path / "lies", undisturbed, 10, "--lying-locks"),
        faults.reading_while_writing(tmp_path / "live", caches=10),
    ]
    print("", faults.HEADER, *tallies, sep="\n")
    assert not [tally for tally in tallies if tally.wrong]
