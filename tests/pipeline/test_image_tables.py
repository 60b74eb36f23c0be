"""Tables that name images: how files of text are read, and which image each row means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagefiles import write
from tablefiles import JPEG, LABELS, NAMES, listed, paths, rows

from bottleneck_features.pipeline.dataset_settings import DatasetSettings
from bottleneck_features.pipeline.datasets.sources.table import list_table
from bottleneck_features.pipeline.errors import RequestError


def test_a_relative_path_is_named_with_what_it_stands_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match=f"'d/x', which is '{tmp_path}/d/x'"):
        list_table(DatasetSettings("csv", "d/x"))


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
    listing = listed(table, text)
    assert [(entry.path, entry.label) for entry in listing.entries] == [("0.jpg", "a"), ("1.jpg", "b")]
    assert listing.entries[0].row == 2
    assert listing.problems == ()
    assert len(listing.left_out) == 8
    assert listing.root.name == "images"


def test_whole_numbers_lose_their_decimal_point(table):
    assert [entry.label for entry in listed(table, "file,label\n0.jpg,1.0\n1.jpg,0\n").entries] == ["1", "0"]


def test_a_split_column_and_a_group_column_are_kept(table):
    text = "file,label,part,photo\n0.jpg,a,Train,p1\n1.jpg,a,valid,p2\n2.jpg,b,TEST,p1\n"
    listing = listed(table, text, split_column="part", group="photo")
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
    problems = listed(table, f"file,label\n0.jpg,a\n{row}\n").problems
    assert reason in problems[-1].reason
    assert problems[-1].row == 3


def test_absolute_paths_inside_the_image_root_are_taken_as_relative_to_it(table):
    folder = table.parent
    (folder / "link").symlink_to(folder / "images")
    places = (f"{folder}/images/0.jpg", f"{folder}/link/1.jpg", "/etc/passwd", "2.jpg")
    listing = listed(table, "file,label\n" + "".join(f"{place},a\n" for place in places))
    assert paths(listing) == ["0.jpg", "1.jpg", "2.jpg"]
    assert [(item.path, item.reason) for item in listing.problems] == [
        ("/etc/passwd", "the path leaves the image root")
    ]
    assert paths(listed(table, f"file,label\n{places[0]},a\n", image_root=str(folder))) == ["images/0.jpg"]


def test_a_repeated_row_is_used_once(table):
    listing = listed(table, "file,label\n0.jpg,a\n0.jpg,a\n1.jpg,b\n")
    assert paths(listing) == ["0.jpg", "1.jpg"]
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
        listed(table, text)


@given(st.binary(max_size=300))
def test_any_bytes_as_a_table_are_a_listing_or_a_refusal(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("table")
    write(folder / "0.jpg", JPEG)
    try:
        listing = listed(folder / "list.csv", b"file,label\n0.jpg,a\n" + content)
    except RequestError as error:
        assert "list.csv" in str(error)  # noqa: PT017
    else:
        assert {entry.label for entry in listing.entries if entry.path == "0.jpg"} <= {"a"}


def test_ids_without_an_ending_and_names_in_another_case_find_their_files(table):
    (table.parent / "images" / "7.jpg").rename(table.parent / "images" / "7.JPG")
    listing = listed(table, "file,label\n0,a\n1.JPG,b\nimages/2,a\n7.jpg,b\n")
    assert paths(listing) == ["0.jpg", "1.jpg", "2.jpg", "7.JPG"]
    assert listing.problems == ()
    assert listing.root.name == "images"


def test_an_id_that_may_be_two_files_is_a_problem_that_names_both(table):
    write(table.parent / "images" / "0.png", JPEG)
    write(table.parent / "images" / "1.JPG", JPEG)
    listing = listed(table, "file,label\n0,a\n1.Jpg,b\n1.jpg,a\n2,b\n")
    assert paths(listing) == ["1.jpg", "2.jpg"]
    assert [problem.reason for problem in listing.problems] == [
        "it may be 'images/0.jpg', 'images/0.png': write the whole name",
        "it may be 'images/1.JPG', 'images/1.jpg': write the whole name",
    ]


def test_dots_in_ids_are_no_endings(tmp_path):
    for i in range(4):
        write(tmp_path / f"img.v1.{i}.png", JPEG)
    assert len(listed(tmp_path / "x.csv", rows([f"img.v1.{i}" for i in range(4)], "abab")).entries) == 4


@pytest.mark.parametrize("prefix", ["images/", "Images/", "./images/", "pets/images/", "pets\\images\\"])
@pytest.mark.parametrize("root", ["", "images"])
def test_a_prefix_of_the_paths_may_be_there_or_not(table, prefix, root):
    settings = {"image_root": str(table.parent / root)} if root else {}
    listing = listed(table, rows([prefix + name for name in NAMES], LABELS), **settings)
    assert {path.rpartition("/")[2] for path in paths(listing)} == set(NAMES)
    assert all((listing.root / path).is_file() for path in paths(listing))


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
    listing = listed(table, rows([f"{before}{rest}{name}" for name in NAMES], LABELS))
    assert {(listing.root / path).relative_to(table.parent).as_posix() for path in paths(listing)} == {
        f"images/{name}" for name in NAMES
    }
    assert "which is not here; the rest of each was found below" in listing.notices[0]
    assert before.replace("\\", "/").strip("/") in listing.notices[0]


def test_the_longest_tail_that_is_there_is_taken_once_for_all_paths(table):
    write(table.parent / "a" / "images" / "0.jpg", JPEG)
    for i in range(10):
        write(table.parent / "a" / "images" / f"{i}.jpg", JPEG)
    listing = listed(table, rows([f"/x/a/images/{name}" for name in NAMES], LABELS))
    assert paths(listing) == [f"a/images/{name}" for name in NAMES]


def test_a_path_with_dots_that_leaves_the_root_stays_refused(table):
    listing = listed(table, "file,label\n0.jpg,a\n../images/1.jpg,b\n/x/../../etc/passwd,b\n")
    assert [problem.reason for problem in listing.problems] == ["the path leaves the image root"] * 2


def test_urls_are_not_downloaded_and_that_is_said(table):
    with pytest.raises(
        RequestError, match="'file' of .* holds URLs, such as 'https://there.org/0.jpg', and images are not downloaded"
    ):
        listed(table, rows([f"https://there.org/{name}" for name in NAMES], LABELS))


def test_files_that_are_not_there_are_named_with_the_nearest_and_advice_is_not_repeated(table):
    images = str(table.parent / "images")
    with pytest.raises(
        RequestError,
        match=r"such as '00\.jpg', is in .*There are 10 images in '.*/images'; the nearest name is '0.jpg'",
    ) as said:
        listed(table, "file,label\n00.jpg,a\n", image_root=images)
    assert "image_root" not in str(said.value)
    write(table.parent / "deep" / "er" / "x.jpg", JPEG)
    with pytest.raises(
        RequestError,
        match=f"There is '{table.parent}/deep/er/x.jpg': give --set dataset.image_root={table.parent}/deep/er$",
    ) as said:
        listed(table, "file,label\nb/x.jpg,a\n")
    assert len(listed(table, "file,label\nb/x.jpg,a\n", image_root=f"{table.parent}/deep/er").entries) == 1
    write(table.parent / "deep" / "y.jpg", JPEG)
    with pytest.raises(RequestError, match=r"There is '.*', but others are in other folders: write the folders"):
        listed(table, "file,label\nb/x.jpg,a\nb/y.jpg,a\n")


# ---------------------------------------------------------------- encodings and files that are no tables


def test_utf_16_with_a_mark_is_read_and_other_encodings_are_named(table):
    text = rows(["0.jpg", "1.jpg"], ["süß", "b"])
    assert [e.label for e in listed(table, text.encode("utf-16")).entries] == ["süß", "b"]
    with pytest.raises(RequestError, match="not UTF-8.*Probably it is Windows-1252: .*iconv -f WINDOWS-1252 -t UTF-8"):
        listed(table, text.encode("cp1252"))
    with pytest.raises(RequestError, match="Probably it is Latin-1"):
        listed(table, text.replace("ß", "\x81").encode("latin-1"))
    with pytest.raises(RequestError, match="NUL bytes.*save it as UTF-8"):
        listed(table, "file,label\n0.jpg,a\n".encode("utf-16-le"))


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
        listed(table, content)


@pytest.mark.parametrize("ending", ["", ".jpg"])
def test_names_of_images_in_several_folders_are_found_where_they_are_once(tmp_path, ending):
    for part, numbers in (("part_1", range(4)), ("part_2/images", range(4, 8))):
        for number in numbers:
            write(tmp_path / part / f"ISIC_{number}.jpg", JPEG)
    rows = "".join(f"ISIC_{number}{ending},{'ab'[number % 2]}\n" for number in range(8))
    (tmp_path / "data.csv").write_text("file,label\n" + rows)
    settings = DatasetSettings("csv", str(tmp_path / "data.csv"), image_column="file", label_column="label")
    listing = list_table(settings)
    assert [entry.path for entry in listing.entries] == [
        *(f"part_1/ISIC_{number}.jpg" for number in range(4)),
        *(f"part_2/images/ISIC_{number}.jpg" for number in range(4, 8)),
    ]
    assert not listing.problems
    assert "all of them were searched" in listing.notices[0]
    write(tmp_path / "part_2/ISIC_0.jpg", JPEG)
    (problem,) = list_table(settings).problems
    assert "it may be 'part_1/ISIC_0.jpg', 'part_2/ISIC_0.jpg'" in problem.reason
