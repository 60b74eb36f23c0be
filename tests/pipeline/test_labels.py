"""Labels: what is the same label, what says that there is none, and what is no class at all."""

import json
import re
import shlex
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagefiles import write
from packing import tar_of
from tablefiles import JPEG

from bottleneck_features.pipeline.dataset_settings import MISSING_LABELS, DatasetSettings
from bottleneck_features.pipeline.datasets import open_dataset
from bottleneck_features.pipeline.datasets.labels.kinds import is_continuous, several_labels
from bottleneck_features.pipeline.datasets.labels.reading import plain_label, read_labels, without_hidden
from bottleneck_features.pipeline.datasets.texts import text_array
from bottleneck_features.pipeline.errors import RequestError
from bottleneck_features.pipeline.experiment_file import load_experiment

PLACE = "column 'label' of 'x.csv'"


def _read(labels, place=PLACE, source="csv", **settings):
    return read_labels(text_array(labels), DatasetSettings(source, **settings), place).texts.tolist()


def _refused(labels, **settings) -> str:
    with pytest.raises(RequestError) as refused:
        _read(labels, **settings)
    return str(refused.value)


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
cells = st.one_of(
    words, st.sampled_from([*MISSING_LABELS, "None", "none", "-", "", "cat", "Cat", "café", "1.0", "2", "['a']"])
)
columns = st.lists(cells, max_size=40)


@given(columns, st.booleans(), st.sampled_from(["csv", "parquet", "folder"]))
def test_reading_labels_again_changes_nothing_and_no_row_is_lost(labels, fold_case, source):
    try:
        once = _read(labels, source=source, fold_case=fold_case)
    except RequestError:
        return
    assert len(once) == len(labels)
    assert _read(once, source=source, fold_case=fold_case) == once
    assert all(label == plain_label(label) for label in once)


@given(
    st.lists(words, min_size=1, max_size=8), st.sampled_from(["NFC", "NFD"]), st.sampled_from(["", " ", "\t", "\u00a0"])
)
def test_forms_of_unicode_and_spaces_never_make_two_classes(labels, form, space):
    plain = [unicodedata.normalize("NFC", label) for label in labels]
    other = [space + unicodedata.normalize(form, label) + space for label in labels]
    found = _read([*plain, *other], place="", source="folder")
    assert found[: len(labels)] == found[len(labels) :]


@pytest.mark.parametrize("word", ["NA", "N/A", "null", "nan", "None", "none", "-", "", "  ", " NaN "])
def test_a_cell_that_says_that_there_is_no_label_is_missing(word):
    assert _read([*["cat", "dog"] * 15, word]) == [*["cat", "dog"] * 15, ""]


def test_in_folders_these_words_are_classes():
    assert _read(["None", "-", "NA"] * 5, place="", source="folder") == ["None", "-", "NA"] * 5


def test_the_list_of_missing_words_is_what_is_given_and_the_empty_cell():
    labels = ["NA", "DE", "null", "-", ""] * 4
    assert _read(labels, missing_labels=("null", "-")) == ["NA", "DE", "", "", ""] * 4
    assert _read(labels, missing_labels=()) == ["NA", "DE", "null", "-", ""] * 4


@pytest.mark.parametrize("word", ["None", "none", "-"])
def test_a_word_that_may_be_a_class_is_asked_about_from_two_percent_on_and_both_answers_work(word):
    rare = ["cat"] * 51 + ["dog"] * 50 + [word] * 2
    assert Counter(_read(rare))[""] == 2
    labels = [*["cat"] * 50, *["dog"] * 48, *[word] * 2, "NA"]
    said = _refused(labels)
    answers = [shlex.split(answer)[1] for answer in re.findall(r"--set \S+(?<![.;])", said)]
    kept = []
    for answer in answers:
        overrides = ("dataset.source=csv", "dataset.label_column=x", answer)
        settings = load_experiment("emergency-vehicles", overrides).dataset
        kept.append(Counter(read_labels(text_array(labels), settings, PLACE).texts.tolist()))
    assert kept == [{"cat": 50, "dog": 48, word: 2, "": 1}, {"cat": 50, "dog": 48, "": 3}]


def test_an_answer_holds_even_where_all_usual_words_are_in_the_data():
    labels = [*["cat"] * 50, *["none"] * 20, *MISSING_LABELS]
    is_class, _ = re.findall(r"dataset\.missing_labels=([^';]+)", _refused(labels))
    assert Counter(_read(labels, missing_labels=tuple(is_class.split(",")))) == {"cat": 50, "none": 20, "": 10}


