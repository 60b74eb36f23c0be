import os
import socket
import time

import pytest
from imagefiles import encoded, picture, write

from bottleneck_features.pipeline.datasets import scan as scanning
from bottleneck_features.pipeline.datasets.scan import FOLDER, forget_scans, printable, scan
from bottleneck_features.pipeline.results import write_text


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "pictures"
    for i in range(5):
        write(root / f"{i}.jpg", encoded(picture(i)))
    return root


PATHS = [f"{i}.jpg" for i in range(5)]


def test_a_record_says_what_a_file_is(root, tmp_path):
    write(root / "0.jpg", encoded(picture(size=(70, 50)).convert("CMYK")))
    (record,) = scan(root, ["0.jpg"], tmp_path)
    assert (record.width, record.height, record.mode, record.format) == (70, 50, "CMYK", "JPEG")
    assert record.bytes == (root / "0.jpg").stat().st_size
    assert len(record.sha256) == 64
    assert record.problem == ""


def test_a_file_is_decoded_once_until_it_changes_or_is_forgotten(root, tmp_path, monkeypatch):
    decoded = []

    def counted(content, limit, check=scanning.check):
        decoded.append(1)
        return check(content, limit)

    monkeypatch.setattr(scanning, "check", counted)
    first = scan(root, PATHS, tmp_path)
    assert scan(root, PATHS, tmp_path) == first
    assert len(decoded) == 5
    write(root / "3.jpg", encoded(picture(99)))
    assert scan(root, PATHS, tmp_path)[3].sha256 != first[3].sha256
    assert len(decoded) == 6
    forget_scans(tmp_path)
    scan(root, PATHS, tmp_path)
    assert len(decoded) == 11


def test_a_damaged_memory_is_made_anew(root, tmp_path):
    first = scan(root, PATHS, tmp_path)
    (memory,) = (tmp_path / FOLDER).iterdir()
    for damage in ("{", "[[1]]", '{"a": 1}', ""):
        memory.write_text(damage)
        assert scan(root, PATHS, tmp_path) == first


def test_nothing_that_is_no_file_makes_the_scan_wait(root, tmp_path, monkeypatch):
    os.mkfifo(root / "pipe.jpg")
    (root / "folder.jpg").mkdir()
    (root / "device.jpg").symlink_to("/dev/zero")
    (root / "nowhere.jpg").symlink_to(root / "none")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(root)  # a socket's path must be short
        listener.bind("socket.jpg")
        names = ["pipe.jpg", "folder.jpg", "device.jpg", "nowhere.jpg", "socket.jpg"]
        reasons = [record.problem for record in scan(root, names, tmp_path)]
    for reason, part in zip(
        reasons, ["named pipe", "a folder", "is outside", "link to nothing", "a socket"], strict=True
    ):
        assert part in reason


def test_what_leaves_the_root_is_not_read(root, tmp_path):
    write(tmp_path / "secret.jpg", encoded(picture()))
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "way").symlink_to(tmp_path)
    for record in scan(root, ["link.jpg", "way/secret.jpg", "../secret.jpg", str(tmp_path / "secret.jpg")], tmp_path):
        assert "is outside" in record.problem
        assert record.sha256 == ""
    (root / "inside.jpg").symlink_to(root / "0.jpg")
    assert scan(root, ["inside.jpg"], tmp_path)[0].problem == ""


def test_a_name_that_is_not_utf8_is_a_problem_that_can_be_printed(root, tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    (root / "0.jpg").rename(root / name)
    (record,) = scan(root, [name], tmp_path)
    assert record.problem == "its name is not UTF-8"
    assert printable(record.path) == "caf\\xe9.jpg"


def test_a_file_that_may_not_be_read_is_a_problem_and_is_not_remembered(root, tmp_path, monkeypatch):
    def refused(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refused)  # root may read everything, so the refusal is the system call's
        assert "permission denied" in scan(root, ["0.jpg"], tmp_path)[0].problem
    assert scan(root, ["0.jpg"], tmp_path)[0].problem == ""


@pytest.mark.slow
def test_ten_thousand_small_files_take_under_a_minute_and_500_mb(tmp_path):
    from bottleneck_features.pipeline.results import peak_memory_mib

    contents = [encoded(picture(i)) for i in range(50)]
    for i in range(10_000):
        write(tmp_path / f"{i % 10}" / f"{i}.jpg", contents[i % 50])
    before, start = peak_memory_mib(), time.perf_counter()
    records = scan(tmp_path, [f"{i % 10}/{i}.jpg" for i in range(10_000)], tmp_path)
    assert time.perf_counter() - start < 60
    assert peak_memory_mib() - before < 500
    assert not any(record.problem for record in records)


def test_a_file_that_cannot_be_put_in_its_place_leaves_no_temporary_one(tmp_path):
    (tmp_path / "taken" / "by a folder").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        write_text(tmp_path / "taken", "text")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]
