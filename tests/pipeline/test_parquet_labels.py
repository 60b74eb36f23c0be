"""What Parquet files say their labels are: each names its own classes, and what is no class is called what it is."""

import json
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from imagefiles import COLOURS, encoded, picture
from packing import opened

from bottleneck_features.pipeline.datasets import Dataset
from bottleneck_features.pipeline.errors import RequestError

NAMES = tuple(COLOURS)
_open = partial(opened, source="parquet")
NO_TEST = "dataset.test_fraction=0"


def _named(path: Path, kinds: list[str], labels: list, names: object = None, kind: object = None) -> Path:
    """Pictures of some colours with labels as they are given, and a description of them as Hugging Face writes it."""
    pictures = [{"bytes": encoded(picture(i, COLOURS[name])), "path": None} for i, name in enumerate(kinds)]
    table = pa.table({"image": pictures, "label": pa.array(labels, kind)})
    if names is not None:
        features = {"label": names if isinstance(names, dict) else {"names": names, "_type": "ClassLabel"}}
        kept = names if isinstance(names, bytes) else json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": kept})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def _labels(dataset: Dataset, split: str) -> list[str]:
    return [dataset.class_names[label] for label in dataset.splits[split].labels]


def test_each_file_names_its_own_classes_and_labels_are_compared_by_name(tmp_path):
    train, test = ["blue", "green", "red"] * 4, ["red", "blue"] * 3
    _named(tmp_path / "d" / "train.parquet", train, [0, 1, 2] * 4, ["blue", "green", "red"])
    _named(tmp_path / "d" / "test.parquet", test, [1, 0] * 3, ["blue", "red"])
    dataset = _open(tmp_path / "d", tmp_path)
    assert _labels(dataset, "train") == train
    assert _labels(dataset, "test") == test


def test_numbers_beside_names_are_refused_and_text_or_hidden_labels_are_not(tmp_path):
    kinds = ["blue", "green", "red"] * 4
    _named(tmp_path / "d" / "train.parquet", kinds, [0, 1, 2] * 4, list(NAMES))
    _named(tmp_path / "d" / "test.parquet", kinds, [0, 1, 2] * 4)
    with pytest.raises(
        RequestError, match=r"'test\.parquet' has numbers .*such as 0, .*'train\.parquet' names .*'blue'"
    ):
        _open(tmp_path / "d", tmp_path)
    _named(tmp_path / "d" / "test.parquet", kinds, kinds)
    assert _labels(_open(tmp_path / "d", tmp_path), "test") == kinds
    _named(tmp_path / "d" / "test.parquet", kinds, [-1] * 12)
    dataset = _open(tmp_path / "d", tmp_path, NO_TEST)
    assert set(dataset.splits) == {"train"}
    assert any("12 images have no label" in notice for notice in dataset.notices)


def test_a_test_file_of_minus_ones_without_names_is_unlabelled(tmp_path):
    _named(tmp_path / "d" / "train.parquet", ["blue", "red"] * 6, [0, 1] * 6)
    _named(tmp_path / "d" / "test.parquet", ["blue", "red"] * 3, [-1] * 6)
    dataset = _open(tmp_path / "d", tmp_path, NO_TEST)
    assert dataset.class_names == ("0", "1")
    assert any("6 images have no label" in notice for notice in dataset.notices)


def test_classes_may_be_called_none_and_na_where_the_file_names_them(tmp_path):
    path = _named(tmp_path / "x.parquet", ["blue", "green", "red"] * 4, [0, 1, 2] * 4, ["none", "NA", "-"])
    assert set(_open(path, tmp_path, NO_TEST).class_names) == {"none", "NA", "-"}
    text = _named(tmp_path / "y.parquet", ["blue", "green", "red"] * 4, ["a", "b", "NA"] * 4)
    assert _open(text, tmp_path, NO_TEST).class_names == ("a", "b")


@pytest.mark.parametrize(
    "names",
    [
        "blue", 3, None, {"a": 1}, ["a", 2, "c"], [["a"], ["b"]], {"names": None}, {"feature": {"feature": "x"}}, b"\xff",
        b"[1, 2]",
        b'{"info": ["features"]}', b'{"info": {"features": {"label": [1, 2]}}}', b"[" * 100_000, b'{"a":' * 50_000,
    ],
)  # fmt: skip
def test_damaged_names_of_classes_leave_the_numbers(tmp_path, names):
    path = _named(tmp_path / "x.parquet", ["blue", "green", "red"] * 4, [0, 1, 2] * 4, names)
    assert _open(path, tmp_path, NO_TEST).class_names == ("0", "1", "2")


def test_names_over_a_column_of_text_are_not_used(tmp_path):
    path = _named(tmp_path / "x.parquet", list(NAMES) * 4, list(NAMES) * 4, ["x", "y", "z"])
    assert _open(path, tmp_path, NO_TEST).class_names == NAMES


@pytest.mark.parametrize(
    ("names", "message"),
    [(["a", "b", "a "], "more than one number the name 'a'"), (["a", " ", "b"], "a number no name")],
)
def test_names_that_are_not_one_for_each_number_are_refused(tmp_path, names, message):
    path = _named(tmp_path / "x.parquet", list(NAMES) * 4, [0, 1, 2] * 4, names)
    with pytest.raises(RequestError, match=f"'x.parquet' gives {message}"):
        _open(path, tmp_path)


@pytest.mark.parametrize(
    ("labels", "kind", "names", "message"),
    [
        (
            [["cat", "dog"], ["cat"], ["dog"]] * 4,
            None,
            None,
            "several labels in a cell of column 'label', in 4 of 12 rows",
        ),
        ([[0, 2], [1], []] * 4, None, {"feature": {"names": ["a", "b", "c"]}}, 'such as \'."a", "c".\''),
        ([i + 0.25 for i in range(12)], pa.float32(), None, "continuous numbers"),
        ([{"a": 1}] * 12, None, None, "column 'label' of 'x.parquet' holds struct"),
        ([b"a", b"b", b"c"] * 4, None, None, "column 'label' of 'x.parquet' holds binary"),
    ],
)
def test_a_column_that_holds_no_classes_is_refused_as_what_it_is(tmp_path, labels, kind, names, message):
    path = _named(tmp_path / "x.parquet", list(NAMES) * 4, labels, names, kind)
    with pytest.raises(RequestError, match=message):
        _open(path, tmp_path, "dataset.image_column=image")


def test_lists_of_one_label_are_classes(tmp_path):
    path = _named(tmp_path / "x.parquet", list(NAMES) * 4, [[name] for name in NAMES] * 4)
    assert _open(path, tmp_path, NO_TEST).class_names == NAMES


def test_a_column_of_another_file_that_holds_something_else_is_refused_by_name(tmp_path):
    _named(tmp_path / "d" / "a.parquet", list(NAMES) * 4, list(NAMES) * 4)
    pq.write_table(pa.table({"image": ["x.jpg"], "label": ["red"]}), tmp_path / "d" / "b.parquet")
    with pytest.raises(RequestError, match=r"column 'image' of 'b\.parquet' holds string"):
        _open(tmp_path / "d", tmp_path)
