"""What DATA is, is recognised and said; its settings are kept under its name, and a name is bound to its images."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest
from commandline import invoke
from imagefiles import class_folders, encoded, picture, write
from packing import parquet_of_folder, tar_of_folder

from bottleneck_features.pipeline.datasets.given_data import recognise
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.kept_experiments import kept_names, name_of

CLASSES = ("blue", "red")


def _table(root: Path, text: str, images: int = 12) -> Path:
    for i in range(images):
        write(root / "images" / f"{i}.jpg", encoded(picture(i)))
    return write(root / "train.csv", text.encode())


AGES = b"image,age\n" + b"".join(b"%d.jpg,%d.%d\n" % (i, i, i) for i in range(20))
ROWS = [(f"{i}", CLASSES[i % 2], ("train", "test")[i % 3 == 0]) for i in range(12)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("file,species\n" + "".join(f"{i}.jpg,{c}\n" for i, c, _ in ROWS), {"image_column": "file", "label_column": "species"}),
        ("species;id\n" + "".join(f"{c};{i}\n" for i, c, _ in ROWS), {"image_column": "id", "label_column": "species"}),
        (
            "image,part,label\n" + "".join(f"{i}.jpg,{s},{c}\n" for i, c, s in ROWS),
            {"image_column": "image", "label_column": "label", "split_column": "part"},
        ),
        ("".join(f"{i}.jpg {c}\n" for i, c, _ in ROWS), {"header": False, "image_column": "1", "label_column": "2"}),
        (
            "image,a,b,c\n" + "".join(f"{i}.jpg,{('1,0,0', '0,1,0', '0,0,1')[int(i) % 3]}\n" for i, _, _ in ROWS),
            {"image_column": "image", "label_columns": ["a", "b", "c"]},
        ),
    ],
    ids=["names", "ids-without-endings", "splits", "no-header", "one-hot"],
)  # fmt: skip
@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
def test_the_columns_of_a_table_are_guessed_from_what_is_in_them(tmp_path, text, found, whole):
    table = _table(tmp_path / "data", text)
    given = recognise(str(table.parent if whole else table))
    assert given.settings == {"source": "csv", "path": str(table.parent if whole else table), **found}
    assert "a table; by what is in its columns" in given.said


def test_folders_archives_and_parquet_files_are_told_apart(tmp_path):
    folder = class_folders(tmp_path / "pictures", images=3)
    assert recognise(str(folder)).settings == {"source": "folder", "path": str(folder)}
    tar = tar_of_folder(folder, tmp_path / "packed" / "x.tar")
    assert recognise(str(tar)).settings["source"] == "tar"
    assert recognise(str(tar.parent)).settings["source"] == "tar"
    parquet = parquet_of_folder(folder, tmp_path / "rows" / "x.parquet")
    assert recognise(str(parquet)).settings["source"] == "parquet"
    assert recognise(str(parquet.parent)).settings["source"] == "parquet"
    assert recognise("s3://bucket/some/*.tar").settings == {"source": "tar", "path": "s3://bucket/some/*.tar"}
    write(folder / "notes.csv", b"a,b\n1,2\n")  # a table beside folders of classes is not the data
    assert recognise(str(folder)).settings["source"] == "folder"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("picture.jpg", encoded(picture(0)), "is a single picture"),
        ("pictures.zip", b"PK\x05\x06" + bytes(18), "is a ZIP archive: unpack it"),
        ("model.bin", b"whatever", "is nothing that images are read from"),
        ("table.csv", b"age,weight\n1.5,2.5\n2.5,3.5\n", "has no column that names images"),
        (
            "table.csv",
            AGES,
            "has no column that looks like labels",
        ),
        (None, None, "There is no file or folder .*nearest.* DATA is a folder"),
    ],
)
def test_what_no_images_can_be_read_from_is_refused_with_what_to_give(tmp_path, name, content, message):
    if name:
        write(tmp_path / name, content)
    else:
        (tmp_path / "nearest here").mkdir()
        name, message = "nearest there", "There is no file or folder .* DATA is a folder"
    with pytest.raises(RequestError, match=message):
        recognise(str(tmp_path / name))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("pictures/", "pictures"),
        ("/a/b/train.csv", "train"),
        ("x.tar.gz", "x"),
        ("my birds", "my-birds"),
        ("s3://b/x/*.tar", ""),
    ],
)
def test_data_give_an_experiment_their_name(data, name):
    if name:
        assert name_of(data) == name
    else:
        with pytest.raises(RequestError, match="--name"):
            name_of(data)


def _inspect(*words: str, home: Path):
    return invoke("inspect", *words, home=home)


def test_settings_are_kept_and_used_by_the_next_command(tmp_path):
    pictures, home = class_folders(tmp_path / "pictures", images=6), tmp_path / "home"
    first = _inspect(str(pictures), "--set", "input.size=32,32", home=home)
    assert first.exit_code == 0, first.output
    assert "a folder of images" in " ".join(first.output.split())
    kept = tomllib.loads((home / "experiments/pictures.toml").read_text())
    assert kept["dataset"]["path"] == str(pictures)
    assert kept["input"]["size"] == [32, 32]
    again = _inspect(str(pictures), home=home)
    assert "a folder of images" not in " ".join(again.output.split())
    named = invoke("inspect", "-e", "pictures", "--json", home=home)
    assert '"size": [\n' in named.stdout or '"size": [32' in named.stdout.replace("\n", "").replace(" ", "")
    assert kept_names(home) == ["pictures"]


def test_a_name_is_bound_to_its_images(tmp_path):
    home, first = tmp_path / "home", class_folders(tmp_path / "one/pictures", images=6)
    assert _inspect(str(first), home=home).exit_code == 0
    moved = tmp_path / "two/pictures"
    shutil.copytree(first, moved)
    same = _inspect(str(moved), home=home)
    assert f"The images of 'pictures' are at {moved} now." in " ".join(same.output.split())
    other = class_folders(tmp_path / "three/pictures", images=7)
    elsewhere = ("probe", "-e", "pictures", "--set", f"dataset.path={other}")
    named = ("inspect", str(other), "--name", "pictures")
    for words in (("probe", str(other)), ("report", str(other)), ("init", str(other)), named, elsewhere):
        refused = invoke(*words, home=home)
        assert refused.exit_code == 2, words
        assert str(other) in refused.output
        assert str(moved) in refused.output
        assert "--name NAME" in refused.output
    looked = _inspect(str(other), home=home)
    assert looked.exit_code == 0
    assert f"'pictures' is kept for {moved}: these images are called 'pictures-2'." in " ".join(looked.output.split())
    assert _inspect(str(other), "--name", "others", home=home).exit_code == 0
    assert kept_names(home) == ["others", "pictures", "pictures-2"]
    assert "others" in invoke("inspect", home=home).output


def test_the_same_images_in_an_archive_are_the_same_data_and_their_kind_is_kept(tmp_path):
    home, pictures = tmp_path / "home", class_folders(tmp_path / "pictures", images=6)
    assert _inspect(str(pictures), home=home).exit_code == 0
    archive = tar_of_folder(pictures, tmp_path / "pictures.tar")
    moved = _inspect(str(archive), home=home)
    assert f"The images of 'pictures' are at {archive} now." in " ".join(moved.output.split())
    kept = tomllib.loads((home / "experiments/pictures.toml").read_text())["dataset"]
    assert kept == {"source": "tar", "path": str(archive)}
    assert _inspect("-e", "pictures", home=home).exit_code == 0


def test_a_command_that_cannot_open_its_data_keeps_nothing(tmp_path):
    home = tmp_path / "home"
    class_folders(tmp_path / "birds/birds", images=6, classes=("green",))
    for words in ((), ("--set", "backbone.name=nosuch"), ("--set", "dataset.path=elsewhere")):
        assert _inspect(str(tmp_path / "birds/birds"), *words, home=home).exit_code == 2
        assert kept_names(home) == []


def test_settings_that_were_given_once_are_said_when_they_are_used(tmp_path):
    home, pictures = tmp_path / "home", class_folders(tmp_path / "pictures", images=6)
    said = f"settings kept in {home / 'experiments/pictures.toml'}: dataset.limit=9"
    assert said not in _inspect(str(pictures), "--set", "dataset.limit=9", home=home).output
    (home / "experiments/another.toml").write_text("x = [")  # a broken file of other data
    assert said in " ".join(_inspect(str(pictures), home=home).output.split())
    assert "limit = 9" in invoke("settings", "dataset.limit", "-e", "pictures", home=home).output


def test_images_that_have_changed_since_are_said(tmp_path):
    home, pictures = tmp_path / "home", class_folders(tmp_path / "pictures", images=6)
    _inspect(str(pictures), home=home)
    assert "have changed" not in _inspect(str(pictures), home=home).output
    write(pictures / "blue" / "new.jpg", encoded(picture(99_999)))
    assert (
        "the images have changed since 'pictures' was last used: 18 then, 19 now."
        in _inspect(str(pictures), home=home).output
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Which images.*Ready-made: cifar10"),
        (("-e", "digits", "digits"), "DATA or -e, not both"),
        (("--name", "x"), "give DATA too"),
    ],
)
def test_no_command_guesses_which_images_are_meant(tmp_path, words, message):
    done = _inspect(*words, home=tmp_path)
    assert done.exit_code == 2
    assert re.search(message, done.output, re.DOTALL)


def test_init_writes_the_settings_and_runs_nothing(tmp_path):
    home, pictures = tmp_path / "home", class_folders(tmp_path / "pictures", images=3)
    done = invoke("init", str(pictures), "--set", "head.epochs=7", home=home)
    assert done.exit_code == 0, done.output
    assert f"next:  bottleneck run {pictures}" in done.output
    assert tomllib.loads((home / "experiments/pictures.toml").read_text())["head"]["epochs"] == 7
    assert not (home / "features").exists()
    assert invoke("init", "digits", home=home).exit_code == 2


def test_a_label_column_that_is_named_is_taken_whatever_else_looks_like_labels(table, tmp_path):
    rows = [
        f"{i}.jpg,{int(i % 3 == 0)},{int(i % 3 == 1)},{int(i % 3 == 2)},{'cat' if i < 5 else 'dog'}" for i in range(10)
    ]
    table.write_text("\n".join(["file,a,b,c,breed", *rows]) + "\n")
    assert recognise(str(table), ()).settings["label_columns"] == ["a", "b", "c"]
    assert "label_columns" not in recognise(str(table), ("label_column",)).settings
    for _ in range(2):
        done = invoke("inspect", str(table), "--set", "dataset.label_column=breed", "--json", home=tmp_path / "home")
        assert '"cat"' in done.stdout


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("s3://bucket/birds.npz", "an .npz is one file on this disk"),
        ("arrays/*.npz", "an .npz is one file on this disk"),
        ("photos/*.jpg", "There is no file or folder"),
        ("photos [1]", "There is no file or folder"),
        ("s3://bucket/birds", "cannot be told from its name"),
    ],
)
def test_a_place_that_cannot_be_read_is_refused_for_what_it_is(data, message):
    with pytest.raises(RequestError, match=message):
        recognise(data)
