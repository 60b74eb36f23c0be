"""Tables that name images: how they are read, which files and columns are meant, and what is said where it cannot be told."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagefiles import encoded, picture, write

from bottleneck_features.pipeline.datasets.sources.table import list_table
from bottleneck_features.pipeline.datasets.sources.table_labels import one_hot_labels
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment import DatasetSettings

JPEG = encoded(picture())


def _paths(listing) -> list[str]:
    return [entry.path for entry in listing.entries]


def test_a_relative_path_is_named_with_what_it_stands_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match=f"'d/x', which is '{tmp_path}/d/x'"):
        list_table(DatasetSettings("csv", "d/x"))


@pytest.fixture
def table(tmp_path) -> Path:
    """A CSV beside an `images` folder with ten pictures, the rows as a test wants them."""
    for i in range(10):
        write(tmp_path / "images" / f"{i}.jpg", JPEG)
    return tmp_path / "list.csv"


def _listed(table, text: str | bytes, **settings: str):
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    columns = {"image_column": "file", "label_column": "label", **settings}
    return list_table(DatasetSettings("csv", str(table), **columns))


@pytest.mark.parametrize(
    "text",
    [
        "file,label\n0.jpg,a\n1.jpg,b\n",
        "file;label\n0.jpg;a\n1.jpg;b\n",
        "file\tlabel\r\n0.jpg\ta\r\n\r\n1.jpg\tb\r\n",
        "\ufefffile,label\n0.jpg,a\n1.jpg,b\n",
        'note,file,label\n"two\nlines, quoted",0.jpg,a\n"say ""x""",1.jpg,b\n',
        " file , label \n 0.jpg , a \n ./1.jpg,b",
    ],
)
def test_tables_of_every_make_are_read(table, text):
    listing = _listed(table, text)
    assert [(entry.path, entry.label) for entry in listing.entries] == [("0.jpg", "a"), ("1.jpg", "b")]
    assert listing.entries[0].row == 2
    assert listing.problems == ()
    assert len(listing.left_out) == 8
    assert listing.root.name == "images"


def test_whole_numbers_lose_their_decimal_point(table):
    assert [entry.label for entry in _listed(table, "file,label\n0.jpg,1.0\n1.jpg,0\n").entries] == ["1", "0"]


def test_a_split_column_and_a_group_column_are_kept(table):
    text = "file,label,part,photo\n0.jpg,a,Train,p1\n1.jpg,a,valid,p2\n2.jpg,b,TEST,p1\n"
    listing = _listed(table, text, split_column="part", group="photo")
    assert [(entry.split, entry.group) for entry in listing.entries] == [
        ("train", "p1"),
        ("validation", "p2"),
        ("test", "p1"),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",a", "names no file"),
        ("1.jpg,a,b", "the row has 3 cells, the first row 2"),
        ("1.jpg", "the row has 1 cells"),
        ("../list.csv,a", "leaves the image root"),
        ("/etc/passwd,a", "leaves the image root"),
        ("x/../../y.jpg,a", "leaves the image root"),
        ("C:\\pictures\\none.jpg,a", "leaves the image root"),
        ("https://there.org/1.jpg,a", "a URL: images are not downloaded"),
        ("0.jpg,b", "rows 2, 3 contradict one another: label a and b"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_problem_with_its_number(table, row, reason):
    problems = _listed(table, f"file,label\n0.jpg,a\n{row}\n").problems
    assert reason in problems[-1].reason
    assert problems[-1].row == 3


def test_absolute_paths_inside_the_image_root_are_taken_as_relative_to_it(table):
    folder = table.parent
    (folder / "link").symlink_to(folder / "images")
    places = (f"{folder}/images/0.jpg", f"{folder}/link/1.jpg", "/etc/passwd", "2.jpg")
    listing = _listed(table, "file,label\n" + "".join(f"{place},a\n" for place in places))
    assert _paths(listing) == ["0.jpg", "1.jpg", "2.jpg"]
    assert [(item.path, item.reason) for item in listing.problems] == [
        ("/etc/passwd", "the path leaves the image root")
    ]
    assert _paths(_listed(table, f"file,label\n{places[0]},a\n", image_root=str(folder))) == ["images/0.jpg"]


def test_a_repeated_row_is_used_once(table):
    listing = _listed(table, "file,label\n0.jpg,a\n0.jpg,a\n1.jpg,b\n")
    assert _paths(listing) == ["0.jpg", "1.jpg"]
    assert [(item.row, item.reason) for item in listing.left_out if item.row] == [(3, "the row repeats row 2")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "file,lable\n0.jpg,a\n",
            r"dataset\.label_column: there is no column 'label'.*Columns: file, lable\. Nearest: lable",
        ),
        ("file,label,label\n0.jpg,a,b\n", "2 columns are called 'label'"),
        ("file,label\n", "has no rows"),
        ("", "has no rows"),
        (b"file,label\ncaf\xe9.jpg,a\n", "not UTF-8"),
        ("file,label\nnone.jpg,a\n", "None of the 1 files named in column 'file' of '.*list.csv', such as 'none.jpg'"),
        (
            "file,label\n/none/x.jpg,a\n",
            r"None of the 1 files .*, such as '/none/x\.jpg', is in .* as dataset\.image_root",
        ),
        ("file,label\n../1.jpg,a\n", r"None of the 1 rows of .*: row 2, '\.\./1\.jpg': the path leaves the image root"),
        (b"PK\x03\x04\x00\x00\xff", "no table of text but an Excel workbook"),
        ("file,label\n" + "x" * 200_000 + ",a\n", "not a CSV file"),
    ],
)
def test_a_table_that_cannot_be_understood_is_refused(table, text, message):
    with pytest.raises(RequestError, match=message):
        _listed(table, text)


