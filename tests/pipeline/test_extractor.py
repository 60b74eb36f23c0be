"""`bf.Extractor`: features of images as a transformer of scikit-learn, kept in the home."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
from commandline import invoke
from imagefiles import class_folders, encoded, picture, write
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

import bottleneck_features as bf
from bottleneck_features import models
from bottleneck_features.features import list_caches, open_features, remove_cache, verify
from bottleneck_features.pipeline.extraction import kept_rows

LAYERS = ["block5c_add", "top_activation"]
WIDTH = 112 + 1280


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return class_folders(tmp_path_factory.mktemp("pictures"), images=12)


@pytest.fixture(scope="module")
def extracted(tmp_path_factory, pictures) -> Path:
    """A home in which stage one has run on the pictures, at 32 pixels."""
    home = tmp_path_factory.mktemp("home")
    done = invoke("features", str(pictures), "--set", "input.size=32,32", home=home)
    assert done.exit_code == 0, done.output
    return home


@pytest.fixture
def home(extracted, tmp_path) -> Path:
    return Path(shutil.copytree(extracted, tmp_path / "home", copy_function=shutil.copy2))


@pytest.fixture
def empty(extracted, tmp_path) -> Path:
    """A home with networks and without features."""
    shutil.copytree(extracted / "networks", tmp_path / "empty" / "networks")
    return tmp_path / "empty"


@pytest.fixture(scope="module")
def paths(pictures) -> list[str]:
    return [str(path) for path in sorted(pictures.rglob("*.jpg"))]


@pytest.fixture(scope="module")
def labels(paths) -> list[str]:
    return [Path(path).parent.name for path in paths]


@pytest.fixture(scope="module")
def expected(extracted, paths) -> np.ndarray:
    """The rows that stage one made of the paths."""
    (folder,) = (info.path for info in list_caches(extracted / "features"))
    return cached(folder, paths)


def cached(folder: Path, paths: list[str]) -> np.ndarray:
    rows = {}
    for split in open_features(folder).values():
        layers = [split.features[layer][:] for layer in LAYERS]
        rows |= dict(zip(split.ids, np.concatenate(layers, axis=1), strict=True))
    return np.stack([rows["/".join(Path(path).parts[-2:])] for path in paths]).astype(np.float32)


def small(home: Path, **settings: object) -> bf.Extractor:
    return bf.Extractor(**{"size": 32, "home": home, **settings})


def caches(home: Path) -> list[Path]:
    return sorted(info.path for info in list_caches(home / "features"))


def kept(home: Path) -> list[Path]:
    return [path for path in caches(home) if path.name.startswith("extractor-")]


def test_what_features_computed_is_taken_and_nothing_is_computed(home, paths, expected):
    shutil.rmtree(home / "networks")
    x = small(home).fit_transform(paths)
    assert (x.shape, x.dtype) == ((len(paths), WIDTH), np.float32)
    np.testing.assert_array_equal(x, expected)
    assert kept(home) == []
    assert not (home / "networks").exists()


def test_what_an_extractor_computed_is_taken_by_features(empty, pictures, paths, expected):
    np.testing.assert_array_equal(small(empty).transform(paths), expected)
    done = invoke("features", str(pictures), "--set", "input.size=32,32", "--json", home=empty)
    result = json.loads(done.stdout)
    assert (result["images"], result["images_reused"]) == (0, len(paths))
    assert result["reused_from"] == {kept(empty)[0].name: len(paths)}


def test_without_a_cache_nothing_is_written_and_the_rows_are_the_same(extracted, tmp_path, paths, expected):
    nowhere = tmp_path / "nowhere"
    extractor = small(nowhere, cache=None)
    assert len(extractor.get_feature_names_out()) == WIDTH
    np.testing.assert_array_equal(extractor.transform(paths), expected)
    assert not nowhere.exists()


def test_only_new_contents_are_computed_each_of_them_once(home, paths, expected, tmp_path):
    new = write(tmp_path / "new.jpg", encoded(picture(77)))
    x = small(home).transform([paths[0], new, new, paths[5]])
    np.testing.assert_array_equal(x[[0, 3]], expected[[0, 5]])
    np.testing.assert_array_equal(x[1], x[2])
    (folder,) = kept(home)
    assert len(open_features(folder)["images"]) == 1


def test_subsets_and_folds_put_no_row_on_the_disk_twice(empty, paths, expected):
    order = np.random.default_rng(0).permutation(len(paths))
    for part in (order[:20], order[10:25], order[24:], order[:1], order):
        np.testing.assert_array_equal(small(empty).transform([paths[i] for i in part]), expected[part])
    contents = np.concatenate([open_features(folder)["images"].contents for folder in kept(empty)])
    assert len(contents) == len(np.unique(contents, axis=0)) == len(paths)


def test_pictures_that_come_one_by_one_leave_few_caches(empty, paths, expected):
    extractor = small(empty)
    for path in paths:
        extractor.transform([path])
    assert len(kept(empty)) <= 6
    np.testing.assert_array_equal(extractor.transform(paths), expected)
    assert sum(len(open_features(folder)["images"]) for folder in kept(empty)) == len(paths)


def test_an_opened_png_and_its_file_have_the_same_features(empty, tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for i, file in enumerate(files):
        picture(i).save(file)
    extractor = small(empty)
    x = extractor.transform(files)
    np.testing.assert_array_equal(extractor.transform([Image.open(file) for file in files]), x)


def test_arrays_have_the_rows_that_features_makes_of_an_npz(tmp_path, empty):
    x, y = np.stack([np.asarray(picture(i)) for i in range(30)]), np.arange(30) % 2
    np.savez(tmp_path / "a.npz", x=x, y=y)
    done = invoke("features", str(tmp_path / "a.npz"), "--set", "input.size=32,32", home=empty)
    assert done.exit_code == 0, done.output
    (folder,) = caches(empty)
    rows = small(empty).transform(x)
    assert kept(empty) == []
    split = open_features(folder)["train"]
    places = [int(name.rpartition("-")[2]) for name in split.ids]
    made = np.concatenate([split.features[layer][:] for layer in LAYERS], axis=1)
    np.testing.assert_array_equal(rows[places], made.astype(np.float32))
    np.testing.assert_array_equal(small(empty).transform(list(x / 255)), rows)
    np.testing.assert_array_equal(small(empty, cache=None).transform(x), rows)


def test_views_are_averaged(empty, paths):
    same, mirrored = (
        small(empty, views=[view], dtype="float32").transform(paths[:3]) for view in ("identity", "hflip")
    )
    both = small(empty, views=["identity", "hflip"], dtype="float32").transform(paths[:3])
    np.testing.assert_allclose(both, (same + mirrored) / 2, rtol=1e-5, atol=1e-6)
    assert (same != mirrored).any()


def test_the_constructor_only_sets_attributes_and_clone_has_the_same():
    odd = bf.Extractor("no such network", layers=3, size="large", cache=1)
    assert clone(odd).get_params() == odd.get_params()
    assert odd.set_params(layers=["a"]).layers == ["a"]


def test_a_pickle_has_no_network_in_it_and_works(empty, paths, expected):
    extractor = small(empty, cache=None).fit(paths)
    extractor.transform(paths[:2])
    content = pickle.dumps(extractor)
    assert len(content) < 2000
    np.testing.assert_array_equal(pickle.loads(content).transform(paths[:2]), expected[:2])


def test_names_of_features_are_layer_and_channel(home, paths):
    names = small(home).get_feature_names_out()
    assert (len(names), names[0], names[112]) == (WIDTH, "block5c_add_0", "top_activation_0")
    later = small(home, layers="top_activation").fit().get_feature_names_out()
    assert (len(later), later[-1]) == (1280, "top_activation_1279")


def test_set_output_gives_a_table_with_these_names(home, paths, expected):
    import pandas

    table = (
        small(home)
        .set_output(transform="pandas")
        .fit_transform(pandas.DataFrame({"path": paths}, index=range(9, 9 + len(paths))))
    )
    assert list(table.columns[:2]) == ["block5c_add_0", "block5c_add_1"]
    assert list(table.index) == list(range(9, 9 + len(paths)))
    np.testing.assert_array_equal(table.to_numpy(), expected)


def test_fit_is_not_needed_and_changes_nothing(home, paths, expected):
    extractor = small(home)
    before = vars(extractor).copy()
    assert extractor.fit(paths).fit(None) is extractor
    assert vars(extractor) == before
    np.testing.assert_array_equal(extractor.transform(paths), expected)
    tags = extractor.__sklearn_tags__()
    assert not tags.requires_fit
    assert not tags.input_tags.two_d_array


def test_random_weights_are_said(empty, paths):
    with pytest.warns(UserWarning, match="RANDOM WEIGHTS: efficientnet-lite0 was not pre-trained"):
        assert small(empty, weights="random", layers="block5c_add").transform(paths[:2]).shape == (2, 112)


def test_threads_may_share_one(home, paths, expected):
    extractor = small(home, cache=None)
    with ThreadPoolExecutor(3) as pool:
        parts = pool.map(extractor.transform, [paths[:12], paths[12:24], paths[24:]])
    np.testing.assert_array_equal(np.concatenate(list(parts)), expected)


def test_other_settings_open_another_network(home, paths, expected):
    extractor = small(home)
    extractor.transform(paths[:1])
    extractor.set_params(layers=["top_activation"])
    assert len(extractor.get_feature_names_out()) == 1280
    assert extractor.transform(paths[:2]).shape == (2, 1280)


def test_in_a_pipeline_it_is_cross_validated(home, paths, labels):
    pipe = make_pipeline(small(home), LogisticRegression(max_iter=1000))
    assert cross_val_score(pipe, paths, labels, cv=3).mean() > 0.9
    assert pipe.fit(paths, labels).predict(paths[:1]) == labels[:1]
    assert kept(home) == []


def test_workers_of_a_grid_search_share_what_they_compute(empty, paths, labels):
    pipe = make_pipeline(small(empty), LogisticRegression(max_iter=1000))
    search = GridSearchCV(pipe, {"logisticregression__C": [0.1, 1.0]}, cv=3, n_jobs=2).fit(paths, labels)
    assert search.best_score_ > 0.9
    assert sum(len(open_features(folder)["images"]) for folder in kept(empty)) == len(paths)


def threads_and_rows(home: Path, paths: list[str]) -> tuple[str, int, np.ndarray]:
    extractor = small(home, cache=None, engine="openvino", precision="float32")
    rows = extractor.transform(paths)
    compiled = extractor._opened._network._engine._compiled
    return os.environ["OMP_NUM_THREADS"], compiled.get_property("INFERENCE_NUM_THREADS"), rows


def test_each_worker_opens_a_network_of_its_own_with_its_share_of_the_cores(empty, paths):
    whole = small(empty, engine="openvino", precision="float32").transform(paths[:5])
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(threads_and_rows)(empty, paths[:5]) for _ in range(2))
    share = max(1, joblib.cpu_count() // 2)
    for setting, threads, rows in found:
        assert (int(setting), threads) == (share, share)
        np.testing.assert_array_equal(rows, whole)


SHARE = """
import sys
import bottleneck_features as bf
bf.Extractor(size=32, engine="tensorflow", precision="float32", cache=None).transform(sys.argv[1:])
import tensorflow as tf
print(tf.config.threading.get_intra_op_parallelism_threads())
"""


def test_tensorflow_takes_its_share_of_the_cores_too(paths):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", SHARE, *paths[:2]]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["1"]


SCRIPT = """
import sys
import numpy as np
from sklearn.datasets import load_digits
import bottleneck_features as bf
images = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
x = bf.Extractor(size=96, batch_size=4, home=sys.argv[1]).transform(images)
np.save(sys.argv[2], x)
"""


def started(home: Path, out: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(home), str(out)], stderr=subprocess.DEVNULL)


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    home, out = tmp_path / "home", tmp_path / "x.npy"
    process, deadline = started(home, out), time.monotonic() + 200
    while not sum(info.done_images for info in list_caches(home / "features")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    (first,) = (path.stat().st_ino for path in home.glob("features/extractor-*/images/*.h5"))
    assert started(home, out).wait(200) == 0
    (folder,) = kept(home)
    assert not verify(folder).problems
    assert first in {path.stat().st_ino for path in folder.rglob("*.h5")}
    x = np.load(out)
    assert x.shape == (1797, WIDTH)
    assert len(open_features(folder)["images"]) == len(np.unique(x, axis=0))


def test_two_processes_at_once_compute_each_image_once(tmp_path):
    home, outs = tmp_path / "home", [tmp_path / "a.npy", tmp_path / "b.npy"]
    assert [process.wait(280) for process in [started(home, out) for out in outs]] == [0, 0]
    np.testing.assert_array_equal(*map(np.load, outs))
    (folder,) = kept(home)
    assert not verify(folder).problems


@pytest.mark.parametrize("harm", ["flipped", "cut", "removed"])
def test_damaged_rows_are_computed_again(harm, home, paths, expected, caplog):
    (folder,) = caches(home)
    shard = max(folder.rglob("*.h5"), key=lambda path: path.stat().st_size)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "removed":
        shard.unlink()
    else:
        shard.write_bytes(content if harm == "flipped" else content[:-100])
    np.testing.assert_array_equal(small(home).transform(paths), expected)
    assert harm == "removed" or f"{shard.name} is damaged" in caplog.text
    assert len(kept(home)) == 1


def test_damaged_rows_of_its_own_are_computed_again(empty, paths, expected):
    small(empty).transform(paths)
    (folder,) = kept(empty)
    shard = next((folder / "images").glob("*.h5"))
    shard.write_bytes(shard.read_bytes()[:-1])
    for _ in range(2):
        np.testing.assert_array_equal(small(empty).transform(paths), expected)


def test_rows_of_another_kind_of_machine_are_not_used(home, paths, expected, monkeypatch):
    monkeypatch.setattr(kept_rows, "machine_kind", lambda engine: "another")
    np.testing.assert_array_equal(small(home).transform(paths), expected)
    assert len(open_features(kept(home)[0])["images"]) == len(paths)


def test_its_caches_are_listed_verified_and_removed_as_all_are(empty, paths, expected):
    small(empty).transform(paths)
    (folder,) = kept(empty)
    assert folder.name in invoke("cache", "ls", home=empty).output
    assert invoke("cache", "verify", folder.name, home=empty).exit_code == 0
    assert invoke("cache", "rm", folder.name, "--yes", home=empty).exit_code == 0
    assert kept(empty) == []
    np.testing.assert_array_equal(small(empty).transform(paths), expected)
    remove_cache(kept(empty)[0])


WRONG = {
    "backbone": (
        {"backbone": "resnet5"},
        models.UnknownBackbone,
        "There is no backbone 'resnet5'. Nearest: 'resnet50'",
    ),
    "layer": ({"layers": ["top"]}, models.UnknownLayer, "has no layer 'top'. Nearest"),
    "no layers": ({"layers": []}, bf.RequestError, "Name the layers of 'efficientnet-lite0'"),
    "size": ({"size": (32, 32, 3)}, bf.RequestError, "input.size"),
    "size of text": ({"size": "32"}, bf.RequestError, "input.size.*Received: '32'"),
    "pooling": ({"pooling": "mean"}, bf.RequestError, "features.pooling: unknown value. Valid: 'avg'"),
    "poolings": ({"pooling": ["avg"] * 3}, bf.RequestError, "3 poolings for 2 layers"),
    "view": ({"views": ["left"]}, bf.RequestError, "input.views: unknown value"),
    "dtype": ({"dtype": "float64"}, bf.RequestError, "features.dtype: unknown value"),
    "engine": ({"engine": "torch"}, bf.RequestError, "compute.engine: unknown value"),
    "int8": ({"precision": "int8"}, bf.RequestError, r"int8 is calibrated on training images.*extractor\(\)"),
    "batch": ({"batch_size": 0}, bf.RequestError, "compute.batch_size"),
    "cache": ({"cache": "yes"}, bf.RequestError, "cache is 'home'.*Received: 'yes'"),
    "weights": ({"weights": "nowhere.h5"}, models.InvalidSetting, "no weights file 'nowhere.h5'"),
    "range": ({"value_range": (1, 0)}, bf.RequestError, "value_range takes the lowest and the highest"),
    "kernel": ({"resize": "lanczos3", "antialias": False}, bf.RequestError, "input.antialias=false goes with"),
}


@pytest.mark.parametrize("what", list(WRONG))
def test_wrong_settings_are_refused_when_they_are_used(what, empty, paths):
    settings, kind, message = WRONG[what]
    with pytest.raises(kind, match=f"(?s){message}"):
        small(empty, **settings).fit_transform(paths)


def test_numbers_of_numpy_and_paths_are_taken_as_settings(home, paths, expected):
    x = small(home, size=np.array([32, 32]), batch_size=np.int64(32), layers=np.array(LAYERS)).transform(paths)
    np.testing.assert_array_equal(x, expected)


def test_images_that_cannot_be_used_are_all_named(home, paths, tmp_path):
    bad = write(tmp_path / "bad.jpg", b"no image")
    with pytest.raises(bf.PipelineError, match="(?s)1 of 3 images cannot be used.*bad.jpg'"):
        small(home).transform([paths[0], bad, paths[1]])
    assert kept(home) == []


def test_deep_files_need_a_range(empty, tmp_path):
    file = tmp_path / "x.png"
    Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40)).save(file)
    with pytest.raises(bf.PipelineError, match="16-bit .*dataset.value_range"):
        small(empty, layers="top_activation").transform([file])
    x = small(empty, layers="top_activation", value_range=(0, 1199)).transform([file])
    assert np.isfinite(x).all()


def test_a_home_that_cannot_be_written_is_refused(tmp_path, paths):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(bf.RequestError, match="cannot be created"):
        small(tmp_path / "file").transform(paths)


CHECKS = (
    "check_estimator_cloneable", "check_estimator_repr",
    "check_estimator_tags_renamed", "check_get_params_invariance", "check_mixin_order", "check_no_attributes_set_in_init",
    "check_parameters_default_constructible", "check_set_params", "check_valid_tag_types",
)  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_the_checks_of_scikit_learn_that_need_no_table_of_numbers_hold(name):
    getattr(estimator_checks, name)("Extractor", bf.Extractor())


def test_scikit_learn_knows_that_it_cannot_feed_images():
    with pytest.warns(SkipTestWarning, match="requires input"):
        results = estimator_checks.check_estimator(bf.Extractor(), on_skip=None)
    assert {result["status"] for result in results} == {"passed"}