def test_two_words_that_may_be_classes_are_asked_about_together():
    said = _refused([*["cat"] * 20, *["-"] * 10, *["None"] * 5])
    assert "'None', '-' stands in 15 of 35 rows" in said
    assert "dataset.missing_labels=NA,None,-" in said


def test_whole_numbers_lose_the_decimal_point_that_missing_cells_gave_them():
    assert _read(["1.0", "0", "NaN", "2."]) == ["1", "0", "", "2"]
    assert _read(["1.0", "a", "01"]) == ["1.0", "a", "01"]
    assert _read(["01", "1"]) == ["01", "1"]


def test_a_test_split_of_minus_ones_is_unlabelled_and_minus_one_beside_one_is_a_class():
    labels, splits = text_array(["0", "1", "-1", "-1.0"]), text_array(["train", "train", "test", "test"])
    assert without_hidden(labels, splits).tolist() == ["0", "1", "", ""]
    both = text_array(["-1", "1", "-1", "1"])
    assert without_hidden(both, splits).tolist() == both.tolist()
    assert _read(["-1", "1"] * 5, source="parquet") == ["-1", "1"] * 5
    assert _read(["0", "1", "2"] * 40 + ["-1"], source="parquet")[-1] == ""
    said = _refused(["0", "1", "-1"] * 5, source="parquet")
    assert "dataset.missing_labels=NA,-1" in said
    assert _read(["0", "1", "-1"] * 5, source="parquet", missing_labels=("NA",)) == ["0", "1", "-1"] * 5
    assert _refused(["0", "1", "-1"] * 5) == said
    assert _read(["-1", "1"] * 5) == ["-1", "1"] * 5


def test_labels_that_differ_in_case_are_named_or_joined():
    labels = text_array(["cat", "Cat", "cat", "dog"])
    plain = read_labels(labels, DatasetSettings("csv"), PLACE)
    assert "'cat' (2), 'Cat' (1)" in plain.notices[0]
    joined = read_labels(labels, DatasetSettings("csv", fold_case=True), PLACE)
    assert joined.texts.tolist() == ["cat", "cat", "cat", "dog"]
    assert joined.notices == ()


@given(st.lists(st.text("[]{}'\",;| 01ab.-e", max_size=9), max_size=12))
def test_any_text_is_some_classes_or_a_refusal_of_labels_that_are_there(labels):
    found = several_labels(set(labels))
    assert found <= set(labels)
    try:
        read = _read(labels)
    except RequestError:
        return
    assert not several_labels(set(read) - {""})


TAGS = ("scab", "rust", "healthy", "complex")


@given(
    st.lists(st.lists(st.sampled_from(TAGS), min_size=1, max_size=3, unique=True), min_size=60, max_size=80),
    st.sampled_from(";|,"),
)
def test_random_lists_of_tags_are_several_labels(lists, separator):
    labels = {separator.join(own) for own in lists} | set(TAGS)
    found = several_labels(labels)
    assert found == {label for label in labels if separator in label}


@pytest.mark.parametrize("separator", [" ", ",", ", ", ";", "; ", "|"])
def test_several_labels_in_a_cell_are_refused_as_that(separator):
    rng = np.random.default_rng(1)
    labels = [separator.join(sorted(rng.choice(TAGS, 1 + i % 3, replace=False))) for i in range(48)]
    said = _refused(labels)
    assert re.search(
        r"several labels in a cell of column 'label' of 'x\.csv', in 32 of 48 rows, such as '\w+\W+\w+", said
    )
    assert "dataset.label_column" in said


@pytest.mark.parametrize(
    "labels",
    [
        ["['a', 'b']", "['a']", "['b', 'c']"],
        ['["scab"]', '["rust", "scab"]'],
        ["[0, 3]", "[1]"],
        ["[1 0 1]", "[0 1 0]", "[1 1 0]"],
        ["[cat, dog]", "[cat]"],
        ["clear primary", "haze primary", "clear primary water", "clear road", "clear primary road", "cloudy", "haze road",
         "primary road water"],
        ["0 3", "2", "1 4 7", "3"],
        ["0,3", "2", "3", "0", "1"],
        ["Cardiomegaly|Effusion", "Effusion", "No Finding", "Effusion|Mass", "Mass"],
        ["cat dog", "dog", "cat", "bird"],
    ],
)  # fmt: skip
def test_lists_of_every_make_are_several_labels(labels):
    assert several_labels(labels)


