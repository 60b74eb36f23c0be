"""Labels as others save them become the classes that they mean, or are refused for what they are."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bottleneck_features.features import ImportRefused, import_features, npyfiles, open_features

EYE = np.eye(3)[[0, 1, 2, 0]]


def _opened(folder, **labels):
    files = {}
    for split, own in labels.items():
        np.savez(folder / f"{split}.npz", features=np.ones((len(own), 4), "float32"), labels=own)
        files[split] = folder / f"{split}.npz"
    return open_features(import_features(folder / "caches", "mine", files).path)


def _named(opened, split="train"):
    return [opened.class_names[number] for number in opened[split].y]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array(["eel", "cat", "dog", "cat"]), ("cat", "dog", "eel")),
        (np.array([b"eel", b"cat"]), ("cat", "eel")),
        (np.array([["eel"], ["cat"]]), ("cat", "eel")),
        (np.array([" cafe\u0301", "caf\u00e9 "]), ("caf\u00e9",)),
        (EYE.astype("float32"), ("0", "1", "2")),
        (EYE.astype("uint8"), ("0", "1", "2")),
        (EYE.astype(bool), ("0", "1", "2")),
        (np.asfortranarray(EYE), ("0", "1", "2")),
        (np.array([3, 1, 2, 10]), ("1", "2", "3", "10")),
        (np.array([[3], [1]], ">i4"), ("1", "3")),
        (np.array([2.0, 1.0], "float16"), ("1", "2")),
        (np.array([True, False]), ("0", "1")),
        (np.array([7, 9], "uint8"), ("7", "9")),
        (np.array([2**64 - 1] * 2, "uint64").astype(str), (str(2**64 - 1),)),
        (np.array([1_000_001, 1_000_002]), ("1000001", "1000002")),
    ],
)
def test_the_classes_are_the_different_labels(tmp_path, labels, classes):
    assert _opened(tmp_path, train=labels).class_names == classes


def test_the_classes_are_those_of_all_splits_and_mean_the_same_in_each(tmp_path):
    opened = _opened(tmp_path, train=np.array(["dog", "cat", "eel"]), test=np.array(["eel", "cat"]))
    assert _named(opened, "test") == ["eel", "cat"]
    mixed = _opened(tmp_path, train=EYE, test=np.array([2, 0]))
    assert _named(mixed, "test") == ["2", "0"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array(["a", 1] * 2, object), "pickle"),
        (np.array([0.5, 1.0]), r"measured numbers.*row 0 is 0\.5.*regression"),
        (np.array([1.0, np.nan]), "Row 1 of .* has no label"),
        (np.array([1.0, np.inf]), "Row 1 of .* has no label"),
        (np.array(["a", " "]), "Row 1 of .* has no label"),
        (np.array([0, -1]), "Row 1 of .* has the label -1. Negative"),
        (np.array([[1, 0], [1, 1.0]]), "Row 1 has several labels"),
        (np.array([[1, 0], [0, 0.0]]), "Row 1 has no label"),
        (np.array([[1, 0], [0.25, 0.75]]), r"Row 1 is \[0\.25, 0\.75\]"),
        (np.array([[1, 5], [3, 4]]), r"Row 0 is \[1, 5\]"),
        (np.zeros((2, 2, 2)), r"cannot be labels.*\(2, 2, 2\)"),
        (np.array([["a", "b"]] * 2), "cannot be labels"),
        (np.array([1j, 2j]), "cannot be labels.*complex"),
        (np.array(["2020-01-01"] * 2, "datetime64[D]"), "cannot be labels"),
        (np.zeros(2, [("a", "i4")]), "cannot be labels"),
        (np.array([b"a", b"\xff"]), "row 1 .*no valid text"),
        (np.array([0, 1, 10**8]), "label.* from 0 to 100000000.*as text"),
        (np.array([0, 2**64 - 1], "uint64"), "from 0 to 1.84467e\\+19"),
        (np.array([0, 1e308]), "from 0 to more than 1e300"),
    ],
)
def test_what_are_no_classes_is_refused_for_what_it_is(tmp_path, labels, message):
    started = time.perf_counter()
    with pytest.raises(ImportRefused, match=message):
        _opened(tmp_path, train=labels)
    assert time.perf_counter() - started < 5


def test_a_class_without_training_rows_is_named(tmp_path):
    with pytest.raises(ImportRefused, match="The test split has labels that no row of train has: 'eel'"):
        _opened(tmp_path, train=np.array(["cat", "dog"]), test=np.array(["cat", "eel"]))


def test_one_hot_rows_of_other_width_are_refused(tmp_path):
    with pytest.raises(ImportRefused, match="Received columns: train 3, test 2"):
        _opened(tmp_path, train=EYE, test=np.eye(2))


def test_too_many_classes_are_refused_while_reading(tmp_path, monkeypatch):
    monkeypatch.setattr("bottleneck_features.features.labels.MOST_CLASSES", 50)
    with pytest.raises(ImportRefused, match="more than 50 different"):
        _opened(tmp_path, train=np.arange(100))


@given(
    hnp.arrays(
        st.sampled_from([np.dtype(kind) for kind in ("?", "u1", "<i2", ">i8", "u8", "<f2", ">f4", "f8", "<U3", "S2")]),
        st.one_of(st.tuples(st.integers(1, 6)), st.tuples(st.integers(1, 6), st.integers(1, 3))),
    )
)
def test_labels_of_any_kind_keep_their_meaning_or_are_refused(labels):
    with tempfile.TemporaryDirectory() as name:
        try:
            opened = _opened(Path(name), train=labels)
        except ImportRefused:
            return
        assert len(set(opened.class_names)) == len(opened.class_names)
        one_hot = labels.ndim == 2 and labels.shape[1] > 1
        meant = labels.argmax(axis=1) if one_hot else labels.ravel()
        for seen, value in zip(_named(opened), meant, strict=True):
            assert seen if isinstance(value, str | bytes) else int(seen) == value


@given(st.lists(st.sampled_from(["cat", "dog", "10", "9", "Ärger", "日本"]), min_size=1, max_size=40))
def test_text_comes_back_whatever_the_blocks(texts):
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(npyfiles, "BLOCK_BYTES", 60)
        assert _named(_opened(Path(name), train=np.array(texts))) == texts