@given(st.binary(max_size=300))
def test_any_bytes_as_a_table_are_a_listing_or_a_refusal(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("table")
    write(folder / "0.jpg", JPEG)
    try:
        listing = _listed(folder / "list.csv", b"file,label\n0.jpg,a\n" + content)
    except RequestError as error:
        assert "list.csv" in str(error)  # noqa: PT017
    else:
        assert {entry.label for entry in listing.entries if entry.path == "0.jpg"} <= {"a"}


def _rows(names, labels, header=("file", "label"), separator=",") -> str:
    lines = [header] if header else []
    lines += zip(names, labels, strict=True)
    return "".join(separator.join(line) + "\n" for line in lines)


NAMES = [f"{i}.jpg" for i in range(10)]
LABELS = ["a", "b"] * 5


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " ", "   "])
def test_lists_without_a_header_have_columns_by_number(table, separator):
    text = _rows(NAMES, LABELS, (), separator)
    listing = _listed(table, text, header=False, image_column="1", label_column="2")
    assert [(e.path, e.label, e.row) for e in listing.entries] == list(zip(NAMES, LABELS, range(1, 11), strict=True))
    with pytest.raises(RequestError, match=r"no column '3' in .*Columns, by their numbers: 1, 2\."):
        _listed(table, text, header=False, image_column="1", label_column="3")


@pytest.mark.parametrize(
    "columns", [{"image_column": "", "label_column": ""}, {"image_column": "1", "label_column": "2"}, {}]
)
@pytest.mark.parametrize("cut", [0, 4])
def test_a_first_row_that_is_no_header_is_said_to_be_none_and_the_advice_works(table, columns, cut):
    text = _rows([name[: len(name) - cut] for name in NAMES], LABELS, (), " ")
    with pytest.raises(
        RequestError, match="The first row of .*list.csv' is no header, for it names the image '0"
    ) as refused:
        _listed(table, text, **columns)
    said = dict(re.findall(r"dataset\.(\w+)=(\w+)", str(refused.value)))
    assert said == {"header": "false", "image_column": "1", "label_column": "2"}
    assert "Nearest" not in str(refused.value)
    listing = _listed(table, text, header=False, image_column="1", label_column="2")
    assert len(listing.entries) == 10


