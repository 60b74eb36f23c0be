"""Features that someone saved as .npz or .npy become a cache; `features` itself needs no deep-learning framework."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import reading_speed
from hypothesis import given
from hypothesis import strategies as st

from bottleneck_features.features import (
    CacheError,
    ImportRefused,
    export_features,
    import_features,
    imported,
    list_caches,
    npyfiles,
    open_features,
    splits_in,
    verify,
)


def _save(path, samples, dtype="float32", **changes):
    rng = np.random.default_rng(samples)
    arrays = {
        "features": rng.normal(size=(samples, 3, 2)).astype(dtype),
        "labels": (np.arange(samples) % 4).reshape(-1, 1),
    }
    arrays.update(changes)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def _bytes(save, *arrays):
    stream = io.BytesIO()
    save(stream, *arrays)
    return stream.getvalue()


def _import(folder, files):
    return import_features(folder / "caches", "mine", files).path


@pytest.mark.parametrize(("dtype", "stored"), [("float16", "float16"), ("float32", "float32"), ("float64", "float32")])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_of_the_walk_through_becomes_a_cache(tmp_path, monkeypatch, dtype, stored, save):
    monkeypatch.setattr(imported, "SHARD_BYTES", 100)
    monkeypatch.setattr(np, "savez", save)
    files = {"train": _save(tmp_path / "a.npz", 30, dtype), "test": _save(tmp_path / "b.npz", 11, dtype)}
    opened = open_features(_import(tmp_path, files))
    for split, file in files.items():
        with np.load(file) as saved:
            np.testing.assert_array_equal(opened[split].x, saved["features"].astype(stored))
            np.testing.assert_array_equal(opened[split].y, saved["labels"].ravel())
    assert opened.class_names == ("0", "1", "2", "3")
    assert opened["test"].ids[10] == "test/10"
    assert opened.path.name.startswith("mine-imported-")


def test_importing_twice_gives_the_one_cache(tmp_path):
    files = {"train": _save(tmp_path / "a.npz", 30, ids=np.array([f"x{i}" for i in range(30)]))}
    first = _import(tmp_path, files)
    assert _import(tmp_path, files) == first
    assert len(list_caches(tmp_path / "caches")) == 1
    assert open_features(first)["train"].ids[3] == "x3"


def test_an_interrupted_import_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(imported, "SHARD_BYTES", 100)
    files = {"train": _save(tmp_path / "a.npz", 30)}
    path = _import(tmp_path, files)
    (path / "train/00003.h5").unlink()
    _import(tmp_path, files)
    with np.load(files["train"]) as saved:
        np.testing.assert_array_equal(open_features(path)["train"].x, saved["features"])


@pytest.mark.parametrize(
    ("features", "labels"),
    [
        ("features", "labels"),
        ("arr_0", "arr_1"),
        ("X_train", "y_train"),
        ("Xtrain", "Ytrain"),
        ("trainFeatures", "trainLabels"),
        ("x", "y"),
        ("embeddings", "targets"),
        ("data", "target"),
        ("bottleneck_features_train", "train_labels"),
        ("train", "train_y"),
        ("resnet50_features", "class"),
        ("codes", "species"),
    ],
)
@pytest.mark.parametrize("one_hot", [False, True])
def test_arrays_are_found_by_their_names_or_else_by_their_shapes(tmp_path, features, labels, one_hot):
    y = np.arange(12) % 3
    arrays = {
        "class_names": np.array(["a", "b", "c"]),
        "image_names": np.array([f"{i}.png" for i in range(12)]),
        labels: np.eye(3, dtype="float32")[y] if one_hot else y,
        features: np.random.default_rng(0).normal(size=(12, 5)),
    }
    np.savez(tmp_path / "a.npz", **arrays)
    train = open_features(_import(tmp_path, {"train": tmp_path / "a.npz"}))["train"]
    np.testing.assert_array_equal(train.x, arrays[features].astype("float32"))
    np.testing.assert_array_equal(train.y, y)


def _both(folder):
    x, y = np.random.default_rng(0).normal(size=(9, 1, 1, 4)).astype("float32"), np.arange(9) % 3
    np.savez(
        folder / "both.npz",
        X_train=x[:6],
        y_train=y[:6],
        X_test=x[6:],
        y_test=y[6:],
        pictures=np.zeros((9, 8, 8, 3), "u1"),
    )
    return folder / "both.npz", x, y


def test_one_file_may_hold_several_splits(tmp_path):
    file, x, y = _both(tmp_path)
    assert splits_in(file) == ("train", "test")
    opened = open_features(_import(tmp_path, dict.fromkeys(splits_in(file), file)))
    np.testing.assert_array_equal(opened["train"].x, x[:6])
    np.testing.assert_array_equal(opened["test"].x, x[6:])
    np.testing.assert_array_equal(opened["test"].y, y[6:])


def test_a_split_that_a_file_does_not_hold_is_not_made_of_another(tmp_path):
    file, *_ = _both(tmp_path)
    with pytest.raises(
        ImportRefused, match=r"features of the validation split. It has:\n  'X_train' float32 \(6, 1, 1, 4\)"
    ):
        _import(tmp_path, {"validation": file})


def test_arrays_with_names_of_any_kind_can_be_named(tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")
    np.savez(tmp_path / "a.npz", blue=x[0], red=x[1], old=np.arange(6) % 2, new=np.arange(6) % 3)
    with pytest.raises(ImportRefused, match=r"(?s)Cannot tell .*'red' float32 \(6, 4\).*train=.*a\.npz:FEATURES"):
        _import(tmp_path, {"train": tmp_path / "a.npz"})
    with pytest.raises(ImportRefused, match=r"has no array 'green'. It has:\n  'blue'"):
        _import(tmp_path, {"train": f"{tmp_path}/a.npz:green"})
    paths = {_import(tmp_path, {"train": (f"{tmp_path}/a.npz:{x}", f"{tmp_path}/a.npz:new")}) for x in ("red", "blue")}
    assert len(paths) == 2, "another array is another cache"
    red = open_features(_import(tmp_path, {"train": (f"{tmp_path}/a.npz:red", f"{tmp_path}/a.npz:new")}))["train"]
    np.testing.assert_array_equal(red.x, x[1])
    np.testing.assert_array_equal(red.y, np.arange(6) % 3)


def test_a_file_of_features_for_each_split_takes_its_labels_from_another_file(tmp_path):
    x = np.random.default_rng(0).normal(size=(6, 1, 1, 4)).astype("float32")
    np.savez(tmp_path / "DogResnet50Data.npz", train=x, valid=x[:3], test=x[3:])
    np.save(tmp_path / "valid_labels.npy", np.array(["Akita", "Boxer", "Akita"]))
    file = tmp_path / "DogResnet50Data.npz"
    assert splits_in(file) == ("train", "validation", "test")
    with pytest.raises(ImportRefused, match=r"holds the labels of the train split(?s:.*)train=.*\.npz,labels\.npy"):
        _import(tmp_path, {"train": file})
    opened = open_features(_import(tmp_path, {"valid": (file, tmp_path / "valid_labels.npy")}))
    np.testing.assert_array_equal(opened["valid"].x, x[:3])
    assert opened.class_names == ("Akita", "Boxer")


@pytest.mark.parametrize(
    ("features", "labels", "others"),
    [
        ("train_features", "train_labels", ["test_labels", "test_features"]),
        ("train_features", "y_train", ["y_test", "labels"]),
        ("train_features", "labels", ["test_labels"]),
        ("X_train", "train_y", []),
        ("bottleneck_features_train", "bottleneck_labels_train", []),
        ("features", "train_labels", ["test_labels"]),
        ("resnet_train_features", "resnet_train_labels", ["vgg_train_labels"]),
        ("codes", "labels", []),
    ],
)
def test_labels_that_lie_beside_an_npy_file_are_found(tmp_path, features, labels, others):
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    np.save(tmp_path / f"{features}.npy", x)
    np.save(tmp_path / f"{labels}.npy", np.arange(6) % 2)
    for other in others:
        np.save(tmp_path / f"{other}.npy", np.zeros(3))
    done = import_features(tmp_path / "caches", "mine", {"train": tmp_path / f"{features}.npy"})
    assert done.taken["train"].labels.path.name == f"{labels}.npy"
    np.testing.assert_array_equal(open_features(done.path)["train"].x, x)


@pytest.mark.parametrize("others", [[], ["test_labels"], ["labels", "targets"]])
def test_where_no_labels_or_several_lie_beside_an_npy_file_it_says_how_to_give_them(tmp_path, others):
    for name in ("train_features", *others):
        np.save(tmp_path / f"{name}.npy", np.zeros((6, 4)))
    with pytest.raises(ImportRefused, match=r"Give the labels as a second file.*train=.*,labels\.npy"):
        _import(tmp_path, {"train": tmp_path / "train_features.npy"})


def test_exported_npy_files_come_back_with_their_ids(cache, tmp_path):
    export_features(cache, tmp_path, "tiny", "npy")
    done = import_features(tmp_path / "caches", "mine", {"test": tmp_path / "tiny_test_features.npy"})
    np.testing.assert_array_equal(open_features(done.path)["test"].ids, open_features(cache)["test"].ids)


@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8", "float64", "longdouble"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["npy", "npz", "compressed"])
def test_any_float_in_any_order_is_taken(tmp_path, monkeypatch, dtype, order, kind):
    monkeypatch.setattr(imported, "SHARD_BYTES", 200)
    x = np.asarray(np.random.default_rng(0).normal(size=(30, 2, 3, 2)), dtype, order=order)
    y = np.arange(30) % 3
    np.save(tmp_path / "features.npy", x)
    np.save(tmp_path / "labels.npy", y)
    {"npy": np.save, "npz": np.savez, "compressed": np.savez_compressed}[kind](tmp_path / "a", x)
    file = next(tmp_path.glob("a.np*"))
    opened = open_features(_import(tmp_path, {"train": (file, tmp_path / "labels.npy")}))
    np.testing.assert_array_equal(opened["train"].x, x.astype("float16" if dtype == ">f2" else "float32"))
    assert verify(opened.path).ok


def test_a_large_array_in_fortran_order_is_turned_round_from_an_npy_only(tmp_path, monkeypatch):
    monkeypatch.setattr(npyfiles, "WHOLE_BYTES", 100)
    np.savez(tmp_path / "a.npz", features=np.asfortranarray(np.zeros((9, 4))), labels=np.zeros(9))
    with pytest.raises(ImportRefused, match=r"Save it as \.npy, or row by row"):
        _import(tmp_path, {"train": tmp_path / "a.npz"})


def test_splits_may_have_floats_of_different_length(tmp_path):
    files = {"train": _save(tmp_path / "a.npz", 8, "float16"), "test": _save(tmp_path / "b.npz", 4, "float64")}
    assert open_features(_import(tmp_path, files))["train"].x.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, r"holds the labels of the train split. It has:\n  'features'"),
        ({"features": np.zeros((5, 2), np.int64)}, r"must be floats.*int64.*astype\('float32'\)"),
        ({"features": np.zeros((5, 8, 8, 3), np.uint8)}, "looks like images, not features"),
        ({"features": np.zeros((0, 4)), "labels": np.zeros(0)}, "has no values"),
        ({"features": np.zeros((5, 0))}, "has no values"),
        ({"labels": np.zeros(4)}, r"Each row of features needs its label.*\(5, 2\).*\(4,\)"),
        ({"features": np.full((5, 2), np.nan)}, "not finite"),
        ({"features": np.full((5, 2), 1e300)}, "beyond"),
        ({"features": np.array([[1], [2]] * 5, object)}, "pickle"),
        ({"ids": np.array(["a"] * 5)}, "must all be different"),
        ({"ids": np.arange(4)}, "an id for each of 5 rows"),
        ({"ids": np.array([b"\xff", b"b", b"c", b"d", b"e"])}, "no valid text"),
    ],
)
def test_an_npz_that_cannot_be_taken_over_says_what_it_has(tmp_path, changes, message):
    path = _save(tmp_path / "a.npz", 5, **{"features": np.zeros((5, 2)), "labels": np.zeros(5), **changes})
    with pytest.raises(CacheError, match=message):
        _import(tmp_path, {"train": path})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"no", "is no .npz and no .npy file: it begins with b'no'"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file.*np.savez"),
        (pickle.dumps([1]), "is a pickle"),
        (b"PK\x03\x04", "damaged"),
        (b"PK\x05\x06" + bytes(18), "holds 0 arrays"),
    ],
)
def test_a_file_of_another_kind_is_named_for_what_it_is(tmp_path, content, message):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ImportRefused, match=rf"a\.npz.* {message}|a\.npz {message}") as refused:
        _import(tmp_path, {"train": tmp_path / "a.npz"})
    assert "not a zip" not in str(refused.value)


def test_an_array_without_a_name_in_an_npz_is_no_array(tmp_path):
    np.savez(tmp_path / "a.npz", **{"": np.zeros((5, 4)), "labels": np.zeros(5)})
    with pytest.raises(
        ImportRefused, match=r"holds the features of the train split. It has:\n  'labels' float64 \(5,\)\n"
    ):
        _import(tmp_path, {"train": tmp_path / "a.npz"})


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ImportRefused, match=r"There is no file .*b\.npz"):
        _import(tmp_path, {"train": tmp_path / "b.npz"})
    with pytest.raises(ImportRefused, match="is a folder"):
        _import(tmp_path, {"train": tmp_path})


def test_a_pickle_is_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path / "sprung").touch, ()

    for name in ("features", "labels", "ids"):
        _save(tmp_path / "a.npz", 5, **{name: np.array([Trap()] * 5)})
        with pytest.raises(ImportRefused, match="so it is never done"):
            _import(tmp_path, {"train": tmp_path / "a.npz"})
    assert not (tmp_path / "sprung").exists()


def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken(tmp_path):
    for shape in ((10**9, 10**9), (1, 10**12), (10**15, 0), (-1, 4), (5, -4)):
        with (tmp_path / "x.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            file.write(bytes(80))
        with pytest.raises(ImportRefused):
            _import(tmp_path, {"train": (tmp_path / "x.npy", tmp_path / "x.npy")})


_SOUND = {
    kind: _bytes(save, np.random.default_rng(0).normal(size=(6, 4)).astype("float32"), np.arange(6) % 2)
    for kind, save in (("npz", np.savez), ("compressed.npz", np.savez_compressed))
} | {"npy": _bytes(lambda file, x, y: np.save(file, x), np.ones((6, 4)), None)}


@given(
    st.sampled_from(sorted(_SOUND)),
    st.lists(st.tuples(st.integers(0, 700), st.binary(max_size=3)), max_size=4),
    st.integers(0, 900),
)
def test_a_damaged_file_is_taken_or_refused_but_never_breaks_the_import(kind, changes, length):
    content = bytearray(_SOUND[kind])
    for place, new in changes:
        content[place : place + len(new)] = new
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / f"a.{kind}").write_bytes(content[: length or None])
        np.save(folder / "labels.npy", np.arange(6) % 2)
        given_labels = {} if kind != "npy" else {"labels": folder / "labels.npy"}
        try:
            path = _import(
                folder,
                {"train": (folder / f"a.{kind}", *given_labels.values()) if given_labels else folder / f"a.{kind}"},
            )
        except CacheError:
            return
        assert verify(path).ok


def test_importing_and_reading_loads_no_deep_learning_framework(cache):
    code = (
        "import sys; from bottleneck_features.features import open_features; open_features(sys.argv[1])['train'].x[:]; "
        "heavy = ('tensorflow', 'keras', 'torch', 'jax', 'bottleneck_features.pipeline', 'bottleneck_features.models'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(cache)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_reading_speed_script_measures_every_form(tmp_path):
    figures = reading_speed.measure(tmp_path, samples=3000, width=64, repeats=2)
    assert {"cache", "cache_blosc2", "npz", "gzip_hdf5"} <= figures.keys()
    assert figures["cache"]["open_seconds"] < 0.1
    assert figures["cache"]["random_batch_seconds"] < 0.05
