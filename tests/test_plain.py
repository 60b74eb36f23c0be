"""Text that others chose comes out harmless, whatever it is shown on."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from bottleneck_features.errors import enumerated
from bottleneck_features.plain import CSV_FORMULA, csv_row, markdown, one_line, visible

HOSTILE = st.text(
    st.one_of(st.characters(), st.sampled_from("\x1b\x07\x9b\u202e\u2066\u200f\u2028\r\n\t=+-@|`*_[]<>#'\"\\")),
    max_size=20,
)
CONTROLS = {
    chr(n) for n in (*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}


@given(HOSTILE)
def test_no_control_or_direction_character_is_shown(text):
    assert not CONTROLS & set(visible(text))
    assert visible(visible(text)) == visible(text)


@given(HOSTILE)
def test_json_that_is_made_visible_says_the_same(text):
    shown = visible(json.dumps({"name": text}, ensure_ascii=False))
    assert not CONTROLS & set(shown)
    assert json.loads(shown) == {"name": text}


@given(st.lists(HOSTILE, min_size=1, max_size=4))
def test_no_cell_is_a_formula_and_no_row_becomes_two(cells):
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(csv_row(cells))
    (row,) = csv.reader(io.StringIO(stream.getvalue(), newline=""))
    assert len(row) == len(cells)
    assert not any(CSV_FORMULA.match(cell) for cell in row)


def test_what_is_harmless_stays_as_it_is():
    names = ["café", "maine coon", "-1", "-0.5", "1e-3", "猫", "a-b", "x=y", "cat/1.png"]
    assert csv_row(names) == names
    assert list(map(visible, names)) == names


def test_what_a_spreadsheet_would_compute_is_text():
    assert csv_row(["=1+1", "+1", "@x", "-x", "-", "\tx"]) == ["'=1+1", "'+1", "'@x", "'-x", "'-", "'\tx"]


@given(HOSTILE)
def test_a_name_is_one_line_of_markdown_without_markup(text):
    shown = markdown(text)
    assert len(shown.splitlines()) <= 1
    assert len(one_line(text).splitlines()) <= 1
    bare = shown.replace("\\\\", "")
    assert all(bare[i - 1] == "\\" for i, sign in enumerate(bare) if sign in "`*_[]<>#|")


def test_of_many_names_the_first_are_shown_and_the_others_counted():
    assert enumerated(["a", "b"], 2) == "a, b"
    assert enumerated("abcde", 2, "; ") == "a; b and 3 more"
    assert enumerated([str(i) for i in range(2000)], 1) == "0 and 1,999 more"
    assert enumerated([]) == ""