def test_columns_that_are_not_given_are_guessed_by_what_is_in_them(table):
    text = "id,note,picture,breed\n" + "".join(f"{i},n{i},{i}.jpg,{'ab'[i % 2]}\n" for i in range(10))
    with pytest.raises(
        RequestError, match="image_column and dataset.label_column are missing for '.*list.csv'.*Columns: id, note"
    ) as said:
        _listed(table, text, image_column="", label_column="")
    assert "--set dataset.image_column=picture --set dataset.label_column=breed" in str(said.value)
    with pytest.raises(
        RequestError, match="dataset.label_column is missing.*perhaps: --set dataset.label_column=breed$"
    ):
        _listed(table, text, image_column="picture", label_column="")


def _one_hot(rows) -> str:
    return "file,MEL,NV,BCC\n" + "".join(f"{i}.jpg,{','.join(row)}\n" for i, row in enumerate(rows))


@pytest.mark.parametrize("words", [("1", "0"), ("1.0", "0.0"), ("true", "false"), ("True", "False"), ("1", "")])
def test_one_hot_columns_are_classes(table, words):
    one, zero = words
    text = _one_hot([one if i % 3 == k else zero for k in range(3)] for i in range(9))
    classes = ["MEL", "NV", "BCC"] * 3
    assert [
        e.label for e in _listed(table, text, label_column="", label_columns=("MEL", "NV", "BCC")).entries
    ] == classes
    assert [e.label for e in _listed(table, text, label_column="MEL,NV, BCC").entries] == classes
    with pytest.raises(RequestError, match="--set dataset.label_columns=MEL,NV,BCC"):
        _listed(table, text, label_column="")


def test_rows_of_one_hot_columns_with_several_or_no_one_are_refused_and_empty_ones_are_unlabelled(table):
    rows = [["1", "0", "0"], ["0", "1", "0"], ["", "NA", ""]]
    listing = _listed(table, _one_hot(rows), label_column="MEL,NV,BCC")
    assert [e.label for e in listing.entries] == ["MEL", "NV", ""]
    odd = [*rows, ["1", "0", "1"], ["0", "0", "0"]]
    with pytest.raises(
        RequestError,
        match="one-hot columns .* several 1, or none, in 2 of 5 rows; in row 5.* 'MEL', 'BCC' are 1.*several labels",
    ):
        _listed(table, _one_hot(odd), label_column="MEL,NV,BCC")
    with pytest.raises(
        RequestError, match="not a single 1 in 1 of 2 rows, the first of which is row 3: several labels"
    ):
        _listed(table, _one_hot([["1", "0", "0"], ["0", "1", "1"]]), label_column="")
    with pytest.raises(RequestError, match=r"row 2 of 'list.csv' has '0.7' in column 'MEL'"):
        _listed(table, _one_hot([["0.7", "0.2", "0.1"]]), label_column="MEL,NV,BCC")
    with pytest.raises(RequestError, match="label_columns: there is no column 'VASC'.*Columns: file, MEL, NV, BCC"):
        _listed(table, _one_hot(rows), label_column="", label_columns=("MEL", "VASC"))
    with pytest.raises(RequestError, match="dataset.label_column=MEL"):
        _listed(table, _one_hot(rows), label_column="", label_columns=("MEL",))


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
        _listed(table, _rows(NAMES, ["a", "a;b", "b", "b;c", "c"] * 2))
    with pytest.raises(RequestError, match="labels in column 'label' of 'list.csv' are continuous numbers"):
        _listed(table, _rows(NAMES, [f"{i}.25" for i in range(10)]))


def test_ids_without_an_ending_and_names_in_another_case_find_their_files(table):
    (table.parent / "images" / "7.jpg").rename(table.parent / "images" / "7.JPG")
    listing = _listed(table, "file,label\n0,a\n1.JPG,b\nimages/2,a\n7.jpg,b\n")
    assert _paths(listing) == ["0.jpg", "1.jpg", "2.jpg", "7.JPG"]
    assert listing.problems == ()
    assert listing.root.name == "images"


