"""Features that someone saved as .npz become a cache; `features` itself needs no deep-learning framework."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import reading_speed

from bottleneck_features.features import CacheError, import_npz, list_caches, npz, open_features


def _save(path, samples, dtype="float32", **changes):
    rng = np.random.default_rng(samples)
    arrays = {
        "features": rng.normal(size=(samples, 3, 2)).astype(dtype),
        "labels": (np.arange(samples) % 4).reshape(-1, 1),
    }
    arrays.update(changes)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.mark.parametrize(("dtype", "stored"), [("float16", "float16"), ("float32", "float32"), ("float64", "float32")])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_of_the_walk_through_becomes_a_cache(tmp_path, monkeypatch, dtype, stored, save):
    monkeypatch.setattr(npz, "SHARD_BYTES", 100)
    monkeypatch.setattr(np, "savez", save)
    files = {"train": _save(tmp_path / "a.npz", 30, dtype), "test": _save(tmp_path / "b.npz", 11, dtype)}
    opened = open_features(import_npz(tmp_path / "caches", "mine", files))
    for split, file in files.items():
        with np.load(file) as saved:
            np.testing.assert_array_equal(opened[split].x, saved["features"].astype(stored))
            np.testing.assert_array_equal(opened[split].y, saved["labels"].ravel())
    assert opened.class_names == ("0", "1", "2", "3")
    assert opened["test"].ids[10] == "test/10"
    assert opened.path.name.startswith("mine-imported-")


def test_importing_twice_gives_the_one_cache(tmp_path):
    files = {"train": _save(tmp_path / "a.npz", 30, ids=np.array([f"x{i}" for i in range(30)]))}
    first = import_npz(tmp_path / "caches", "mine", files)
    assert import_npz(tmp_path / "caches", "mine", files) == first
    assert len(list_caches(tmp_path / "caches")) == 1
    assert open_features(first)["train"].ids[3] == "x3"


def test_an_interrupted_import_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "SHARD_BYTES", 100)
    files = {"train": _save(tmp_path / "a.npz", 30)}
    path = import_npz(tmp_path / "caches", "mine", files)
    (path / "train/00003.h5").unlink()
    import_npz(tmp_path / "caches", "mine", files)
    with np.load(files["train"]) as saved:
        np.testing.assert_array_equal(open_features(path)["train"].x, saved["features"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, "It has: features"),
        ({"features": np.zeros((5, 2), np.int64)}, "must be floats in C order. Received: int64"),
        ({"features": np.asfortranarray(np.zeros((5, 2)))}, "Fortran"),
        ({"labels": np.zeros(4)}, "5 whole numbers"),
        ({"labels": np.full(5, 0.5)}, "5 whole numbers"),
        ({"labels": np.full(5, -1)}, "-1 for id 'train/0'"),
        ({"labels": np.array(["a"] * 5, object)}, "Cannot read labels"),
        ({"features": np.full((5, 2), np.nan)}, "not finite"),
    ],
)
def test_an_npz_that_cannot_be_taken_over_says_what_it_has(tmp_path, changes, message):
    path = _save(tmp_path / "a.npz", 5, **{"features": np.zeros((5, 2)), "labels": np.zeros(5), **changes})
    with pytest.raises(CacheError, match=message):
        import_npz(tmp_path / "caches", "mine", {"train": path})


def test_a_file_that_is_no_npz_is_named(tmp_path):
    (tmp_path / "a.npz").write_text("no")
    with pytest.raises(CacheError, match=r"Cannot read .*a\.npz as \.npz"):
        import_npz(tmp_path / "caches", "mine", {"train": tmp_path / "a.npz"})
    with pytest.raises(CacheError, match=r"Cannot read .*b\.npz"):
        import_npz(tmp_path / "caches", "mine", {"train": tmp_path / "b.npz"})


def test_importing_and_reading_loads_no_deep_learning_framework(cache):
    code = (
        "import sys; from bottleneck_features import open_features; open_features(sys.argv[1])['train'].x[:]; "
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
