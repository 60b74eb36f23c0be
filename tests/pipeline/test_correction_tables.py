"""Tables of corrections of every make are read; what cannot be right in one is refused by its row."""

from pathlib import Path

import pytest
from correcting import BLUE, GREEN, RED, embedded, labels_of, opened, prints_of, table_of
from imagefiles import class_folders, encoded, picture, write
from packing import tar_of, web_dataset

from bottleneck_features.pipeline.errors import RequestError

COLUMNS = ("dataset.image_column=file", "dataset.label_column=label")


@pytest.fixture
def root(tmp_path) -> Path:
    return class_folders(tmp_path / "pictures")


FORMS = {
    "a header": "id,label\n{},green\n",
    "no header": "{},green\n",
    "semicolons, other names": "Label;File name\ngreen;{}\n",
    "tabs, a new label beside the old one": "id\tlabel\tnew label\n{}\tblue\tgreen\n",
    "more columns": "remark,image,class\nsure,{},green\n",
    "spaces about it": "id,label\n {} , green \n",
    "UTF-16": "id,label\n{},green\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_tables_of_every_make_are_read(root, tmp_path, form):
    text = FORMS[form].format(BLUE)
    (tmp_path / "fixes.csv").write_text(text, encoding="utf-16" if form == "UTF-16" else "utf-8")
    dataset = opened(root, tmp_path, f"dataset.corrections={tmp_path / 'fixes.csv'}")
    assert labels_of(dataset)[BLUE] == "green"
    assert dataset.notices[0] == "Data: 1 labels corrected and 0 images dropped by fixes.csv."


def test_the_columns_of_the_datas_own_table_may_be_called_the_same(root, tmp_path):
    table = table_of(root, root / "all.csv", {})
    table.write_text(table.read_text().replace("file,label", "photo,breed"))
    (tmp_path / "fixes.csv").write_text(f"breed,photo\ngreen,{BLUE}\n")
    own = ("dataset.image_column=photo", "dataset.label_column=breed")
    dataset = opened(table, tmp_path, *own, f"dataset.corrections={tmp_path / 'fixes.csv'}", source="csv")
    assert labels_of(dataset)[BLUE] == "green"


def test_a_table_of_corrections_beside_the_tables_is_none_of_them(root, tmp_path):
    table_of(root, root / "train.csv", {})
    (root / "fixes_train.csv").write_text(f"id,label\n{BLUE},green\n")
    dataset = opened(root, tmp_path, *COLUMNS, f"dataset.corrections={root / 'fixes_train.csv'}", source="csv")
    assert labels_of(dataset)[BLUE] == "green"
    assert not any("other tables" in notice for notice in dataset.notices)


def test_labels_are_compared_as_those_of_the_data_are(tmp_path, fixes):
    for i in range(6):
        write(tmp_path / "in" / "café" / f"{i}.png", encoded(picture(i), "PNG"))
        write(tmp_path / "in" / "tea" / f"{i}.png", encoded(picture(i + 10), "PNG"))
    decomposed = "cafe\u0301"
    dataset = opened(tmp_path / "in", tmp_path, fixes(("tea/1.png", f" {decomposed} "), (f"{decomposed}/2.png", "tea")))
    assert labels_of(dataset)["tea/1.png"] == "café"
    assert labels_of(dataset)["café/2.png"] == "tea"
    with pytest.raises(
        RequestError, match=r"Row 2 of 'fixes\.csv' gives the label 'Tea', which differs from 'tea' only in case"
    ):
        opened(tmp_path / "in", tmp_path, fixes(("café/1.png", "Tea")))
    folded = opened(tmp_path / "in", tmp_path, "dataset.fold_case=true", fixes(("café/1.png", "Tea")))
    assert labels_of(folded)["café/1.png"] == "tea"


def test_one_point_zero_is_one_where_labels_are_whole_numbers(root, tmp_path, fixes):
    shards = web_dataset(root, tmp_path / "shards", 100)
    first = opened(shards, tmp_path, source="tar")
    name = next(name for name, label in labels_of(first).items() if label == "0")
    assert labels_of(opened(shards, tmp_path, fixes((name, "1.0")), source="tar"))[name] == "1"


def test_an_image_without_a_label_is_given_one(root, tmp_path, fixes):
    members = [(f"{file.stem}.jpg", file.read_bytes()) for file in sorted((root / "blue").iterdir())]
    notes = [(f"{name[:-4]}.cls", b"even" if i % 2 == 0 else b"odd") for i, (name, _) in enumerate(members)]
    together = [one for pair in zip(members, notes, strict=True) for one in pair if one != notes[3]]
    path = tar_of(tmp_path / "some.tar", together)
    bare = opened(path, tmp_path, source="tar")
    assert members[3][0] not in labels_of(bare)
    assert any("1 images have no label" in notice for notice in bare.notices)
    dataset = opened(path, tmp_path, fixes((members[3][0], "odd")), source="tar")
    assert labels_of(dataset) == labels_of(bare) | {members[3][0]: "odd"}
    assert not any("have no label" in notice for notice in dataset.notices)


def test_a_new_class_is_checked_as_any_and_named(root, tmp_path, fixes):
    rows = [(f"blue/blue {i}.jpg", "sky") for i in range(3)]
    dataset = opened(root, tmp_path, fixes(*rows))
    assert dataset.class_names == ("blue", "green", "red", "sky")
    assert "Data: fixes.csv makes new classes: 'sky' (3 training images)." in dataset.notices
    with pytest.raises(
        RequestError, match=r"Row 2 of .* 'gren', which is no class of the data\. Nearest: 'green'.*2 training"
    ):
        opened(root, tmp_path, fixes((BLUE, "gren")))


def test_a_class_that_loses_images_is_left_out_or_refused_as_any(root, tmp_path, fixes):
    rows = [(f"red/red {i}.jpg", "blue") for i in range(10)]
    dataset = opened(root, tmp_path, fixes(*rows))
    assert dataset.class_names == ("blue", "green")
    assert "Data: fixes.csv leaves no image of these classes: 'red'." in dataset.notices
    single = opened(root, tmp_path, fixes(*rows[1:]))
    assert any("left out with all their 1 images: 'red'" in notice for notice in single.notices)
    with pytest.raises(RequestError, match=r"Too few: 'red'"):
        opened(root, tmp_path, fixes(*rows[1:]), "dataset.small_classes=fail")
    both = [(f"{name}/{name} {i}.jpg", "drop") for name in ("red", "blue") for i in range(10)]
    with pytest.raises(RequestError, match="Only one class has usable training images: 'green'"):
        opened(root, tmp_path, fixes(*both))


def test_a_class_of_arrays_that_loses_its_training_images_is_left_out_or_refused(fixes):
    dataset = embedded("digits")
    labels = labels_of(dataset)
    sevens = [str(name) for name in dataset.splits["train"].ids if labels[str(name)] == "7"]
    with pytest.raises(RequestError, match=r"The test split of .* has classes that no usable training image has: 7"):
        embedded("digits", fixes(*((name, "drop") for name in sevens)))
    few = embedded("digits", fixes(*((name, "drop") for name in sevens[1:])))
    assert "7" not in few.class_names
    assert any("are left out with all their" in notice and "'7'" in notice for notice in few.notices)
    with pytest.raises(RequestError, match="Too few: '7'"):
        embedded("digits", fixes(*((name, "drop") for name in sevens[1:])), "dataset.small_classes=fail")


def test_rows_of_images_that_cannot_be_used_change_nothing(root, tmp_path, fixes):
    (root / BLUE).write_bytes(b"no image")
    dataset = opened(root, tmp_path, fixes((BLUE, "green"), (RED, "blue"), (RED, "blue")))
    assert dataset.notices[0] == (
        "Data: 1 labels corrected and 0 images dropped by fixes.csv. Of its 3 rows 2 change nothing: 1 say what is so already or "
        "what another row says and 1 are of images that are left out in any case."
    )


REFUSED = {
    "an unknown id": (
        [("blue/x.jpg", "red")],
        r"1 of 1 ids in 'fixes\.csv' are not in the data, such as 'blue/x\.jpg'",
    ),
    "an id with folders above": ([(f"C:\\pictures\\{BLUE}", "red")], rf"Perhaps '{BLUE}' is meant"),
    "two answers": (
        [(BLUE, "red"), (BLUE, "green")],
        r"Rows 2 and 3 .* contradict one another: 'blue/blue 3\.jpg' is 'red' and",
    ),
    "a label and drop": ([(BLUE, "drop"), (BLUE, "green")], "contradict one another"),
    "no label": (
        [(RED, "red"), (BLUE, "")],
        r"Row 3 of 'fixes\.csv' gives no label to .* or `drop` to take the image out",
    ),
    "a word for none": ([(BLUE, "NaN")], r"Row 2 .* no label to .* but 'NaN', which says that there is none"),
    "no id": ([("", "red")], r"Row 2 of 'fixes\.csv' has no id"),
    "another case": ([(BLUE, "Drop")], r"Row 2 .* says 'Drop'\. To take an image out, write `drop`"),
    "a cell too many": ([(BLUE, "red", "green")], "Row 2 of 'fixes.csv' has 3 cells, the first row 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_row_that_cannot_be_right_is_refused_by_its_number(root, tmp_path, fixes, case):
    rows, message = REFUSED[case]
    with pytest.raises(RequestError, match=message):
        opened(root, tmp_path, fixes(*rows))


def test_dropping_everything_is_refused(fixes, root, tmp_path):
    every = [(file.relative_to(root).as_posix(), "drop") for file in root.rglob("*.jpg")]
    with pytest.raises(RequestError, match=r"'fixes\.csv' drops all 30 images that can be used"):
        opened(root, tmp_path, fixes(*every))
    with pytest.raises(RequestError, match=r"drops all 1,797 images"):
        embedded("digits", fixes(*((name, "drop") for name in labels_of(embedded("digits")))))


@pytest.mark.parametrize("name", ["drop", "Drop"])
def test_data_with_a_class_called_drop_are_asked_to_rename_it(root, tmp_path, fixes, name):
    (root / "red").rename(root / name)
    with pytest.raises(RequestError, match=rf"Row 3 .* says `drop`, and the data have a class '{name}'.* another name"):
        opened(root, tmp_path, fixes((GREEN, "blue"), (BLUE, "drop")))
    assert labels_of(opened(root, tmp_path, fixes((BLUE, "green"))))[BLUE] == "green"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("id,answer\nx,red\n", r"has no column `label`.* Columns: id, answer"),
        ("name,label\nx,red\n", r"has no column `id`"),
        ("x\ny\n", r"has one column only: 'x'"),
        (f"name,answer\n{BLUE},red\n", r"such as 'name' \(row 1\).*call them `id` and `label`"),
        ("PK\x03\x04", "Excel"),
    ],
)
def test_a_table_that_is_none_is_refused_with_what_it_takes(root, tmp_path, text, message):
    (tmp_path / "fixes.csv").write_text(text)
    with pytest.raises(RequestError, match=message):
        opened(root, tmp_path, f"dataset.corrections={tmp_path / 'fixes.csv'}")


@pytest.mark.parametrize("path", ["nowhere.csv", ".", "~nobody/fixes.csv", "s3://bucket/fixes.csv"])
def test_a_missing_table_is_refused_by_the_name_of_its_setting(path):
    with pytest.raises(RequestError, match=r"dataset\.corrections"):
        embedded("digits", f"dataset.corrections={path}")


def test_a_table_without_rows_corrects_nothing(root, tmp_path, fixes):
    dataset = opened(root, tmp_path, fixes())
    assert dataset.notices[0] == "Data: 0 labels corrected and 0 images dropped by fixes.csv."
    assert prints_of(dataset) == prints_of(opened(root, tmp_path))
