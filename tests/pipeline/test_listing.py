import os
from pathlib import Path

import pytest
from imagefiles import encoded, picture, write

from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.image_dataset import path_in_class
from bottleneck_features.pipeline.datasets.listing import natural_key
from bottleneck_features.pipeline.datasets.sources.folder import list_folder
from bottleneck_features.pipeline.datasets.splitting import straddling
from bottleneck_features.pipeline.datasets.texts import text_array
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.use.picture_files import listed

JPEG = encoded(picture())


def _paths(listing) -> list[str]:
    return [entry.path for entry in listing.entries]


def test_class_names_are_sorted_as_people_count():
    assert sorted(["class 10", "Class 2", "class 1", "7"], key=natural_key) == ["7", "class 1", "Class 2", "class 10"]


def _folder(root, **settings):
    return list_folder(DatasetSettings("folder", str(root), **settings))


def test_a_folder_gives_its_class_to_everything_below_it(tmp_path):
    for name in ("a/1.jpg", "a/deeper/2.JPG", "ä ö/grüße 3.jpeg", "ä ö/no ending"):
        write(tmp_path / name, JPEG)
    found = {entry.path: entry.label for entry in _folder(tmp_path).entries}
    assert found == {"a/1.jpg": "a", "a/deeper/2.JPG": "a", "ä ö/grüße 3.jpeg": "ä ö", "ä ö/no ending": "ä ö"}


def test_what_systems_leave_behind_is_ignored(tmp_path):
    for name in (
        "a/1.jpg",
        "a/._1.jpg",
        "a/.DS_Store",
        "a/Thumbs.db",
        "a/desktop.ini",
        "__MACOSX/a/1.jpg",
        "a/@eaDir/1.jpg/SYNOFILE_THUMB_M.png",
        "$RECYCLE.BIN/1.jpg",
        "System Volume Information/1.jpg",
        ".git/x.jpg",
        "notes.txt",
    ):
        write(tmp_path / name, JPEG)
    listing = _folder(tmp_path)
    assert _paths(listing) == ["a/1.jpg"]
    assert (listing.problems, listing.notices) == ((), ())


def test_images_outside_any_class_and_folders_named_like_images_are_problems(tmp_path):
    for name in ("a/1.jpg", "stray.png", "a/x.jpg/inside.jpg"):
        write(tmp_path / name, JPEG)
    listing = _folder(tmp_path)
    assert _paths(listing) == ["a/1.jpg"]
    assert {problem.path: problem.reason for problem in listing.problems} == {
        "stray.png": "it is in no class folder",
        "a/x.jpg": "a folder with the name of an image",
    }
    assert listing.unit == "files and folders"


def test_files_that_come_beside_images_are_counted_and_are_no_images(tmp_path):
    for name in (
        "cat/1.jpg",
        "cat/1.xml",
        "cat/2.XML",
        "dog/1.jpg",
        "dog/labels.txt",
        "dog/README",
        "list.csv",
        "dog/x.pdf",
    ):
        write(tmp_path / name, JPEG)
    listing = _folder(tmp_path)
    assert _paths(listing) == ["cat/1.jpg", "dog/1.jpg", "dog/x.pdf"]
    assert listing.notices == (
        "Data: 4 files that come beside images are ignored: .xml 2, without an ending 1, .txt 1.",
    )


@pytest.mark.parametrize("above", ["", "train/"])
def test_a_class_folder_without_a_file_is_an_empty_class(tmp_path, above):
    for name in ("cat/1.jpg", "dog/1.jpg", "cat/more/2.jpg"):
        write(tmp_path / above / name, JPEG)
    for name in ("bird/young", "cat/none"):
        (tmp_path / above / name).mkdir(parents=True)
    write(tmp_path / above / "notes" / "1.txt", b"")
    listing = _folder(tmp_path)
    assert listing.empty_classes == ("bird",)
    assert f"are passed over: '{above}notes' (1 files)." in listing.notices[0]


def test_folders_without_images_beside_splits_are_passed_over_by_name(tmp_path):
    for name in ("train/cat/1.jpg", "train/dog/1.jpg", "labels/train/1.txt", "labels/2.txt", "masks/1.npy"):
        write(tmp_path / name, JPEG)
    (tmp_path / "test" / "cat").mkdir(parents=True)
    listing = _folder(tmp_path)
    assert _paths(listing) == ["train/cat/1.jpg", "train/dog/1.jpg"]
    assert [item.path for item in listing.left_out] == ["masks/1.npy"]
    assert "passed over: 'labels' (2 files), 'masks' (1 files), 'test' (0 files)." in listing.notices[0]


