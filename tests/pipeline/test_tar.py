import csv
import io
import json
import os
import platform
import re
import tarfile
from functools import partial
from pathlib import Path

import hostile
import numpy as np
import pytest
from commandline import invoke
from imagefiles import COLOURS, class_folders, encoded, picture, write
from packing import LITE, image_files, opened, tar_of, tar_of_folder, web_dataset

from bottleneck_features.pipeline.datasets import open_dataset, scanning
from bottleneck_features.pipeline.datasets.pixels.file_kinds import ENDINGS
from bottleneck_features.pipeline.errors import PipelineError, RequestError
from bottleneck_features.pipeline.experiment_file import load_experiment
from bottleneck_features.pipeline.extraction.identity import experiment_identity

NAMES = tuple(COLOURS)
_open = partial(opened, source="tar")
JPEG = encoded(picture())


def _quarantined(home: Path) -> dict[str, str]:
    with (home / "runs" / "natural-images" / "quarantine.csv").open(newline="", encoding="utf-8") as stream:
        return {row["path"]: row["reason"] for row in csv.DictReader(stream)}


@pytest.fixture
def root(tmp_path) -> Path:
    return class_folders(tmp_path / "pictures")


@pytest.fixture
def split_root(tmp_path) -> Path:
    for split in ("train", "val", "test"):
        class_folders(tmp_path / "split" / split, 4)
    return tmp_path / "split"


def test_a_packed_folder_is_the_same_data_set_with_the_same_cache(root, split_root, tmp_path):
    for folder in (root, split_root):
        archive = tar_of_folder(folder, tmp_path / "packed" / f"{folder.name}.tar")
        identities, pixels = [], []
        for source, path in (("folder", folder), ("tar", archive)):
            experiment = load_experiment("natural-images", (f"dataset.source={source}", f"dataset.path={path}", *LITE))
            dataset = open_dataset(experiment, tmp_path)
            identities.append(experiment_identity(experiment, dataset))
            pixels.append({split: dataset.images(split, np.arange(len(s))) for split, s in dataset.splits.items()})
        assert identities[0] == identities[1]
        for split, images in pixels[0].items():
            np.testing.assert_array_equal(images, pixels[1][split])


def test_leading_folders_that_all_images_share_say_nothing(split_root, tmp_path):
    files = [(f"./data/{file.relative_to(split_root)}", file.read_bytes()) for file in image_files(split_root)]
    dataset = _open(tar_of(tmp_path / "all.tar", files), tmp_path)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 12, "validation": 12, "test": 12,
    }  # fmt: skip
    assert dataset.class_names == NAMES
    assert dataset.splits["train"].ids[0] == "data/train/blue/blue 0.jpg"


def test_shards_say_their_split_by_their_names_and_the_label_by_a_file_beside_the_image(split_root, tmp_path):
    for split in ("train", "val", "test"):
        web_dataset(split_root / split, tmp_path / "shards", 5)
    dataset = _open(tmp_path / "shards", tmp_path)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {
        "train": 12, "validation": 12, "test": 12,
    }  # fmt: skip
    assert dataset.class_names == ("0", "1", "2")
    images = dataset.images("validation", np.arange(12))
    for label, image in zip(dataset.splits["validation"].labels, images, strict=True):
        nearest = min(NAMES, key=lambda name, image=image: np.abs(image.mean((0, 1)) - COLOURS[name]).sum())
        assert NAMES.index(nearest) == label


def test_the_shards_repeat_their_keys_and_no_id_is_given_twice(split_root, tmp_path):
    for split in ("train", "val"):
        web_dataset(split_root / split, tmp_path / "shards", 100)
    ids = _open(tmp_path / "shards", tmp_path).splits["train"].ids
    assert ids[0] == "train-0000.tar/000000.jpg"


@pytest.mark.parametrize(
    ("beside", "overrides"),
    [
        (lambda name: [("txt", f"{name}\n".encode())], ()),
        (lambda name: [("json", json.dumps({"label": name, "w": 3}).encode())], ()),
        (lambda name: [("json", json.dumps({"kind": name}).encode())], ("dataset.label_column=kind",)),
        (lambda name: [("json", b"{}"), ("cls", name.encode()), ("txt", b"a caption")], ()),
    ],
)
def test_a_label_is_read_from_the_note_that_the_archives_have(tmp_path, beside, overrides):
    members = []
    for number in range(12):
        name = NAMES[number % 3]
        members += [(f"{number:03d}.{ending}", content) for ending, content in beside(name)]
        members.append((f"{number:03d}.jpg", encoded(picture(number, COLOURS[name]))))
    dataset = _open(tar_of(tmp_path / "x.tar", members), tmp_path, *overrides, "dataset.test_fraction=0")
    assert dataset.class_names == NAMES
    assert dataset.splits["train"].labels.tolist() == [0, 1, 2] * 4


