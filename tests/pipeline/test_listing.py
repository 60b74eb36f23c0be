import os
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imagefiles import encoded, picture, write

from bottleneck_features.pipeline.datasets.listing import natural_key
from bottleneck_features.pipeline.datasets.sources.folder import list_folder
from bottleneck_features.pipeline.datasets.splitting import draw_test, straddling
from bottleneck_features.pipeline.datasets.texts import TEXT, text_array
from bottleneck_features.pipeline.errors import RequestError

JPEG = encoded(picture())


def _paths(listing) -> list[str]:
    return [entry.path for entry in listing.entries]


def test_class_names_are_sorted_as_people_count():
    assert sorted(["class 10", "Class 2", "class 1", "7"], key=natural_key) == ["7", "class 1", "Class 2", "class 10"]


def test_a_folder_gives_its_class_to_everything_below_it(tmp_path):
    for name in ("a/1.jpg", "a/deeper/2.JPG", "ä ö/grüße 3.jpeg", "ä ö/no ending"):
        write(tmp_path / name, JPEG)
    found = {entry.path: entry.label for entry in list_folder(str(tmp_path)).entries}
    assert found == {"a/1.jpg": "a", "a/deeper/2.JPG": "a", "ä ö/grüße 3.jpeg": "ä ö", "ä ö/no ending": "ä ö"}


def test_what_systems_leave_behind_is_ignored(tmp_path):
    for name in (
        "a/1.jpg",
        "a/._1.jpg",
        "a/.DS_Store",
        "a/Thumbs.db",
        "a/desktop.ini",
        "__MACOSX/a/1.jpg",
        ".git/x.jpg",
        "notes.txt",
    ):
        write(tmp_path / name, JPEG)
    listing = list_folder(str(tmp_path))
    assert _paths(listing) == ["a/1.jpg"]
    assert listing.problems == ()


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Train", "validation"), ("training", "valid", "TEST")])
def test_split_folders_are_known_by_their_usual_names(tmp_path, names):
    for name in names:
        write(tmp_path / name / "a" / "1.jpg", JPEG)
    expected = {"train": "train", "training": "train", "test": "test"}
    for entry in list_folder(str(tmp_path)).entries:
        assert entry.split == expected.get(entry.path.split("/")[0].lower(), "validation")


def test_a_class_may_be_called_train(tmp_path):
    for name in ("train/1.jpg", "car/2.jpg"):
        write(tmp_path / name, JPEG)
    assert {(entry.label, entry.split) for entry in list_folder(str(tmp_path)).entries} == {("train", ""), ("car", "")}


def test_images_outside_any_class_and_folders_named_like_images_are_problems(tmp_path):
    for name in ("a/1.jpg", "stray.png", "a/x.jpg/inside.jpg"):
        write(tmp_path / name, JPEG)
    (tmp_path / "a" / "elsewhere").symlink_to("/tmp")
    listing = list_folder(str(tmp_path))
    assert _paths(listing) == ["a/1.jpg"]
    assert {problem.path: problem.reason for problem in listing.problems} == {
        "stray.png": "it is in no class folder",
        "a/x.jpg": "a folder with the name of an image",
        "a/elsewhere": "a symbolic link to a folder, which is not followed",
    }


def _mixed(root):
    for name in ("train/a/1.jpg", "test/a/1.jpg", "extra/1.jpg"):
        write(root / name, JPEG)


def _twice(root):
    for name in ("train/a/1.jpg", "val/a/1.jpg", "valid/a/1.jpg"):
        write(root / name, JPEG)


def _too_high(root):
    for name in ("set/train/a/1.jpg", "set/test/a/1.jpg"):
        write(root / name, JPEG)


def _flat(root):
    for name in ("1.jpg", "2.jpg", "notes.txt"):
        write(root / name, JPEG)


def _too_deep(root):
    for name in ("images/cat/1.jpg", "images/dog/2.jpg", "images/none/x.txt"):
        write(root / name, JPEG)


def _leaving(root):
    write(root / "a" / "1.jpg", JPEG)
    (root / "b").symlink_to("/tmp")


