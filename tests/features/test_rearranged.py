"""A cache in other splits: the rows are those of the cache, indexed as an array of their own would be."""

import pickle

import numpy as np
import pytest
from small_cache import CLASS_NAMES, LAYERS, SAMPLES, expected, make

from bottleneck_features.features import Places, RearrangedFeatures, open_features

ORDER = np.random.default_rng(0).permutation(sum(SAMPLES.values()))
KEYS = (
    3,
    -1,
    slice(4, 30),
    slice(None, None, 7),
    [5, 5, 0],
    np.arange(20) % 2 == 0,
    (slice(2, 9), 1),
    np.array([], int),
)


@pytest.fixture(scope="module")
def rearranged(tmp_path_factory):
    cache = open_features(make(tmp_path_factory.mktemp("cache") / "small"))
    pool = Places(("train", "test"), np.repeat([0, 1], [53, 17]), np.concatenate([np.arange(53), np.arange(17)]))
    places = {"train": pool.take(ORDER[20:]), "test": pool.take(ORDER[:20])}
    return cache, RearrangedFeatures(cache, places)


def _pooled(layer: str) -> np.ndarray:
    return np.concatenate([expected(split, layer, SAMPLES, LAYERS) for split in ("train", "test")])


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("key", KEYS, ids=str)
def test_features_are_indexed_like_an_array_of_the_new_rows(rearranged, layer, key):
    own, rows = rearranged[1]["test"].features[layer], _pooled(layer)[ORDER[:20]]
    assert own.shape == rows.shape
    assert own.dtype == rows.dtype
    np.testing.assert_array_equal(own[key], rows[key])
    np.testing.assert_array_equal(np.asarray(own), rows)
    np.testing.assert_array_equal(np.stack(list(own)), rows)


def test_labels_and_ids_follow_their_rows(rearranged):
    cache, own = rearranged
    for name, order in (("train", ORDER[20:]), ("test", ORDER[:20])):
        for column in ("y", "ids"):
            pooled = np.concatenate([getattr(cache[split], column) for split in ("train", "test")])
            assert getattr(own[name], column).tolist() == pooled[order].tolist()
        assert len(own[name]) == len(order)
    assert (own.key, own.layers, own.class_names) == (cache.key, cache.layers, CLASS_NAMES)
    np.testing.assert_array_equal(own["test"].x[:], own["test"].features[own.layers[-1]][:])


def test_a_pickle_would_be_of_the_cache_as_it_was_and_is_refused(rearranged):
    for one in (rearranged[1], rearranged[1]["test"]):
        with pytest.raises(TypeError, match="rearranged"):
            pickle.dumps(one)