def _linked(tmp_path) -> Path:
    """Classes that are links, a class with a link to a file and to a folder, all of it outside the root."""
    for name in ("store/cat/1.jpg", "store/more/2.jpg", "data/dog/3.jpg"):
        write(tmp_path / name, JPEG)
    root = tmp_path / "data"
    (root / "cat").symlink_to("../store/cat")
    (root / "dog" / "4.jpg").symlink_to(tmp_path / "store" / "more" / "2.jpg")
    (root / "dog" / "more").symlink_to("../../store/more")
    return root


def test_links_to_files_and_folders_are_followed(tmp_path):
    listing = _folder(_linked(tmp_path))
    assert _paths(listing) == ["cat/1.jpg", "dog/3.jpg", "dog/4.jpg", "dog/more/2.jpg"]
    assert (listing.problems, listing.notices) == ((), ())


def test_links_are_problems_where_they_are_not_followed(tmp_path):
    listing = _folder(_linked(tmp_path), follow_links=False)
    assert _paths(listing) == ["dog/3.jpg"]
    assert [item.path for item in listing.problems] == ["cat", "dog/4.jpg", "dog/more"]
    assert all("link" in item.reason and "dataset.follow_links" in item.reason for item in listing.problems)


def test_a_link_to_a_folder_above_it_is_passed_over_and_one_to_another_is_said(tmp_path):
    for name in ("cat/1.jpg", "dog/1.jpg"):
        write(tmp_path / name, JPEG)
    (tmp_path / "cat" / "up").symlink_to("..")
    (tmp_path / "cat" / "self").symlink_to(".")
    (tmp_path / "puma").symlink_to("cat")
    (tmp_path / "dog" / "loop.jpg").symlink_to("loop.jpg")
    listing = _folder(tmp_path)
    assert _paths(listing) == ["cat/1.jpg", "dog/1.jpg", "dog/loop.jpg", "puma/1.jpg"]
    assert [item.path for item in listing.left_out] == ["cat/self", "cat/up", "puma/self", "puma/up"]
    assert "1 folders are there twice, with all that is in them, such as 'puma', which is 'cat'" in listing.notices[0]


def test_the_artifacts_folder_below_the_root_is_no_class(tmp_path):
    for name in ("cat/1.jpg", "dog/1.jpg", "artifacts/runs/mine/inspect/class-000.jpg"):
        write(tmp_path / name, JPEG)
    listing = list_folder(DatasetSettings("folder", str(tmp_path)), tmp_path / "artifacts")
    assert _paths(listing) == ["cat/1.jpg", "dog/1.jpg"]
    assert listing.notices == ()


def test_predict_follows_links_as_the_training_does(tmp_path):
    root = _linked(tmp_path)
    (root / "dog" / "up").symlink_to("..")
    found = {path.relative_to(root).as_posix(): reason for path, reason in listed([root])}
    reason = found.pop("dog/up")
    assert found == dict.fromkeys(["cat/1.jpg", "dog/3.jpg", "dog/4.jpg", "dog/more/2.jpg"], "")
    assert "link" in reason


@pytest.mark.parametrize(
    ("identifier", "label", "path"),
    [
        ("train/cat/a/1.jpg", "cat", "a/1.jpg"),
        ("train/ cat /1.jpg", "cat", "1.jpg"),
        ("train/cafe\u0301/1.jpg", "caf\u00e9", "1.jpg"),
        ("Cat/1.jpg", "cat", "1.jpg"),
        ("train/Train/1.jpg", "Train", "1.jpg"),
        ("images/1.jpg", "cat", "images/1.jpg"),
        ("cat.jpg", "cat", "cat.jpg"),
    ],
)
def test_the_path_in_its_class_is_found_however_the_folder_writes_the_label(identifier, label, path):
    assert path_in_class(identifier, label) == path


def test_two_folders_that_link_to_one_another_end(tmp_path):
    for name in ("cat/1.jpg", "dog/1.jpg"):
        write(tmp_path / name, JPEG)
    (tmp_path / "cat" / "dog").symlink_to("../dog")
    (tmp_path / "dog" / "cat").symlink_to("../cat")
    assert _paths(_folder(tmp_path)) == ["cat/1.jpg", "cat/dog/1.jpg", "dog/1.jpg", "dog/cat/1.jpg"]