def test_an_id_that_may_be_two_files_is_a_problem_that_names_both(table):
    write(table.parent / "images" / "0.png", JPEG)
    write(table.parent / "images" / "1.JPG", JPEG)
    listing = _listed(table, "file,label\n0,a\n1.Jpg,b\n1.jpg,a\n2,b\n")
    assert _paths(listing) == ["1.jpg", "2.jpg"]
    assert [problem.reason for problem in listing.problems] == [
        "it may be 'images/0.jpg', 'images/0.png': write the whole name",
        "it may be 'images/1.JPG', 'images/1.jpg': write the whole name",
    ]


def test_dots_in_ids_are_no_endings(tmp_path):
    for i in range(4):
        write(tmp_path / f"img.v1.{i}.png", JPEG)
    assert len(_listed(tmp_path / "x.csv", _rows([f"img.v1.{i}" for i in range(4)], "abab")).entries) == 4


@pytest.mark.parametrize("prefix", ["images/", "Images/", "./images/", "pets/images/", "pets\\images\\"])
@pytest.mark.parametrize("root", ["", "images"])
def test_a_prefix_of_the_paths_may_be_there_or_not(table, prefix, root):
    settings = {"image_root": str(table.parent / root)} if root else {}
    listing = _listed(table, _rows([prefix + name for name in NAMES], LABELS), **settings)
    assert {path.rpartition("/")[2] for path in _paths(listing)} == set(NAMES)
    assert all((listing.root / path).is_file() for path in _paths(listing))


@pytest.mark.parametrize(
    ("before", "rest"),
    [
        ("/content/drive/MyDrive/pets/", "images/"),
        ("/content/drive/MyDrive/pets/", ""),
        ("C:\\Users\\me\\pets\\", "images\\"),
        ("C:/pets/", ""),
        ("\\\\server\\share\\pets\\", "images\\"),
    ],
)
def test_absolute_paths_of_another_machine_are_found_by_their_tail(table, before, rest):
    listing = _listed(table, _rows([f"{before}{rest}{name}" for name in NAMES], LABELS))
    assert {(listing.root / path).relative_to(table.parent).as_posix() for path in _paths(listing)} == {
        f"images/{name}" for name in NAMES
    }
    assert "which is not here; the rest of each was found below" in listing.notices[0]
    assert before.replace("\\", "/").strip("/") in listing.notices[0]


def test_the_longest_tail_that_is_there_is_taken_once_for_all_paths(table):
    write(table.parent / "a" / "images" / "0.jpg", JPEG)
    for i in range(10):
        write(table.parent / "a" / "images" / f"{i}.jpg", JPEG)
    listing = _listed(table, _rows([f"/x/a/images/{name}" for name in NAMES], LABELS))
    assert _paths(listing) == [f"a/images/{name}" for name in NAMES]


def test_a_path_with_dots_that_leaves_the_root_stays_refused(table):
    listing = _listed(table, "file,label\n0.jpg,a\n../images/1.jpg,b\n/x/../../etc/passwd,b\n")
    assert [problem.reason for problem in listing.problems] == ["the path leaves the image root"] * 2


def test_urls_are_not_downloaded_and_that_is_said(table):
    with pytest.raises(
        RequestError, match="'file' of .* holds URLs, such as 'https://there.org/0.jpg', and images are not downloaded"
    ):
        _listed(table, _rows([f"https://there.org/{name}" for name in NAMES], LABELS))


def test_files_that_are_not_there_are_named_with_the_nearest_and_advice_is_not_repeated(table):
    images = str(table.parent / "images")
    with pytest.raises(
        RequestError,
        match=r"such as '00\.jpg', is in .*There are 10 images in '.*/images'; the nearest name is '0.jpg'",
    ) as said:
        _listed(table, "file,label\n00.jpg,a\n", image_root=images)
    assert "image_root" not in str(said.value)
    write(table.parent / "deep" / "er" / "x.jpg", JPEG)
    with pytest.raises(
        RequestError,
        match=f"There is '{table.parent}/deep/er/x.jpg': give --set dataset.image_root={table.parent}/deep/er$",
    ) as said:
        _listed(table, "file,label\nx.jpg,a\n")
    assert len(_listed(table, "file,label\nx.jpg,a\n", image_root=f"{table.parent}/deep/er").entries) == 1