@pytest.mark.parametrize(
    "labels",
    [
        ["maine coon", "golden retriever", "great white shark"],
        ["red car", "blue car", "red bus", "blue bus"],
        ["red, car", "blue, car", "red, bus", "blue, bus"],
        ["tench, Tinca tinca", "goldfish, Carassius auratus", "great white shark, white shark, man-eater", "cock"],
        ["ice cream", "hot dog", "cream", "pizza"],
        ["apple", "apple rotten", "banana", "banana rotten", "cherry", "cherry rotten", "orange", "orange rotten"],
        [
            "small red car",
            "red car",
            "car",
            "small red bus",
            "red bus",
            "bus",
            "blue car",
            "blue bus",
            "small blue car",
        ],
        ["Gull, black", "Gull, white", "Albatross, black", "Albatross, white", "Puffin"],
        ["Smith, John", "Smith, Anna", "Miller, Eve", "Braun, Max"],
        ["Paris, France", "Lyon, France", "Rome, Italy"],
        ["[0, 10]", "[10, 20]", "[20, 30]"],
        ["(0, 10]", "(10, 20]"],
        ["[1, 0, 0]", "[0, 1, 0]"],
        ["0", "1", "2"],
        ["3,5", "4,2", "3,7", "4,5"],
        ["-", "?", "[", "]", "{}", ";;", " , "],
        ["[" * 1000, "[" * 900 + "]" * 900],
    ],
)
def test_names_of_several_words_are_classes(labels):
    assert several_labels(labels) == set()


def test_notes_in_archives_are_looked_at_too_and_names_of_folders_are_not(tmp_path):
    notes = [json.dumps({"label": ["cat", "dog"] if i % 2 else ["cat"]}).encode() for i in range(12)]
    members = [(f"{i}{end}", content) for i in range(12) for end, content in ((".jpg", JPEG), (".json", notes[i]))]
    words = ("dataset.source=tar", f"dataset.path={tar_of(tmp_path / 'x.tar', members)}", "input.size=32,32")
    with pytest.raises(RequestError, match="several labels in a cell of the .json files, in 6 of 12 rows"):
        open_dataset(load_experiment("natural-images", words), tmp_path)
    for name in ("cat", "dog", "cat,dog"):
        for i in range(4):
            write(tmp_path / "folder" / name / f"{i}.jpg", JPEG)
    folder = (f"dataset.path={tmp_path / 'folder'}", "input.size=32,32")
    assert open_dataset(load_experiment("natural-images", folder), tmp_path).class_names == ("cat", "cat,dog", "dog")


def test_a_list_of_one_is_its_label():
    assert _read(["['cat']", '["dog"]', "[]", "['cat']"]) == ["cat", "dog", "", "cat"]


@given(st.lists(st.floats(1, 99).map(lambda value: f"{value:.2f}"), min_size=24, max_size=60, unique=True))
def test_measured_numbers_are_continuous(values):
    assert is_continuous(Counter(values)) or all(float(value).is_integer() for value in values)


@pytest.mark.parametrize("decimal", [".", ","])
def test_a_column_of_measured_numbers_is_refused_as_that(decimal):
    rng = np.random.default_rng(7)
    said = _refused([f"{rng.uniform(1, 99):.2f}".replace(".", decimal) for _ in range(48)])
    assert "continuous numbers and no classes: 48 different values in 48 rows" in said
    assert "bins" in said
    ages = np.random.default_rng(0).integers(1, 99, 48).astype(str).tolist()
    assert "continuous" in _refused(ages)
    assert "continuous" in _refused([*map(str, rng.normal(size=40)), "unknown"])


@pytest.mark.parametrize(
    "labels",
    [
        list(range(10)) * 3,
        list(range(1000)) * 2,
        list(range(0, 1000, 7)) * 3,
        [*range(100), *range(50)],
        [0.5, 1.0, 1.5, 2.0, 2.5, 3.0] * 4,
        [1, 2, 3],
        [1990 + i % 30 for i in range(300)],
        ["a", 1, 2.5, "b"] * 3,
    ],
)
def test_numbers_of_classes_are_classes(labels):
    assert _read(map(str, labels)) == list(map(str, labels))


def test_texts_that_never_repeat_are_no_classes():
    assert "none of the 12 occurs twice, such as" in _refused([f"note {i}" for i in range(12)])
