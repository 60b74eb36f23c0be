"""Tables that name images: how they are read, which files and columns are meant, and what is said where it cannot be told."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagefiles import encoded, picture, write

from bottleneck_features.pipeline.datasets.sources.table import list_table
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