def test_a_folder_that_cannot_be_listed_is_a_problem_and_no_image(tmp_path, monkeypatch):
    for name in ("cat/1.jpg", "dog/1.jpg", "dog/shut/2.jpg"):
        write(tmp_path / name, JPEG)
    opened = os.scandir

    def scandir(path):
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root may list everything
    listing = _folder(tmp_path)
    assert [(item.path, item.reason) for item in listing.problems] == [
        ("dog/shut", "it cannot be listed (Permission denied)")
    ]


def _too_high(root):
    for name in ("set/train/a/1.jpg", "set/train/b/1.jpg", "set/test/a/1.jpg"):
        write(root / name, JPEG)


def _much_too_high(root):
    for name in ("Data/CLS/train/a/1.jpg", "Data/CLS/train/b/1.jpg", "Data/CLS/val/1.jpg", "lists/train.txt"):
        write(root / name, JPEG)


def _a_level_above_train(root):
    for name in ("set/train/a/1.jpg", "set/train/b/1.jpg"):
        write(root / name, JPEG)


def _flat(root):
    for name in ("1.jpg", "2.jpg", "notes.txt"):
        write(root / name, JPEG)


def _flat_splits_too_high(root):
    for name in ("images/train/1.jpg", "images/val/2.jpg", "labels/train/1.txt"):
        write(root / name, JPEG)


def _too_deep(root):
    for name in ("images/cat/1.jpg", "images/dog/2.jpg", "images/none/x.txt"):
        write(root / name, JPEG)


def _not_utf8(root):
    write(root / os.fsdecode(b"\xff") / "1.jpg", JPEG)


def _no_image(root):
    for name in ("cat/1.txt", "cat/2.xml"):
        write(root / name, JPEG)


def _folders(root):
    (root / "cat").mkdir()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "There is no file in"),
        (_folders, "There is no file in '.*', only 1 folders"),
        (_no_image, "There is no image in '.*', only 2 other files such as 'cat/1.txt'"),
        (_too_high, r"a level too high: 'set' in it .* dataset\.path=/.*/set$"),
        (_much_too_high, r"a level too high: 'Data/CLS' in it .* dataset\.path=/.*/Data/CLS$"),
        (_a_level_above_train, r"a level too high: 'set' in it .* dataset\.path=/.*/set$"),
        (_flat, "holds 2 images, but no folder of a class with images in it; one folder per class is expected"),
        (_flat_splits_too_high, r"no class folders in them: 'images/train' .*'images/val' .*dataset\.source=csv"),
        (_too_deep, r"only one class in .*: 'images'. The 2 folders 'cat', 'dog' .* dataset\.path=/.*/images$"),
        (_not_utf8, "not UTF-8"),
    ],
)
def test_a_folder_that_cannot_be_understood_is_refused(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(RequestError, match=message):
        _folder(tmp_path)


def test_where_nothing_but_links_is_there_that_is_said(tmp_path):
    write(tmp_path / "store" / "1.jpg", JPEG)
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.jpg").symlink_to("../../store/1.jpg")
    assert len(_folder(tmp_path / "data").entries) == 2
    with pytest.raises(
        RequestError, match=r"nothing but 2 symbolic links, such as 'cat/1.jpg', .*dataset\.follow_links=true"
    ):
        _folder(tmp_path / "data", follow_links=False)


def test_no_path_a_file_and_a_missing_folder_are_refused(tmp_path):
    with pytest.raises(RequestError, match=r"dataset\.path is missing"):
        _folder("")
    with pytest.raises(RequestError, match="archives are not unpacked"):
        _folder(write(tmp_path / "x.zip", b"PK"))
    with pytest.raises(RequestError, match="There is no folder"):
        _folder(tmp_path / "none")


def test_a_regular_expression_names_the_groups(tmp_path):
    for name in ("a/cat7_1.jpg", "a/cat7_2.jpg", "b/dog1_1.jpg"):
        write(tmp_path / name, JPEG)
    listing = _folder(tmp_path, group=r"([a-z]+\d+)_")
    assert [entry.group for entry in listing.entries] == ["cat7", "cat7", "dog1"]
    with pytest.raises(RequestError, match=r"finds nothing in 'a/cat7_1.jpg'"):
        _folder(tmp_path, group=r"bird")
    with pytest.raises(RequestError, match="no regular expression"):
        _folder(tmp_path, group="(")


def test_groups_in_several_splits_are_counted():
    assert (
        straddling(
            {"train": text_array(["a", "b", "b"]), "test": text_array(["b", "c", "a"]), "validation": text_array([])}
        )
        == 2
    )


def test_a_relative_path_is_named_with_what_it_stands_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match=f"'d/x', which is '{tmp_path}/d/x'"):
        _folder("d/x")
