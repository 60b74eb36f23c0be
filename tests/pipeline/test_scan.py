import hashlib
import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from imagefiles import encoded, picture, write

from bottleneck_features.pipeline.datasets import scan_memory, scanning
from bottleneck_features.pipeline.datasets.pixels.resizing import Resizing
from bottleneck_features.pipeline.datasets.scan_memory import SCAN_FOLDER, SCANS_KEPT, ScanMemory, forget_scans
from bottleneck_features.pipeline.datasets.scanned import ScanResult
from bottleneck_features.pipeline.datasets.scanning import scan_files
from bottleneck_features.pipeline.results import write_text


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "pictures"
    for i in range(5):
        write(root / f"{i}.jpg", encoded(picture(i)))
    return root


PATHS = [f"{i}.jpg" for i in range(5)]
SMALL = Resizing((16, 16))


def _hashes(scan: ScanResult) -> list[str]:
    return [sha256.tobytes().hex() for sha256 in scan.images["sha256"]]


def test_a_scan_says_what_a_file_is(root, tmp_path):
    write(root / "0.jpg", encoded(picture(size=(70, 50)).convert("CMYK")))
    found = scan_files(root, ["0.jpg"], tmp_path, SMALL)
    content = (root / "0.jpg").read_bytes()
    assert found.ids.tolist() == ["0.jpg"]
    assert found.images[["width", "height", "size"]].tolist() == [(70, 50, len(content))]
    assert found.kinds.tolist() == [b"JPEG CMYK"]
    assert _hashes(found) == [hashlib.sha256(content).hexdigest()]
    assert not found.problems


def test_a_file_is_decoded_once_until_it_changes_or_is_forgotten(root, tmp_path, monkeypatch):
    decoded = []

    def counted(*asked, check=scanning.check_and_load):
        decoded.append(1)
        return check(*asked)

    monkeypatch.setattr(scanning, "check_and_load", counted)
    first = _hashes(scan_files(root, PATHS, tmp_path, SMALL))
    assert _hashes(scan_files(root, PATHS, tmp_path, SMALL)) == first
    assert len(decoded) == 5
    write(root / "3.jpg", encoded(picture(99)))
    assert _hashes(scan_files(root, PATHS, tmp_path, SMALL))[3] != first[3]
    assert len(decoded) == 6
    forget_scans(tmp_path)
    scan_files(root, PATHS, tmp_path, SMALL)
    assert len(decoded) == 11


def test_a_file_exchanged_for_another_of_its_size_and_time_is_looked_at_again(root, tmp_path, monkeypatch):
    before, times = _hashes(scan_files(root, PATHS, tmp_path, SMALL)), (root / "0.jpg").stat()
    content = bytearray((root / "0.jpg").read_bytes())
    content[-20] ^= 1
    (root / "0.jpg").write_bytes(bytes(content))
    os.utime(root / "0.jpg", ns=(times.st_atime_ns, times.st_mtime_ns))
    after = _hashes(scan_files(root, PATHS, tmp_path, SMALL))
    assert [one != other for one, other in zip(before, after, strict=True)] == [path == "0.jpg" for path in PATHS]
    (root / "1.jpg").touch()
    monkeypatch.setattr(scanning, "check_and_load", None)  # the same bytes are not decoded again
    assert _hashes(scan_files(root, PATHS, tmp_path, SMALL)) == after


def test_a_damaged_memory_is_made_anew(root, tmp_path):
    first = _hashes(scan_files(root, PATHS, tmp_path, SMALL))
    (memory,) = (tmp_path / SCAN_FOLDER).rglob("*.npz")
    whole = memory.read_bytes()
    for damage in (b"{", b"", b"PK", whole[:-100], whole[:200] + bytes(100) + whole[300:]):
        memory.write_bytes(damage)
        assert _hashes(scan_files(root, PATHS, tmp_path, SMALL)) == first
        assert len(memory.read_bytes()) == len(whole)


def test_nothing_that_is_no_file_makes_the_scan_wait(root, tmp_path, monkeypatch):
    os.mkfifo(root / "pipe.jpg")
    (root / "folder.jpg").mkdir()
    (root / "device.jpg").symlink_to("/dev/zero")
    (root / "nowhere.jpg").symlink_to(root / "none")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(root)  # a socket's path must be short
        listener.bind("socket.jpg")
        names = ["pipe.jpg", "folder.jpg", "device.jpg", "nowhere.jpg", "socket.jpg"]
        problems = scan_files(root, names, tmp_path, SMALL).problems
        reasons = [problems[place] for place in range(len(names))]
    for reason, part in zip(
        reasons, ["named pipe", "a folder", "a device", "link to nothing", "a socket"], strict=True
    ):
        assert part in reason