def _not_utf8(root):
    write(root / os.fsdecode(b"\xff") / "1.jpg", JPEG)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "There is no image in"),
        (_mixed, "not both"),
        (_twice, "none twice"),
        (_too_high, "a level too high"),
        (_flat, "holds 2 images, such as '1.jpg', but no folder of a class .*one folder a class is expected"),
        (_too_deep, r"only one class in .*: 'images'. Its 2 folders 'cat', 'dog' .* dataset\.path=/.*/images$"),
        (_leaving, "leaves"),
        (_not_utf8, "not UTF-8"),
    ],
)
def test_a_folder_that_cannot_be_understood_is_refused(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(RequestError, match=message):
        list_folder(str(tmp_path))


def test_no_path_a_file_and_a_missing_folder_are_refused(tmp_path):
    with pytest.raises(RequestError, match=r"dataset\.path is missing"):
        list_folder("")
    with pytest.raises(RequestError, match="archives are not unpacked"):
        list_folder(str(write(tmp_path / "x.zip", b"PK")))
    with pytest.raises(RequestError, match="There is no folder"):
        list_folder(str(tmp_path / "none"))


def test_a_regular_expression_names_the_groups(tmp_path):
    for name in ("a/cat7_1.jpg", "a/cat7_2.jpg", "b/dog1_1.jpg"):
        write(tmp_path / name, JPEG)
    assert [entry.group for entry in list_folder(str(tmp_path), r"([a-z]+\d+)_").entries] == ["cat7", "cat7", "dog1"]
    with pytest.raises(RequestError, match=r"finds nothing in 'a/cat7_1.jpg'"):
        list_folder(str(tmp_path), r"bird")
    with pytest.raises(RequestError, match="no regular expression"):
        list_folder(str(tmp_path), "(")


counts = st.lists(st.integers(2, 30), min_size=2, max_size=5)


@settings(deadline=None)  # the first example imports scikit-learn
@given(counts, st.floats(0.05, 0.6))
def test_a_drawn_test_split_has_every_class_on_both_sides_and_is_the_same_every_time(counts, fraction):
    labels = np.repeat(np.arange(len(counts)), counts)
    names, nobody = tuple(map(str, range(len(counts)))), np.empty(0, TEXT)
    train, test = draw_test(labels, names, nobody, fraction)
    for once, again in zip((train, test), draw_test(labels, names, nobody, fraction), strict=True):
        np.testing.assert_array_equal(once, again)
    assert sorted([*train, *test]) == list(range(len(labels)))
    assert set(labels[train]) == set(labels[test]) == set(labels)
    for label, drawn in Counter(labels[test].tolist()).items():
        assert abs(drawn - fraction * counts[label]) <= 1


@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=8), min_size=2, max_size=4), st.floats(0.1, 0.5))
def test_a_group_never_straddles(sizes, fraction):
    members = [
        (label, f"{label}-{group}")
        for label, groups in enumerate(sizes)
        for group, size in enumerate(groups)
        for _ in range(size)
    ]
    labels, groups = np.array([label for label, _ in members]), text_array(group for _, group in members)
    try:
        train, test = draw_test(labels, tuple(map(str, range(len(sizes)))), groups, fraction)
    except RequestError:
        return  # too few groups for both sides, and said so
    assert straddling({"train": groups[train], "test": groups[test]}) == 0
    assert set(labels[train]) == set(labels[test])


def test_groups_in_several_splits_are_counted():
    assert (
        straddling(
            {"train": text_array(["a", "b", "b"]), "test": text_array(["b", "c", "a"]), "validation": text_array([])}
        )
        == 2
    )


def test_groups_too_few_for_the_share_are_refused_in_a_sentence():
    groups = text_array(["a0", "a1", "b0", "b1"])
    with pytest.raises(RequestError, match="cannot give every class an image"):
        draw_test(np.array([0, 0, 1, 1]), ("a", "b"), groups, 0.25)


def test_a_relative_path_is_named_with_what_it_stands_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match=f"'d/x', which is '{tmp_path}/d/x'"):
        list_folder("d/x")
