"""`bf.Extractor` keeps rows in the home by content and recipe, and takes what any command computed."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from commandline import invoke
from extracting import LAYERS, WIDTH, caches, kept, small
from imagefiles import encoded, picture, write
from PIL import Image

from bottleneck_features.features import open_features


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
    settings = {"layers": "block3b_add", "dtype": "float32"}  # an early layer: three networks are compiled
    same, mirrored = (small(empty, views=[view], **settings).transform(paths[:3]) for view in ("identity", "hflip"))
    both = small(empty, views=["identity", "hflip"], **settings).transform(paths[:3])
    np.testing.assert_allclose(both, (same + mirrored) / 2, rtol=1e-5, atol=1e-6)
    assert (same != mirrored).any()


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