def test_hostile_members_are_quarantined_with_the_reason_a_file_would_have(root, tmp_path):
    bad = {name: made for name, made in hostile.CONTENTS.items() if Path(name).suffix in ENDINGS}
    files = [(file.relative_to(root).as_posix(), file.read_bytes()) for file in image_files(root)]
    files[7:7] = [(f"green/{name}", content) for name, (content, _) in bad.items()]
    dataset = _open(tar_of(tmp_path / "x.tar", files), tmp_path, "dataset.error_limit=1")
    found = _quarantined(tmp_path)
    assert set(found) == {f"green/{name}" for name in bad}
    for name, (_, reason) in bad.items():
        assert reason in found[f"green/{name}"]
        assert found[f"green/{name}"]
    assert sum(map(len, dataset.splits.values())) == 30
    assert f"{len(bad)} of {len(bad) + 30} images cannot be used" in dataset.notices[0]


def test_links_devices_and_repeated_names_in_an_archive_are_quarantined(root, tmp_path):
    path = tar_of_folder(root, tmp_path / "x.tar")
    with tarfile.open(path, "a") as archive:
        for name, kind in (("red/link.jpg", tarfile.SYMTYPE), ("red/pipe.jpg", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "red 0.jpg"
            archive.addfile(member)
        member = tarfile.TarInfo("red/red 0.jpg")
        member.size = len(JPEG)
        archive.addfile(member, io.BytesIO(JPEG))
        archive.addfile(tarfile.TarInfo("../../outside.jpg"))
        member = tarfile.TarInfo("alone.jpg")
        member.size = len(JPEG)
        archive.addfile(member, io.BytesIO(JPEG))
    dataset = _open(path, tmp_path, "dataset.error_limit=1")
    reasons = _quarantined(tmp_path)
    assert "link or a device" in reasons["red/link.jpg"]
    assert "link or a device" in reasons["red/pipe.jpg"]
    assert reasons["red/red 0.jpg"] == "its id is that of an earlier image"
    assert reasons["../../outside.jpg"] == "an empty file"
    assert reasons["alone.jpg"] == "it is in no class folder"
    assert sum(map(len, dataset.splits.values())) == 30


@pytest.mark.parametrize("damage", ["cut in an image", "cut between images", "header", "end mark"])
def test_a_damaged_archive_never_loses_images_without_a_word(root, tmp_path, damage):
    path = tar_of_folder(root, tmp_path / "x.tar")
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    if damage == "cut in an image":
        content = content[: members[20].offset_data + 100]
    elif damage == "cut between images":
        content = content[: members[20].offset]
    elif damage == "header":
        content[members[20].offset + 10] ^= 0xFF
    else:
        content = content[: members[-1].offset_data + 512 * -(-members[-1].size // 512)]
    path.write_bytes(content)
    dataset = _open(path, tmp_path, "dataset.error_limit=1", "dataset.test_fraction=0")
    reasons = _quarantined(tmp_path)
    assert any("x.tar: what follows" in name and "the archive" in why for name, why in reasons.items())
    assert sum(map(len, dataset.splits.values())) == (30 if damage == "end mark" else 20)


def test_an_archive_with_splits_below_a_shared_folder_may_be_cut_off(split_root, tmp_path):
    files = [(f"data/{file.relative_to(split_root)}", file.read_bytes()) for file in image_files(split_root)]
    path = tar_of(tmp_path / "x.tar", files)
    with tarfile.open(path) as archive:
        end = archive.getmembers()[30].offset
    path.write_bytes(path.read_bytes()[:end])
    dataset = _open(path, tmp_path, "dataset.error_limit=1")
    assert sum(map(len, dataset.splits.values())) == 30
    assert "x.tar: what follows" in _quarantined(tmp_path)


def test_a_sound_archive_is_not_called_damaged(root, tmp_path):
    assert _open(tar_of_folder(root, tmp_path / "x.tar"), tmp_path, "dataset.test_fraction=0").notices == ()


@pytest.mark.parametrize("what", ["other picture", "gone", "shorter"])
def test_an_archive_that_changes_after_the_scan_stops_the_run_and_is_read_again_by_the_next(root, tmp_path, what):
    path = tar_of_folder(root, tmp_path / "x.tar")
    dataset = _open(path, tmp_path)
    content = path.read_bytes()
    if what == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:2000] if what == "shorter" else content[:700] + bytes(100) + content[800:])
    with pytest.raises(PipelineError, match="is no longer what it was at the start"):
        dataset.images("train", np.arange(len(dataset.splits["train"])))
    if what == "other picture":
        assert "blue/blue 0.jpg" not in _open(path, tmp_path, "dataset.error_limit=1").splits["train"].ids.tolist()


def test_an_archive_is_read_once_and_again_when_another_has_its_size_and_time(root, tmp_path, monkeypatch):
    path = tar_of_folder(root, tmp_path / "x.tar")
    first = _open(path, tmp_path)
    with monkeypatch.context() as unread:
        unread.setattr(scanning, "check_and_load", None)
        assert _open(path, tmp_path).fingerprint("train") == first.fingerprint("train")
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(RequestError, match="No training image is usable"):
        _open(path, tmp_path, "dataset.error_limit=1")


@pytest.mark.parametrize("content", [b"", b"PK", b"damaged"])
def test_a_damaged_memory_of_an_archive_is_made_again(root, tmp_path, content):
    path = tar_of_folder(root, tmp_path / "x.tar")
    first = _open(path, tmp_path)
    (memory,) = (tmp_path / "scans").rglob("*.npz")
    whole = memory.read_bytes()
    memory.write_bytes(content)
    assert _open(path, tmp_path).fingerprint("train") == first.fingerprint("train")
    assert len(memory.read_bytes()) == len(whole)


def test_what_is_remembered_is_written_under_the_name_of_the_host_and_the_process(root, tmp_path, monkeypatch):
    names, replace = [], Path.replace

    def watched(temporary: Path, target: Path) -> Path:
        names.append(temporary.name)
        return replace(temporary, target)

    monkeypatch.setattr(Path, "replace", watched)
    _open(tar_of_folder(root, tmp_path / "x.tar"), tmp_path)
    (name,) = (name for name in names if ".npz~" in name)
    assert re.search(rf"\.npz~{re.escape(platform.node())}~{os.getpid()}~\w+\.tmp$", name)


def test_a_pattern_names_shards_and_a_missing_one_is_said(root, tmp_path):
    web_dataset(root, tmp_path / "shards", 10)
    for pattern in ("pictures-{0000..0002}.tar", "pictures-{0000,0001,0002}.tar", "*.tar", ""):
        dataset = _open(f"{tmp_path / 'shards'}/{pattern}", tmp_path, "dataset.test_fraction=0")
        assert len(dataset.splits["train"]) == 30
    with pytest.raises(RequestError, match=r"no file '.*pictures-0003\.tar'"):
        _open(f"{tmp_path}/shards/pictures-{{0000..0003}}.tar", tmp_path)


def test_a_group_is_found_in_the_path(root, tmp_path):
    dataset = _open(
        tar_of_folder(root, tmp_path / "x.tar"), tmp_path, r"dataset.group=(\d)\.", "dataset.test_fraction=0.2"
    )
    assert set(dataset.groups["train"]) & set(dataset.groups["test"]) == set()
    with pytest.raises(RequestError, match="finds nothing"):
        _open(tmp_path / "x.tar", tmp_path, "dataset.group=nobody")


def _two_layouts(folder: Path) -> Path:
    return tar_of(
        folder / "x.tar", [(f"{name}/a/{i}.jpg", JPEG) for name in ("train", "test", "extra") for i in range(3)]
    )


def _torn_name(folder: Path) -> Path:
    return tar_of(folder / "train-of-test.tar", [("a/0.jpg", JPEG)])


def _some_silent(folder: Path) -> Path:
    tar_of(folder / "data" / "extra.tar", [("a/0.jpg", JPEG)])
    return tar_of(folder / "data" / "train-0.tar", [("a/0.jpg", JPEG)]).parent


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda folder: "", RequestError, r"dataset\.path is missing: give a \.tar file"),
        (lambda folder: folder / "none.tar", RequestError, "There is no file or folder '.*none.tar'"),
        (lambda folder: folder, RequestError, r"There is no \.tar file at"),
        (lambda folder: folder / "x*.tar", RequestError, r"There is no \.tar file at"),
        (
            lambda folder: write(folder / "x.tar", b"a cat" * 999),
            PipelineError,
            "'x.tar' cannot be read as a tar archive",
        ),
        (lambda folder: write(folder / "x.tar", b""), PipelineError, "'x.tar' cannot be read as a tar archive"),
        (lambda folder: write(folder / "d" / "x.tar.gz", b"\x1f\x8b").parent, RequestError, "is compressed"),
        (lambda folder: tar_of(folder / "x.tar", []), RequestError, "No training image is usable"),
        (_two_layouts, RequestError, r"'train' .*'test' .*beside them others with images: 'extra'"),
        (_torn_name, RequestError, "says more than one split"),
        (_some_silent, RequestError, "others do not, such as 'extra.tar'"),
    ],
)
def test_what_cannot_be_a_data_set_is_refused_in_one_line(tmp_path, make, error, message):
    with pytest.raises(error, match=message) as refused:
        _open(make(tmp_path), tmp_path)
    assert "\n" not in str(refused.value)


def test_inspect_says_of_an_archive_what_it_says_of_the_folder(root, tmp_path):
    found = []
    for source, path in (("folder", root), ("tar", tar_of_folder(root, tmp_path / "x.tar"))):
        settings = (f"dataset.source={source}", f"dataset.path={path}", *LITE)
        words = [word for setting in settings for word in ("--set", setting)]
        done = invoke("inspect", "-e", "natural-images", *words, "--json", home=tmp_path / source)
        assert done.exit_code == 0, done.output
        found.append(json.loads(done.stdout))
    assert found[0]["images"] == found[1]["images"]
    assert found[0]["shortcuts"] == found[1]["shortcuts"]


def test_a_column_of_a_table_does_not_belong_to_an_archive():
    with pytest.raises(RequestError, match="split_column is for source csv or parquet, not for tar"):
        load_experiment("natural-images", ("dataset.source=tar", "dataset.split_column=x"))
