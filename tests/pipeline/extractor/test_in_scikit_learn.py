"""`bf.Extractor` as a transformer of scikit-learn."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from extracting import WIDTH, kept, small
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

import bottleneck_features as bf
from bottleneck_features.features import open_features


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


@pytest.mark.slow
def test_tensorflow_takes_its_share_of_the_cores_too(paths):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", SHARE, *paths[:2]]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["1"]


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
