"""Tables that name images: which columns say the class, the split and the group, in one table or several."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagefiles import write
from tablefiles import JPEG, LABELS, NAMES, listed, paths, rows

from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.datasets.sources.table import list_table
from bottleneck_features.pipeline.datasets.sources.table_labels import one_hot_labels
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment_file import load_experiment


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " ", "   "])
def test_lists_without_a_header_have_columns_by_number(table, separator):
    text = rows(NAMES, LABELS, (), separator)
    listing = listed(table, text, header=False, image_column="1", label_column="2")
    assert [(e.path, e.label, e.row) for e in listing.entries] == list(zip(NAMES, LABELS, range(1, 11), strict=True))
    with pytest.raises(RequestError, match=r"no column '3' in .*Columns, by their numbers: 1, 2\."):
        listed(table, text, header=False, image_column="1", label_column="3")


@pytest.mark.parametrize(
    "columns", [{"image_column": "", "label_column": ""}, {"image_column": "1", "label_column": "2"}, {}]
)
@pytest.mark.parametrize("cut", [0, 4])
def test_a_first_row_that_is_no_header_is_said_to_be_none_and_the_advice_works(table, columns, cut):
    text = rows([name[: len(name) - cut] for name in NAMES], LABELS, (), " ")
    with pytest.raises(
        RequestError, match="The first row of .*list.csv' is no header, for it names the image '0"
    ) as refused:
        listed(table, text, **columns)
    said = dict(re.findall(r"dataset\.(\w+)=(\w+)", str(refused.value)))
    assert said == {"header": "false", "image_column": "1", "label_column": "2"}
    assert "Nearest" not in str(refused.value)
    listing = listed(table, text, header=False, image_column="1", label_column="2")
    assert len(listing.entries) == 10


def test_columns_that_are_not_given_are_guessed_by_what_is_in_them(table):
    text = "id,note,picture,breed\n" + "".join(f"{i},n{i},{i}.jpg,{'ab'[i % 2]}\n" for i in range(10))
    with pytest.raises(
        RequestError, match="image_column and dataset.label_column are missing for '.*list.csv'.*Columns: id, note"
    ) as said:
        listed(table, text, image_column="", label_column="")
    assert "--set dataset.image_column=picture --set dataset.label_column=breed" in str(said.value)
    with pytest.raises(
        RequestError, match="dataset.label_column is missing.*perhaps: --set dataset.label_column=breed$"
    ):
        listed(table, text, image_column="picture", label_column="")


def _one_hot(rows) -> str:
    return "file,MEL,NV,BCC\n" + "".join(f"{i}.jpg,{','.join(row)}\n" for i, row in enumerate(rows))


@pytest.mark.parametrize("words", [("1", "0"), ("1.0", "0.0"), ("true", "false"), ("True", "False"), ("1", "")])
def test_one_hot_columns_are_classes(table, words):
    one, zero = words
    text = _one_hot([one if i % 3 == k else zero for k in range(3)] for i in range(9))
    classes = ["MEL", "NV", "BCC"] * 3
    assert [
        e.label for e in listed(table, text, label_column="", label_columns=("MEL", "NV", "BCC")).entries
    ] == classes
    assert [e.label for e in listed(table, text, label_column="MEL,NV, BCC").entries] == classes
    with pytest.raises(RequestError, match="--set dataset.label_columns=MEL,NV,BCC"):
        listed(table, text, label_column="")


def test_rows_of_one_hot_columns_with_several_or_no_one_are_refused_and_empty_ones_are_unlabelled(table):
    rows = [["1", "0", "0"], ["0", "1", "0"], ["", "NA", ""]]
    listing = listed(table, _one_hot(rows), label_column="MEL,NV,BCC")
    assert [e.label for e in listing.entries] == ["MEL", "NV", ""]
    odd = [*rows, ["1", "0", "1"], ["0", "0", "0"]]
    with pytest.raises(
        RequestError,
        match="one-hot columns .* several 1, or none, in 2 of 5 rows; in row 5.* 'MEL', 'BCC' are 1.*several labels",
    ):
        listed(table, _one_hot(odd), label_column="MEL,NV,BCC")
    with pytest.raises(
        RequestError, match="not a single 1 in 1 of 2 rows, the first of which is row 3: several labels"
    ):
        listed(table, _one_hot([["1", "0", "0"], ["0", "1", "1"]]), label_column="")
    with pytest.raises(RequestError, match=r"row 2 of 'list.csv' has '0.7' in column 'MEL'"):
        listed(table, _one_hot([["0.7", "0.2", "0.1"]]), label_column="MEL,NV,BCC")
    with pytest.raises(RequestError, match="label_columns: there is no column 'VASC'.*Columns: file, MEL, NV, BCC"):
        listed(table, _one_hot(rows), label_column="", label_columns=("MEL", "VASC"))
    with pytest.raises(RequestError, match="dataset.label_column=MEL"):
        listed(table, _one_hot(rows), label_column="", label_columns=("MEL",))


@given(
    st.lists(st.lists(st.sampled_from(["1", "0", "", "true", "0.0"]), min_size=3, max_size=3), min_size=1, max_size=8)
)
def test_every_row_of_one_hot_columns_is_its_class_or_none_or_refused(rows):
    names = ("a", "b", "c")
    ones = [[name for name, cell in zip(names, row, strict=True) if cell in ("1", "true")] for row in rows]
    fine = all(len(own) == 1 or not any(row) for own, row in zip(ones, rows, strict=True))
    try:
        labels = one_hot_labels(enumerate(rows, 2), names, (), "x.csv")
    except RequestError:
        assert not fine
    else:
        assert fine
        assert labels == ["".join(own) for own in ones]


def test_several_labels_and_numbers_in_a_column_are_refused_before_any_image_is_read(table):
    with pytest.raises(RequestError, match="several labels in a cell of column 'label' of 'list.csv', in 4 of 10 rows"):
        listed(table, rows(NAMES, ["a", "a;b", "b", "b;c", "c"] * 2))
    with pytest.raises(RequestError, match="labels in column 'label' of 'list.csv' are continuous numbers"):
        listed(table, rows(NAMES, [f"{i}.25" for i in range(10)]))


# ---------------------------------------------------------------- splits


@pytest.mark.parametrize(
    ("column", "cells", "splits"),
    [
        ("is_valid", ["True", "False", "true"], ["validation", "train", "validation"]),
        ("is_test", ["1", "0", "yes"], ["test", "train", "test"]),
        ("is_train", ["1.0", "0.0", "no"], ["train", "test", "test"]),
        ("isVal", ["y", "n", "N"], ["validation", "train", "train"]),
        ("Usage", ["Training", "PublicTest", "PrivateTest"], ["train", "validation", "test"]),
        ("part", [" Train ", "VAL", "test set"], ["train", "validation", "test"]),
    ],
)
def test_flags_and_words_of_every_kind_say_the_split(table, column, cells, splits):
    text = f"file,label,{column}\n" + "".join(f"{i}.jpg,a,{cell}\n" for i, cell in enumerate(cells))
    assert [e.split for e in listed(table, text, split_column=column).entries] == splits


def test_numbers_that_say_no_split_are_refused_by_name(table):
    text = "file,label,split\n0.jpg,a,0\n1.jpg,b,1\n2.jpg,b,2\n"
    with pytest.raises(RequestError, match="column 'split' holds '0', '1', '2', and none of them is a split.*is_valid"):
        listed(table, text, split_column="split")


# ---------------------------------------------------------------- several tables


def _split_tables(folder: Path, **tables: str) -> Path:
    for name, text in tables.items():
        write(folder / f"{name}.csv", text.encode())
    return folder


def _of_folder(path, **settings):
    columns = {"image_column": "file", "label_column": "label", **settings}
    return list_table(DatasetSettings("csv", str(path), **columns))


@pytest.mark.parametrize("path", ["", "*.csv", "{train,valid,Test}.csv"])
def test_a_table_for_each_split_is_recognised_by_its_name(table, path):
    folder = _split_tables(
        table.parent, train=rows(NAMES[:4], "abab"), valid=rows(NAMES[4:6], "ab"), Test=rows(NAMES[6:8], "ab")
    )
    listing = _of_folder(folder / path)
    found = {entry.path: (entry.label, entry.split) for entry in listing.entries}
    assert found["0.jpg"] == ("a", "train")
    assert found["5.jpg"] == ("b", "validation")
    assert found["6.jpg"] == ("a", "test")
    assert len(found) == 8


def test_a_test_table_without_labels_is_unlabelled_and_other_tables_are_named_and_passed_over(table):
    folder = _split_tables(
        table.parent,
        train=rows(NAMES[:6], "ababab"),
        test="file\n" + "".join(f"{name}\n" for name in [*NAMES[6:9], "gone.jpg"]),
        sample_submission=rows(NAMES[6:9], "aaa"),
        classes="number,name\n0,a\n",
    )
    listing = _of_folder(folder)
    assert len(listing.entries) == 6
    assert [problem.path for problem in listing.unlabelled] == NAMES[6:9]
    assert "'classes.csv', 'sample_submission.csv'" in listing.notices[0]
    reasons = {problem.path: problem.reason for problem in listing.left_out}
    assert reasons["gone.jpg"] == "there is no such file"


def test_a_test_table_beside_the_only_one_is_named(table):
    folder = _split_tables(
        table.parent, train=rows(NAMES[:6], "ababab"), test=rows(NAMES[6:8], "ab"), notes="a,b\n1,2\n"
    )
    listing = _of_folder(folder / "train.csv")
    assert len(listing.entries) == 6
    assert listing.notices == (
        f"Data: other tables are not read: 'test.csv'. dataset.path={folder} reads a table for each split.",
    )


def test_tables_whose_folders_are_called_like_them_have_their_images_there(tmp_path):
    for split in ("train", "test"):
        for i in range(4):
            write(tmp_path / split / f"{i}.jpg", JPEG)
    folder = _split_tables(tmp_path, train=rows("0123", "abab"), test=rows("0123", "abab"))
    assert paths(_of_folder(folder)) == [f"{split}/{i}.jpg" for split in ("test", "train") for i in range(4)]
    for i in range(4):
        write(tmp_path / "train_masks" / f"{i}.jpg", JPEG)
    with pytest.raises(RequestError, match="train table names are in several folders: 'train', 'train_masks'"):
        _of_folder(folder)


def test_tables_that_do_not_agree_or_have_no_train_are_refused_by_name(table):
    folder = _split_tables(table.parent, train=rows(NAMES[:4], "abab"), test="picture,label\n5.jpg,a\n")
    with pytest.raises(RequestError, match=r"no column 'file' in '.*test.csv'. Columns: picture, label"):
        _of_folder(folder)
    (folder / "train.csv").rename(folder / "all.csv")
    with pytest.raises(RequestError, match="holds 2 tables: 'all.csv', 'test.csv'. None is called train"):
        _of_folder(folder)
    (folder / "test.csv").unlink()
    assert len(_of_folder(folder).entries) == 4
    with pytest.raises(RequestError, match="There is no table"):
        _of_folder(folder / "images")


def test_an_image_in_two_tables_is_a_contradiction(table):
    folder = _split_tables(table.parent, train=rows(NAMES[:4], "abab"), test=rows(NAMES[3:5], "ba"))
    listing = _of_folder(folder)
    assert {problem.path for problem in listing.problems} == {"3.jpg"}
    assert "contradict one another: split test and train" in listing.problems[0].reason


def _opened(home: Path, path: Path, *overrides: str):
    words = (f"dataset.path={path}", "dataset.source=csv", "dataset.image_column=file", "input.size=32,32", *overrides)
    return open_dataset(load_experiment("natural-images", words), home)


def test_rows_without_a_label_are_counted_and_no_errors(table):
    write(table, rows(NAMES, ["a", "b", "a", "b", "NA", "", "None", "a", "b", "-"]).encode())
    dataset = _opened(table.parent, table, "dataset.label_column=label", "dataset.test_fraction=0")
    assert len(dataset.splits["train"]) == 6
    assert any("4 images have no label" in notice and "predict" in notice for notice in dataset.notices)
    write(table, rows(NAMES, ["", "NA"] * 5).encode())
    with pytest.raises(RequestError, match="There is no label in column 'label' of 'list.csv': all 10 cells"):
        _opened(table.parent, table, "dataset.label_column=label")


def test_one_hot_columns_may_be_called_none_or_nan(table):
    text = "file,none,NaN\n" + "".join(f"{name},{i % 2},{1 - i % 2}\n" for i, name in enumerate(NAMES))
    write(table, text.encode())
    dataset = _opened(table.parent, table, "dataset.label_columns=none,NaN", "dataset.test_fraction=0")
    assert set(dataset.class_names) == {"none", "NaN"}
    assert len(dataset.splits["train"]) == 10


# ---------------------------------------------------------------- groups


def test_columns_that_look_like_groups_are_found(table):
    for i in range(64):
        write(table.parent / "images" / f"{i}.jpg", JPEG)
    header = "file,label,id,class_id,sender,note,version,patient,weight,age,is_valid,part,sex"
    rows = [
        f"{i}.jpg,{'ab'[i % 2]},{i},{i % 2},s{i // 8},note {i},v1,{i % 16 // 2 * 2 + i % 2},{i / 7:.3f},{i % 9},{i % 3 == 0},"
        f"{'train' if i % 5 else 'test'},{'mf'[i % 7 > 2]}\n"
        for i in range(64)
    ]
    listing = listed(table, f"{header}\n{''.join(rows)}")
    assert listing.group_candidates == ("sender", "patient", "sex")
    assert listed(table, f"{header}\n{''.join(rows)}", group="sender").group_candidates == ()