def test_a_path_that_leaves_the_root_is_not_read_and_links_are_followed_unless_told_otherwise(root, tmp_path):
    write(tmp_path / "elsewhere.jpg", encoded(picture()))
    (root / "link.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (root / "way").symlink_to(tmp_path)
    outside = ["../elsewhere.jpg", str(tmp_path / "elsewhere.jpg"), "x/../../elsewhere.jpg"]
    found = scan_files(root, outside, tmp_path, SMALL)
    assert ["is outside" in found.problems[place] for place in range(3)] == [True] * 3
    assert not found.images["sha256"].any()
    linked = ["link.jpg", "way/elsewhere.jpg"]
    assert not scan_files(root, linked, tmp_path, SMALL).problems
    refused = scan_files(root, [*linked, "0.jpg"], tmp_path, SMALL, follow_links=False).problems
    assert sorted(refused) == [0, 1]
    assert all("link" in reason and "dataset.follow_links" in reason for reason in refused.values())


def test_a_name_that_is_not_utf8_is_a_problem_that_can_be_printed(root, tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    (root / "0.jpg").rename(root / name)
    found = scan_files(root, [name], tmp_path, SMALL)
    assert found.problems == {0: "its name is not UTF-8"}
    assert found.ids.tolist() == ["caf\\xe9.jpg"]


def test_a_file_that_may_not_be_read_is_a_problem_and_is_not_remembered(root, tmp_path, monkeypatch):
    def refused(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refused)  # root may read everything, so the refusal is the system call's
        assert "permission denied" in scan_files(root, ["0.jpg"], tmp_path, SMALL).problems[0]
    assert not scan_files(root, ["0.jpg"], tmp_path, SMALL).problems


@pytest.mark.slow
def test_ten_thousand_small_files_take_under_a_minute_and_500_mb(tmp_path):
    from bottleneck_features.pipeline.results import peak_memory_mib

    contents = [encoded(picture(i)) for i in range(50)]
    for i in range(10_000):
        write(tmp_path / f"{i % 10}" / f"{i}.jpg", contents[i % 50])
    before, start = peak_memory_mib(), time.perf_counter()
    found = scan_files(tmp_path, [f"{i % 10}/{i}.jpg" for i in range(10_000)], tmp_path, SMALL)
    assert time.perf_counter() - start < 60
    assert peak_memory_mib() - before < 500
    assert not found.problems


def test_a_file_that_cannot_be_put_in_its_place_leaves_no_temporary_one(tmp_path):
    (tmp_path / "taken" / "by a folder").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        write_text(tmp_path / "taken", "text")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


def test_files_looked_at_before_an_interruption_are_remembered(root, tmp_path, monkeypatch):
    decoded = []

    def interrupted(*asked, check=scanning.check_and_load):
        decoded.append(1)
        if len(decoded) == 4:
            raise KeyboardInterrupt
        return check(*asked)

    monkeypatch.setattr(scanning, "decoding_threads", lambda: 1)
    monkeypatch.setattr(scanning, "check_and_load", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scan_files(root, PATHS, tmp_path, SMALL)
    before = len(decoded)
    assert not scan_files(root, PATHS, tmp_path, SMALL).problems
    assert len(decoded) - before < 5


def test_files_that_are_gone_are_forgotten_and_those_another_table_names_are_not(root, tmp_path):
    scan_files(root, PATHS, tmp_path, SMALL)
    (root / "4.jpg").unlink()
    write(root / "5.jpg", encoded(picture(5)))
    scan_files(root, ["0.jpg", "5.jpg"], tmp_path, SMALL)
    (memory,) = (tmp_path / SCAN_FOLDER).rglob("*.npz")
    with np.load(memory) as arrays:
        assert sorted(arrays["ids"].tolist()) == [f"{i}.jpg".encode() for i in (0, 1, 2, 3, 5)]


def _used(home: Path, number: int) -> bool:
    """Use the memory of a data set, and say whether it was still there."""
    memory = ScanMemory(home, "a data set", number)
    known = memory.recall("x", lambda arrays: arrays["x"].item()) == number
    if not known:
        memory.remember("x", {"x": np.array(number)})
    return known


def test_only_the_data_sets_used_last_are_remembered(tmp_path):
    folder = tmp_path / SCAN_FOLDER
    folder.mkdir()
    (folder / "of an earlier release.json").write_text("[]")
    uses = [*range(SCANS_KEPT), 0, SCANS_KEPT, SCANS_KEPT + 1]
    for seconds, number in enumerate(uses):
        for path in folder.iterdir():  # a clock that ticks before each use
            if path.stat().st_mtime > len(uses):
                os.utime(path, (seconds, seconds))
        _used(tmp_path, number)
    assert len(list(folder.iterdir())) == SCANS_KEPT
    assert [_used(tmp_path, number) for number in (0, SCANS_KEPT, SCANS_KEPT + 1, 3, 2)] == [
        True,
        True,
        True,
        True,
        False,
    ]


def test_an_archive_that_was_not_used_for_long_is_forgotten_with_its_data_set_still_in_use(tmp_path):
    memory = ScanMemory(tmp_path, "a data set")
    for name in ("used", "unused"):
        memory.remember(name, {"x": np.array(1)})
        long_ago = time.time() - (scan_memory.UNUSED_DAYS + 1) * 86400
    for path in (tmp_path / SCAN_FOLDER).rglob("*.npz"):
        os.utime(path, (long_ago, long_ago))
    assert memory.recall("used", len) == 1
    again = ScanMemory(tmp_path, "a data set")
    assert again.recall("used", len) == 1
    assert again.recall("unused", len) is None


def test_a_memory_that_another_process_forgets_meanwhile_is_no_failure(tmp_path, monkeypatch):
    memory = ScanMemory(tmp_path, "a data set")
    memory.remember("x", {"x": np.array(1)})
    replace = Path.replace

    def removed(temporary, target):
        forget_scans(tmp_path)
        return replace(temporary, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", removed)
        memory.remember("x", {"x": np.array(2)})
    assert memory.recall("x", len) is None
