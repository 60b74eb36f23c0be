"""Which members of a tar archive belong together, and what their notes and their folders say."""

import csv
import itertools
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagefiles import COLOURS, class_folders, encoded, picture
from packing import image_files, opened, tar_of, tar_of_folder, web_dataset

from bottleneck_features.pipeline.datasets.layout.sample_names import name_parting
from bottleneck_features.pipeline.errors import PipelineError

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


def test_a_sample_of_several_images_needs_a_choice(tmp_path):
    members = []
    for number in range(12):
        name = NAMES[number % 3]
        members += [
            (f"{number}.cls", name.encode()),
            (f"{number}.jpg", encoded(picture(number, COLOURS[name]))),
            (f"{number}.seg.png", encoded(picture(number), "PNG")),
        ]
    path = tar_of(tmp_path / "x.tar", members)
    with pytest.raises(PipelineError, match="its sample has several images.*dataset.image_column=jpg"):
        _open(path, tmp_path)
    dataset = _open(path, tmp_path, "dataset.image_column=jpg", "dataset.test_fraction=0")
    assert len(dataset.splits["train"]) == 12
    assert dataset.notices == ()


def test_an_image_without_its_note_has_no_label(tmp_path):
    members = []
    for number in range(12):
        members.append((f"{number}.jpg", encoded(picture(number, COLOURS[NAMES[number % 3]]))))
        members += [(f"{number}.cls", NAMES[number % 3].encode())] if number else []
    dataset = _open(tar_of(tmp_path / "x.tar", members), tmp_path)
    assert _quarantined(tmp_path) == {"0.jpg": "it has no label"}
    assert "1 images have no label" in dataset.notices[0]


def _dotted(names: Iterable[str], *endings: str) -> list[tuple[str, bytes]]:
    """Members of one image for each name, with a note of its class; `endings` of the images."""
    members = []
    for number, name in enumerate(names):
        colour = NAMES[number % 3]
        members += [(f"{name}.{ending}", encoded(picture(number, COLOURS[colour]))) for ending in endings]
        members.append((f"{name}.cls", colour.encode()))
    return members


@pytest.mark.parametrize("name", ["img.v1.{:04d}", "v2.0/2021.05.{:02d}", "cat.{}", "a.b/{}", "Mr. X. {}"])
def test_dots_in_names_make_no_sample_of_several_images(tmp_path, name):
    members = _dotted((name.format(number) for number in range(12)), "jpg")
    dataset = _open(tar_of(tmp_path / "x.tar", members), tmp_path, "dataset.test_fraction=0")
    assert dataset.class_names == NAMES
    assert len(dataset.splits["train"]) == 12
    assert dataset.notices == ()
    missing = _open(tar_of(tmp_path / "y.tar", members[:-1]), tmp_path, "dataset.test_fraction=0")
    assert len(missing.splits["train"]) == 11
    assert "1 images have no label" in missing.notices[0]


@given(
    st.lists(st.text("ab.1", min_size=1, max_size=6).map(lambda name: f"x{name}x"), min_size=1, max_size=8, unique=True)
)
def test_an_image_with_a_note_of_its_own_is_a_sample_of_its_own_whatever_dots_its_name_has(names):
    members = [f"{name}.{ending}" for name in sorted(names) for ending in ("cls", "jpg")]
    parted = name_parting(members)
    samples = [list(sample) for _, sample in itertools.groupby(members, lambda name: parted(name)[0])]
    assert [len(sample) for sample in samples] == [2] * len(names)


@pytest.mark.parametrize("count", [1, 2, 12])
def test_two_views_of_each_sample_stay_one_sample(tmp_path, count):
    members = _dotted((f"{number:03d}" for number in range(count)), "left.jpg", "right.jpg")
    archive = tar_of(tmp_path / "x.tar", members)
    with pytest.raises(PipelineError, match=r"its sample has several images.*dataset\.image_column=left\.jpg"):
        _open(archive, tmp_path)
    if count > 6:
        assert (
            len(_open(archive, tmp_path, "dataset.image_column=left.jpg", "dataset.test_fraction=0").splits["train"])
            == 12
        )


def test_an_archive_of_test_images_in_no_class_folder_has_no_labels(root, tmp_path):
    tar_of_folder(root, tmp_path / "shards" / "train.tar")
    tar_of(tmp_path / "shards" / "test.tar", [(f"{number}.jpg", JPEG) for number in range(5)])
    dataset = _open(tmp_path / "shards", tmp_path)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 30}
    assert set(_quarantined(tmp_path).values()) == {"it has no label"}


def test_shards_in_a_linked_folder_are_found(root, tmp_path):
    web_dataset(root, tmp_path / "store", 10)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shards").symlink_to("../store")
    assert len(_open(tmp_path / "data", tmp_path, "dataset.test_fraction=0").splits["train"]) == 30


def test_a_class_level_takes_the_folders_though_there_are_notes(tmp_path):
    members = _dotted((f"set/{kind}/{number}" for kind in ("cat", "dog") for number in range(6)), "jpg")
    archive = tar_of(tmp_path / "x.tar", members)
    assert _open(archive, tmp_path, "dataset.test_fraction=0").class_names == NAMES
    assert _open(archive, tmp_path, "dataset.class_level=2", "dataset.test_fraction=0").class_names == ("cat", "dog")


def test_members_that_are_neither_images_nor_notes_are_counted(root, tmp_path):
    files = [(file.relative_to(root).as_posix(), file.read_bytes()) for file in image_files(root)]
    files += [(name.replace(".jpg", ".xml"), b"<annotation/>") for name, _ in files[:20]]
    files += [("red/boxes.npy", b"x"), ("README.md", b"x")]
    dataset = _open(tar_of(tmp_path / "x.tar", files), tmp_path, "dataset.test_fraction=0")
    assert dataset.notices == ("Data: 21 files that come beside images are ignored: .xml 20, .npy 1.",)
    assert _open(tmp_path / "x.tar", tmp_path, "dataset.test_fraction=0").notices == dataset.notices


def test_texts_that_are_all_different_are_captions_and_no_labels(root, tmp_path):
    members = []
    for number, file in enumerate(image_files(root)):
        name = file.relative_to(root).as_posix()
        members += [(name, file.read_bytes()), (name.replace(".jpg", ".txt"), f"0 0.5 0.{number}".encode())]
    dataset = _open(tar_of(tmp_path / "x.tar", members), tmp_path)
    assert dataset.class_names == NAMES
    assert "the .txt files beside 30 images are ignored: with 30 different texts" in dataset.notices[0]


def test_notes_say_the_labels_and_folders_the_splits_though_no_folder_is_a_class(tmp_path):
    members = _dotted((f"{split}/{number}" for split in ("train", "val") for number in range(12)), "jpg")
    dataset = _open(tar_of(tmp_path / "x.tar", members), tmp_path)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 12, "validation": 12}
    folds = _dotted((f"fold{fold}/{kind}/{number}" for fold in (1, 2) for kind in "ab" for number in range(6)), "jpg")
    assert _open(tar_of(tmp_path / "y.tar", folds), tmp_path, "dataset.test_fraction=0").class_names == NAMES
    asked = _open(tmp_path / "y.tar", tmp_path, "dataset.splits.train=fold1/a", "dataset.splits.test=fold2")
    assert {split: len(samples) for split, samples in asked.splits.items()} == {"train": 6, "test": 12}
    assert any("passed over: 'fold1/b' (6 files)" in notice for notice in asked.notices)