# ---------------------------------------------------------------- encodings and files that are no tables


def test_utf_16_with_a_mark_is_read_and_other_encodings_are_named(table):
    text = _rows(["0.jpg", "1.jpg"], ["süß", "b"])
    assert [e.label for e in _listed(table, text.encode("utf-16")).entries] == ["süß", "b"]
    with pytest.raises(RequestError, match="not UTF-8.*Probably it is Windows-1252: .*iconv -f WINDOWS-1252 -t UTF-8"):
        _listed(table, text.encode("cp1252"))
    with pytest.raises(RequestError, match="Probably it is Latin-1"):
        _listed(table, text.replace("ß", "\x81").encode("latin-1"))
    with pytest.raises(RequestError, match="NUL bytes.*save it as UTF-8"):
        _listed(table, "file,label\n0.jpg,a\n".encode("utf-16-le"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xd0\xcf\x11\xe0\xa1", "an Excel workbook. Save the sheet as CSV"),
        (b"PAR1....", "give dataset.source=parquet"),
        (b"\x1f\x8b\x08", "compressed"),
    ],
)
def test_files_that_are_no_text_are_called_what_they_are(table, content, message):
    with pytest.raises(RequestError, match=message):
        _listed(table, content)


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
    assert [e.split for e in _listed(table, text, split_column=column).entries] == splits


def test_numbers_that_say_no_split_are_refused_by_name(table):
    text = "file,label,split\n0.jpg,a,0\n1.jpg,b,1\n2.jpg,b,2\n"
    with pytest.raises(RequestError, match="column 'split' holds '0', '1', '2', and none of them is a split.*is_valid"):
        _listed(table, text, split_column="split")


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
        table.parent, train=_rows(NAMES[:4], "abab"), valid=_rows(NAMES[4:6], "ab"), Test=_rows(NAMES[6:8], "ab")
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
        train=_rows(NAMES[:6], "ababab"),
        test="file\n" + "".join(f"{name}\n" for name in [*NAMES[6:9], "gone.jpg"]),
        sample_submission=_rows(NAMES[6:9], "aaa"),
        classes="number,name\n0,a\n",
    )
    listing = _of_folder(folder)
    assert len(listing.entries) == 6
    assert [problem.path for problem in listing.unlabelled] == NAMES[6:9]
    assert "'classes.csv', 'sample_submission.csv'" in listing.notices[0]
    reasons = {problem.path: problem.reason for problem in listing.left_out}
    assert reasons["gone.jpg"] == "there is no such file"


def test_tables_whose_folders_are_called_like_them_have_their_images_there(tmp_path):
    for split in ("train", "test"):
        for i in range(4):
            write(tmp_path / split / f"{i}.jpg", JPEG)
    folder = _split_tables(tmp_path, train=_rows("0123", "abab"), test=_rows("0123", "abab"))
    assert _paths(_of_folder(folder)) == [f"{split}/{i}.jpg" for split in ("test", "train") for i in range(4)]
    for i in range(4):
        write(tmp_path / "train_masks" / f"{i}.jpg", JPEG)
    with pytest.raises(RequestError, match="train table names are in several folders: 'train', 'train_masks'"):
        _of_folder(folder)


def test_tables_that_do_not_agree_or_have_no_train_are_refused_by_name(table):
    folder = _split_tables(table.parent, train=_rows(NAMES[:4], "abab"), test="picture,label\n5.jpg,a\n")
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
    folder = _split_tables(table.parent, train=_rows(NAMES[:4], "abab"), test=_rows(NAMES[3:5], "ba"))
    listing = _of_folder(folder)
    assert {problem.path for problem in listing.problems} == {"3.jpg"}
    assert "contradict one another: split test and train" in listing.problems[0].reason


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
    listing = _listed(table, f"{header}\n{''.join(rows)}")
    assert listing.group_candidates == ("sender", "patient", "sex")
    assert _listed(table, f"{header}\n{''.join(rows)}", group="sender").group_candidates == ()
